//! Watches a project directory and knows, at any moment, whether everything that was written so far has
//! been seen.
//!
//! inotify delivers events in order but not at once. Before a request is answered, [`Watch::settled`]
//! therefore writes a *cookie* file into a directory that the same inotify instance watches and waits
//! for its event: every event of an earlier save has then been counted (the technique is Watchman's).

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

/// A cookie that does not come back within this time does not hold a request any longer: the file
/// system may not report events at all (some network mounts), and then no one would ever be answered.
const COOKIE_WAIT: Duration = Duration::from_millis(500);

/// Who waits for which cookie.
type Cookies = Arc<Mutex<HashMap<OsString, oneshot::Sender<()>>>>;

/// Watches the directories that it is told to.
pub(super) struct Watch {
    watcher: Mutex<RecommendedWatcher>,
    watched: Mutex<BTreeSet<PathBuf>>,
    cookies: Cookies,
    cookie_directory: tempfile::TempDir,
    changes: watch::Receiver<u64>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        let cookie_directory =
            tempfile::tempdir().context("cannot create a temporary directory")?;
        let cookies: Cookies = Arc::default();
        let (count, changes) = watch::channel(0_u64);
        let handler = {
            let cookies = Arc::clone(&cookies);
            let directory = cookie_directory.path().to_owned();
            move |event: notify::Result<notify::Event>| match event {
                Ok(event) if event.paths.iter().any(|path| path.starts_with(&directory)) => {
                    for name in event.paths.iter().filter_map(|path| path.file_name()) {
                        if let Some(waiting) = cookies.lock().remove(name) {
                            // The request may have been given up meanwhile.
                            let _ = waiting.send(());
                        }
                    }
                }
                Ok(event) if !is_change(event.kind) => {}
                // An error may stand for lost events, so it counts as a change.
                Ok(_) | Err(_) => count.send_modify(|count| *count += 1),
            }
        };
        let mut watcher = notify::recommended_watcher(handler).context("cannot watch files")?;
        watcher
            .watch(cookie_directory.path(), RecursiveMode::NonRecursive)
            .context("cannot watch files")?;
        Ok(Self {
            watcher: Mutex::new(watcher),
            watched: Mutex::default(),
            cookies,
            cookie_directory,
            changes,
        })
    }

    /// Watches exactly `directories`, without what is below them.
    pub(super) fn set(&self, directories: BTreeSet<PathBuf>) -> anyhow::Result<()> {
        let mut watched = self.watched.lock();
        let mut watcher = self.watcher.lock();
        for gone in watched.difference(&directories) {
            // A deleted directory is no longer watched, and removing it again is an error.
            let _ = watcher.unwatch(gone);
        }
        for new in directories.difference(&watched) {
            watcher
                .watch(new, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch {}", new.display()))?;
        }
        *watched = directories;
        Ok(())
    }

    /// Counts changes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// The count of changes, once every file saved before this call has been counted.
    pub(super) async fn settled(&self) -> u64 {
        let name = OsString::from(uuid::Uuid::new_v4().simple().to_string());
        let (sent, seen) = oneshot::channel();
        self.cookies.lock().insert(name.clone(), sent);
        let path = self.cookie_directory.path().join(&name);
        if touch(&path).is_ok() {
            // Either it came, or it will not come: in both cases the count is the best there is.
            let _ = tokio::time::timeout(COOKIE_WAIT, seen).await;
        }
        self.cookies.lock().remove(&name);
        let _ = std::fs::remove_file(&path);
        *self.changes.borrow()
    }
}

fn touch(path: &Path) -> std::io::Result<()> {
    std::fs::File::create_new(path).map(drop)
}

/// Reading a file, and new times or modes on it, change nothing for the app.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_save_is_counted_before_the_next_request() {
        let project = tempfile::tempdir().unwrap();
        let file = project.path().join("server.js");
        std::fs::write(&file, "1").unwrap();
        let watch = Watch::new().unwrap();
        watch.set(BTreeSet::from([project.path().to_owned()])).unwrap();
        let mut before = watch.settled().await;
        for round in 0..50 {
            std::fs::write(&file, format!("{round}")).unwrap();
            let after = watch.settled().await;
            assert!(after > before, "round {round}");
            before = after;
        }
        // Reading is no change.
        std::fs::read(&file).unwrap();
        assert_eq!(watch.settled().await, before);
    }
}
