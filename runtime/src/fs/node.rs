//! What a dyno's own nodes are made of. A node is known by its number; its names are entries of
//! directories.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use super::content::Private;

/// A node's number, the same for as long as the node exists and never given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ino(pub(super) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileType {
    Directory,
    File,
    Symlink,
}

/// A node that the dyno has made or changed.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Names that lead here. A node without one goes when nobody has it open.
    pub(super) links: u32,
    pub(super) times: Times,
}

#[derive(Debug)]
pub(super) enum Kind {
    Directory(Directory),
    File(File),
    Symlink(Box<str>),
}

/// A directory's changes. What is not in them is as in the base.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) parent: Ino,
    /// The entries of the base's directory of the same number show through.
    pub(super) shows_base: bool,
    /// New entries, and `None` for those of the base that are gone.
    pub(super) changes: BTreeMap<Box<str>, Option<Ino>>,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) size: u64,
    pub(super) content: Content,
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// In the blob of the base's file with this number.
    Base(Ino),
    /// In the dyno's own storage.
    Private(Arc<Private>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) accessed: SystemTime,
    pub(super) modified: SystemTime,
    /// Last change of anything about the node.
    pub(super) changed: SystemTime,
}

impl Times {
    pub(super) fn all(time: SystemTime) -> Self {
        Self { accessed: time, modified: time, changed: time }
    }
}

/// What `stat` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) file_type: FileType,
    pub(super) links: u64,
    pub(super) size: u64,
    pub(super) times: Times,
}

/// Bytes of a symlink's target that count as one more entry in the dyno's tables.
const TARGET_BYTES_PER_UNIT: u64 = 256;

impl Node {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, links: 1, times: Times::all(SystemTime::now()) }
    }

    pub(super) fn directory(parent: Ino) -> Self {
        let changes = BTreeMap::new();
        Self::new(Kind::Directory(Directory { parent, shows_base: false, changes }))
    }

    pub(super) fn file(ino: Ino) -> Self {
        let content = Content::Private(Arc::new(Private::empty(ino)));
        Self::new(Kind::File(File { size: 0, content }))
    }

    pub(super) fn file_type(&self) -> FileType {
        match self.kind {
            Kind::Directory(_) => FileType::Directory,
            Kind::File(_) => FileType::File,
            Kind::Symlink(_) => FileType::Symlink,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match &self.kind {
            Kind::Directory(_) => 0,
            Kind::File(file) => file.size,
            Kind::Symlink(target) => target.len() as u64,
        }
    }

    /// Bytes that count against the dyno's disk quota.
    pub(super) fn private_bytes(&self) -> u64 {
        match &self.kind {
            Kind::File(File { size, content: Content::Private(_) }) => *size,
            _ => 0,
        }
    }

    /// What the node and its entries count against the dyno's quota of files.
    pub(super) fn units(&self) -> u64 {
        1 + match &self.kind {
            Kind::Directory(directory) => directory.changes.len() as u64,
            Kind::Symlink(target) => symlink_units(target),
            Kind::File(_) => 0,
        }
    }
}

/// What a symlink's target counts, besides the node.
pub(super) fn symlink_units(target: &str) -> u64 {
    target.len() as u64 / TARGET_BYTES_PER_UNIT
}
