//! Where dynos' private files lie on the host's disk: `tmp/<node>/<dyno>/<number>` of the cache directory.
//!
//! A node that was killed leaves its directory behind. Each running node holds a lock on its own, so the
//! next one to start can tell which may go, also when several nodes share a cache directory.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::Error;

const LOCK: &str = ".lock";

/// One node's directories.
#[derive(Debug)]
pub(crate) struct TmpRoot {
    directory: TempDir,
    _lock: File,
}

impl TmpRoot {
    /// Makes this node's directory, and removes those of nodes that are gone.
    pub(crate) fn new(cache: &Path) -> Result<Self, Error> {
        let parent = cache.join("tmp");
        let failed = || Error::cache(&parent);
        std::fs::create_dir_all(&parent).map_err(failed())?;
        // Nobody else looks while a directory exists without its lock.
        let all = File::create(parent.join(LOCK)).map_err(failed())?;
        flock(&all, FlockOperation::LockExclusive).map_err(|error| failed()(error.into()))?;
        for entry in std::fs::read_dir(&parent).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            if path.is_dir() && lock(&path).is_ok() {
                std::fs::remove_dir_all(&path).map_err(failed())?;
            }
        }
        let directory = TempDir::new_in(&parent).map_err(failed())?;
        let lock = lock(directory.path()).map_err(failed())?;
        Ok(Self { directory, _lock: lock })
    }
}

/// Locks a node's directory; fails when its node runs.
fn lock(directory: &Path) -> std::io::Result<File> {
    let file = File::create(directory.join(LOCK))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// One dyno's private files, by number. The directory comes with the first file and goes with the dyno; no
/// name that a guest has chosen is ever in it.
#[derive(Debug)]
pub(crate) struct Storage {
    root: Arc<TmpRoot>,
    directory: Mutex<Option<TempDir>>,
}

impl Storage {
    pub(crate) fn new(root: Arc<TmpRoot>) -> Self {
        Self { root, directory: Mutex::new(None) }
    }

    /// Makes a file for reading and writing. Blocks.
    pub(crate) fn create(&self, number: u64) -> std::io::Result<File> {
        let mut directory = self.directory.lock();
        let made = match &mut *directory {
            Some(made) => made,
            none => none.insert(TempDir::new_in(self.root.directory.path())?),
        };
        let path = made.path().join(number.to_string());
        drop(directory);
        File::options().read(true).write(true).create_new(true).open(path)
    }

    /// Where a file is that was made.
    pub(crate) fn path(&self, number: u64) -> Option<PathBuf> {
        // The lock is held across a system call only before a dyno's first file, when nobody can ask for one.
        let directory = self.directory.lock();
        directory.as_ref().map(|directory| directory.path().join(number.to_string()))
    }

    /// Removes a file, if there is one, without making the caller wait.
    pub(crate) fn remove(&self, number: u64) {
        let Some(path) = self.path(number) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || std::fs::remove_file(path));
        }
    }

    /// Removes a file, if there is one. Blocks.
    pub(crate) fn remove_waiting(&self, number: u64) {
        if let Some(path) = self.path(number) {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let Some(directory) = self.directory.get_mut().take() else { return };
        // A guest may have made many files, and removing those must not hold up a thread that serves
        // requests.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(directory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directories_of_dead_nodes_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let dead = TmpRoot::new(cache.path()).unwrap();
        let left = dead.directory.path().to_owned();
        let kept = dead.directory.keep();
        drop(dead._lock);
        std::fs::write(kept.join("file"), "x").unwrap();

        let running = TmpRoot::new(cache.path()).unwrap();
        assert!(!left.exists());
        let storage = Storage::new(Arc::new(running));
        assert!(storage.path(7).is_none(), "nothing before the first file");
        storage.create(7).unwrap();
        let path = storage.path(7).unwrap();
        let _other = TmpRoot::new(cache.path()).unwrap();
        assert!(path.exists());
        drop(storage);
        assert!(!path.exists());
    }
}
