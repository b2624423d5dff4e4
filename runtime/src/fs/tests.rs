//! A dyno's files without a guest.

mod against_linux;
mod content;
mod limits;
mod paths;

use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;
use uuid::Uuid;
use wpaas_slug::{
    Digest, FileEntry, Limits,
    log::{LogLine, LogSink},
};

use super::{
    base::APP,
    disk::{Disk, Handle},
    errno::Errno,
    node::Ino,
    paths::How,
    volume::Volume,
    walk::Last,
    *,
};
use crate::{lines::DynoLog, tmp::TmpRoot};

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl LogSink for Log {
    fn write(&self, line: LogLine) {
        self.0.lock().push(line.text.to_string());
    }
}

/// A slug on a node.
struct World {
    directory: TempDir,
    base: Arc<Base>,
    root: Arc<TmpRoot>,
    log: Arc<Log>,
    limits: Limits,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let entries = files.iter().map(|(path, content)| {
            let digest = Digest::of(content.as_bytes());
            std::fs::write(directory.path().join(digest.hex()), content).unwrap();
            let size = content.len() as u64;
            FileEntry { path: path.to_string(), digest, size, executable: false }
        });
        let entries: Vec<FileEntry> = entries.collect();
        let base = Base::new(&entries, &Default::default(), directory.path());
        let root = TmpRoot::new(directory.path()).unwrap();
        Self {
            directory,
            base: Arc::new(base),
            root: Arc::new(root),
            log: Arc::default(),
            limits: Limits::default(),
        }
    }

    /// A new dyno's `/app`.
    fn app(&self) -> Arc<Handle> {
        let log = DynoLog::new(self.log.clone(), Uuid::nil(), "web.1", 1000);
        let disk = Disk::new(Arc::clone(&self.base), &self.root, &self.limits, log);
        Handle::root(&disk, APP)
    }

    /// The host's files of all dynos.
    fn host_files(&self) -> Vec<String> {
        let nodes = std::fs::read_dir(self.directory.path().join("tmp")).unwrap();
        let nodes = nodes.map(|node| node.unwrap().path()).filter(|path| path.is_dir());
        let dynos = nodes.flat_map(|node| std::fs::read_dir(node).unwrap());
        let dynos = dynos.map(|dyno| dyno.unwrap().path()).filter(|path| path.is_dir());
        let files = dynos.flat_map(|dyno| std::fs::read_dir(dyno).unwrap());
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

const READ: How = How {
    follow: true,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
    write: false,
};
const CREATE: How = How { create: true, write: true, ..READ };
const WRITE: How = How { write: true, ..READ };

async fn read_all(file: &Arc<Handle>) -> Vec<u8> {
    try_read_all(file).await.unwrap()
}

async fn try_read_all(file: &Arc<Handle>) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    loop {
        let bytes = file.read(all.len() as u64, usize::MAX).await?;
        if bytes.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&bytes);
    }
}

async fn get(directory: &Arc<Handle>, path: &str) -> Result<String, Errno> {
    let file = directory.open(path, READ).await?;
    Ok(String::from_utf8(try_read_all(&file).await?).unwrap())
}

/// Writes a whole file.
async fn put(directory: &Arc<Handle>, path: &str, content: &str) -> Result<(), Errno> {
    let file = directory.open(path, How { truncate: true, ..CREATE }).await?;
    file.write(Some(0), content.to_owned().into()).await.map(drop)
}

/// The names in a directory, as `a b/ c@`.
fn list(directory: &Handle) -> String {
    let mut names = Vec::new();
    let mut after: Option<String> = None;
    while let Some((name, file_type)) = directory.with(|volume, ino| {
        let (name, _, file_type) = volume.entry_after(ino, after.as_deref())?;
        Some((name.to_owned(), file_type))
    }) {
        names.push(match file_type {
            node::FileType::Directory => format!("{name}/"),
            node::FileType::File => name.clone(),
            node::FileType::Symlink => format!("{name}@"),
        });
        after = Some(name);
    }
    names.join(" ")
}
