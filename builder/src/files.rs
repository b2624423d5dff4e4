//! Small things done to the file system: locks between processes, moves, files that appear whole.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Error, Output,
    error::{io as io_error, io_at},
};

/// How often a lock that another process holds is asked for again. Polling, because a blocking wait for a
/// file lock could not be cancelled.
const LOCK_POLL: Duration = Duration::from_millis(50);
/// How often a directory that something still writes to is removed again, and after how long.
const REMOVE_TRIES: u32 = 10;
const REMOVE_PAUSE: Duration = Duration::from_millis(20);

/// An exclusive lock between processes, held until dropped. The kernel frees it when its holder dies.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits for the lock at `path`, saying `waiting` once when somebody else has it.
    pub(crate) async fn acquire(
        path: &Path,
        waiting: &str,
        output: &Output,
    ) -> Result<Self, Error> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io_at(parent))?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(io_at(path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(io_at(path)(error)),
            }
            if !told {
                output.detail(waiting);
                told = true;
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }
}

/// An empty directory at `path`, whatever was there before.
pub(crate) fn fresh_dir(path: &Path) -> Result<(), Error> {
    remove(path)?;
    fs::create_dir_all(path).map_err(io_at(path))
}

/// Removes a file or a directory with all it holds, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    for _ in 0..REMOVE_TRIES {
        match remove_once(path) {
            // A program that was killed a moment ago may still have been writing.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(REMOVE_PAUSE);
            }
            done => return done,
        }
    }
    remove_once(path)
}

fn remove_once(path: &Path) -> Result<(), Error> {
    let gone = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at(path)(error)),
        _ => Ok(()),
    }
}

/// Moves a directory, replacing what is at `to`: a rename, or a copy where the two are on different file
/// systems.
pub(crate) fn move_dir(from: &Path, to: &Path) -> Result<(), Error> {
    remove(to)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(io_at(parent))?;
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            // Copied beside its place first, so that a crash leaves no half of it there.
            let mut partial = to.as_os_str().to_owned();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            remove(&partial)?;
            copy_dir(from, &partial)?;
            fs::rename(&partial, to).map_err(io_at(to))?;
            remove(from)
        }
        moved => moved.map_err(io_error(format!("moving {} to {}", from.display(), to.display()))),
    }
}

/// Copies a directory with its links and execute bits.
fn copy_dir(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.map_err(|error| io_at(from)(error.into()))?;
        let target = match entry.path().strip_prefix(from) {
            Ok(relative) if relative.as_os_str().is_empty() => to.to_owned(),
            Ok(relative) => to.join(relative),
            Err(error) => return Err(Error::Internal(error.to_string())),
        };
        let kind = entry.file_type();
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(io_at(&target))?;
        } else if kind.is_symlink() {
            let link = fs::read_link(entry.path()).map_err(io_at(entry.path()))?;
            std::os::unix::fs::symlink(link, &target).map_err(io_at(&target))?;
        } else {
            fs::copy(entry.path(), &target).map_err(io_at(&target))?;
        }
    }
    Ok(())
}

/// Makes `to` a copy of the directory `from`, by links where that works.
pub(crate) fn link_dir(from: &Path, to: &Path) -> Result<(), Error> {
    fresh_dir(to)?;
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.map_err(|error| io_at(from)(error.into()))?;
        let inside = entry.path().strip_prefix(from);
        let inside = inside.map_err(|error| Error::Internal(error.to_string()))?;
        let target = to.join(inside);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).map_err(io_at(&target))?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target).map_err(io_at(&target))?;
        }
    }
    Ok(())
}

/// Writes a file that is there whole or not at all, even after a crash.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(io_at(directory))?;
    file.write_all(content).map_err(io_at(path))?;
    file.as_file().sync_all().map_err(io_at(path))?;
    file.persist(path).map_err(|error| io_at(path)(error.error))?;
    Ok(())
}

/// Runs work that blocks on the disk outside the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::Internal(format!("a task of the build died: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_move_and_replace() {
        let root = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "deep/to"].map(|name| root.path().join(name));
        fs::create_dir_all(from.join("a")).unwrap();
        fs::write(from.join("a/b"), "new").unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(to.join("old"), "old").unwrap();
        move_dir(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b")).unwrap(), "new");
        assert!(!to.join("old").exists() && !from.exists());
    }

    #[test]
    fn copies_keep_links_and_modes() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("from");
        fs::create_dir_all(from.join("bin")).unwrap();
        fs::write(from.join("bin/x"), "x").unwrap();
        fs::set_permissions(from.join("bin/x"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("bin/x", from.join("link")).unwrap();
        let to = root.path().join("to");
        copy_dir(&from, &to).unwrap();
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("bin/x"));
        assert_eq!(fs::metadata(to.join("bin/x")).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[tokio::test]
    async fn a_lock_is_exclusive_and_waits() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("locks/x");
        let held = FileLock::acquire(&path, "", &Output::silent()).await.unwrap();
        let (sender, waiting) = std::sync::mpsc::channel();
        let output = Output::new(move |line| sender.send(line.to_owned()).unwrap());
        let second = {
            let path = path.clone();
            tokio::spawn(async move { FileLock::acquire(&path, "waiting", &output).await })
        };
        let told = tokio::task::spawn_blocking(move || waiting.recv()).await.unwrap().unwrap();
        assert_eq!(told, "       waiting");
        assert!(!second.is_finished());
        drop(held);
        second.await.unwrap().unwrap();
    }
}
