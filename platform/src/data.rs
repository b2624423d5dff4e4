//! The data directory: the database, uploaded sources, build output and caches, scratch space.
//!
//! One process at a time uses it; the lock is the kernel's and ends with the process, however it ends.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{Error, error::io};

/// The SQLite file of a data directory.
pub(crate) fn database(root: &Path) -> PathBuf {
    root.join("platform.sqlite")
}

/// The opened and locked data directory.
pub(crate) struct DataDir {
    root: PathBuf,
    lock: File,
}

impl DataDir {
    /// Creates what is missing, locks the directory and removes scratch that an earlier process left.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let unusable = |reason: String| Error::DataDir { path: root.into(), reason };
        let create = |path: &Path| {
            let mut builder = std::fs::DirBuilder::new();
            // Config vars are secrets: nobody else on the machine may look in.
            builder.recursive(true).mode(0o700).create(path)
        };
        create(root).map_err(|error| unusable(error.to_string()))?;
        let lock = File::create(root.join("lock")).map_err(|error| unusable(error.to_string()))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                unusable("another wpaas is using it; stop that one first".into())
            }
            TryLockError::Error(error) => unusable(error.to_string()),
        })?;
        let data = Self { root: root.into(), lock };
        match std::fs::remove_dir_all(data.scratch()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unusable(error.to_string()));
            }
            _ => {}
        }
        let kept = ["builds", "cache", "git", "releases"].map(|name| data.root.join(name));
        for directory in [data.scratch(), data.sources()].into_iter().chain(kept) {
            create(&directory).map_err(|error| unusable(error.to_string()))?;
        }
        // Made here because SQLite would let everybody read it; its journal gets the same mode.
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(data.database())
            .map_err(|error| unusable(error.to_string()))?;
        Ok(data)
    }

    /// Lets another process open the directory.
    pub(crate) fn unlock(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the data directory stays locked until this process ends");
        }
    }

    /// The SQLite file.
    pub(crate) fn database(&self) -> PathBuf {
        database(&self.root)
    }

    /// Files that do not outlive the process.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    fn sources(&self) -> PathBuf {
        self.root.join("sources")
    }

    /// An uploaded source.
    pub(crate) fn source(&self, id: Uuid) -> PathBuf {
        self.sources().join(id.to_string())
    }

    /// A build's output.
    pub(crate) fn build_log(&self, id: Uuid) -> PathBuf {
        self.root.join("builds").join(format!("{id}.log"))
    }

    /// The output of a release phase.
    pub(crate) fn release_log(&self, id: Uuid) -> PathBuf {
        self.root.join("releases").join(format!("{id}.log"))
    }

    /// An app's build cache.
    pub(crate) fn cache(&self, app: Uuid) -> PathBuf {
        self.root.join("cache").join(app.to_string())
    }

    /// An app's git repository.
    pub(crate) fn repository(&self, app: Uuid) -> PathBuf {
        self.root.join("git").join(format!("{app}.git"))
    }

    /// A new scratch directory, removed when dropped.
    pub(crate) fn scratch_dir(&self) -> Result<tempfile::TempDir, Error> {
        tempfile::tempdir_in(self.scratch()).map_err(io("scratch directory"))
    }

    /// A new scratch file, removed when dropped.
    pub(crate) fn scratch_file(&self) -> Result<tempfile::NamedTempFile, Error> {
        tempfile::NamedTempFile::new_in(self.scratch()).map_err(io("scratch file"))
    }

    /// Removes the output of builds that are gone.
    pub(crate) async fn forget_builds(&self, builds: Vec<String>) {
        for build in builds {
            let Ok(id) = build.parse() else { continue };
            forgotten(tokio::fs::remove_file(self.build_log(id)).await);
        }
    }

    /// Removes the output of release phases.
    pub(crate) async fn forget_release_logs(&self, releases: Vec<String>) {
        for release in releases {
            let Ok(id) = release.parse() else { continue };
            forgotten(tokio::fs::remove_file(self.release_log(id)).await);
        }
    }

    /// Removes what belonged to an app.
    pub(crate) async fn forget_app(&self, app: Uuid, builds: Vec<String>, releases: Vec<String>) {
        self.forget_builds(builds).await;
        self.forget_release_logs(releases).await;
        forgotten(tokio::fs::remove_dir_all(self.cache(app)).await);
        forgotten(tokio::fs::remove_dir_all(self.repository(app)).await);
    }
}

/// A file that stays is only space.
fn forgotten(result: std::io::Result<()>) {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a file that nobody needs stays");
        }
        _ => {}
    }
}
