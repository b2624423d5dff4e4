//! The private `/tmp` directories of dynos: `tmp/<node>/<dyno>` of the cache directory.
//!
//! A node that was killed leaves its directory behind. Each running node holds a lock on its own, so the
//! next one to start can tell which may go, also when several nodes share a cache directory.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

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

    /// A new dyno's `/tmp`.
    pub(crate) fn dyno(&self) -> std::io::Result<Tmp> {
        Ok(Tmp(Some(TempDir::new_in(self.directory.path())?)))
    }
}

/// Locks a node's directory; fails when its node runs.
fn lock(directory: &Path) -> std::io::Result<File> {
    let file = File::create(directory.join(LOCK))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// A dyno's private `/tmp`, removed with it.
#[derive(Debug)]
pub(crate) struct Tmp(Option<TempDir>);

impl Tmp {
    pub(crate) fn path(&self) -> PathBuf {
        self.0.as_ref().map(|directory| directory.path().to_owned()).unwrap_or_default()
    }
}

impl Drop for Tmp {
    fn drop(&mut self) {
        let Some(directory) = self.0.take() else { return };
        // Mostly it is empty. A guest may have filled it with a million files, and removing those must
        // not hold up a thread that serves requests.
        if std::fs::remove_dir(directory.path()).is_ok() {
            let _ = directory.keep();
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
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
        let tmp = running.dyno().unwrap();
        let path = tmp.path();
        std::fs::write(path.join("file"), "x").unwrap();
        let _other = TmpRoot::new(cache.path()).unwrap();
        assert!(path.join("file").exists());
        drop(tmp);
        assert!(!path.exists());
    }
}
