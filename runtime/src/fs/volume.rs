//! The table of a dyno's nodes: those of the base, and over them what the dyno has made or changed. Only
//! memory; it knows neither the host's disk nor the guest's interface.

mod bytes;
mod nodes;

use std::{collections::HashMap, mem, ops::Bound, sync::Arc};

use wpaas_slug::Limits;

use super::{
    base::{Base, BaseNode},
    errno::Errno,
    node::{Content, FileType, Ino, Kind, Node, Stat, Times},
};

/// The tree that one dyno sees, `/app` and `/tmp`. Making one allocates nothing.
#[derive(Debug)]
pub(super) struct Volume {
    base: Arc<Base>,
    /// Takes precedence over the base.
    changed: HashMap<Ino, Node>,
    /// How often each node is open.
    open: HashMap<Ino, u32>,
    next: u64,
    /// Bytes of private content, and the limit.
    bytes: (u64, u64),
    /// Nodes and entries in `changed`, and the limit.
    units: (u64, u64),
    path_bytes: usize,
    /// Private content whose node is gone.
    garbage: Vec<Ino>,
    /// A limit was hit since this was last taken: what `Disk quota of … exceeded` says.
    exceeded: Option<String>,
}

impl Volume {
    pub(super) fn new(base: Arc<Base>, limits: &Limits) -> Self {
        Self {
            next: base.len(),
            base,
            changed: HashMap::new(),
            open: HashMap::new(),
            bytes: (0, limits.dyno_disk_bytes),
            units: (0, limits.dyno_files),
            path_bytes: Limits::size(limits.path_bytes),
            garbage: Vec::new(),
            exceeded: None,
        }
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    pub(super) fn path_bytes(&self) -> usize {
        self.path_bytes
    }

    /// What has to be cleared away, and whether a limit was hit, since the last call.
    pub(super) fn take_events(&mut self) -> (Vec<Ino>, Option<String>) {
        (mem::take(&mut self.garbage), self.exceeded.take())
    }

    pub(super) fn file_type(&self, ino: Ino) -> Option<FileType> {
        match self.changed.get(&ino) {
            Some(node) => Some(node.file_type()),
            None => self.base.node(ino).map(|node| match node {
                BaseNode::Directory(_) => FileType::Directory,
                BaseNode::File(_) => FileType::File,
            }),
        }
    }

    /// The target of a symlink.
    pub(super) fn symlink(&self, ino: Ino) -> Option<&str> {
        match &self.changed.get(&ino)?.kind {
            Kind::Symlink(target) => Some(target),
            _ => None,
        }
    }

    pub(super) fn lookup(&self, directory: Ino, name: &str) -> Option<Ino> {
        if let Some(node) = self.changed.get(&directory) {
            let Kind::Directory(directory) = &node.kind else { return None };
            if let Some(change) = directory.changes.get(name) {
                return *change;
            }
            if !directory.shows_base {
                return None;
            }
        }
        self.base.directory(directory)?.lookup(name)
    }

    /// The entry of a directory that follows `after` in the order of names, or the first one.
    pub(super) fn entry_after(
        &self,
        directory: Ino,
        after: Option<&str>,
    ) -> Option<(&str, Ino, FileType)> {
        let changes = match self.changed.get(&directory).map(|node| &node.kind) {
            Some(Kind::Directory(directory)) => Some(directory),
            Some(_) => return None,
            None => None,
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut new = changes.into_iter().flat_map(|directory| {
            let range = directory.changes.range::<str, _>((from, Bound::Unbounded));
            range.filter_map(|(name, ino)| Some((&**name, (*ino)?)))
        });
        let shows_base = changes.is_none_or(|directory| directory.shows_base);
        let base = shows_base.then(|| self.base.directory(directory)).flatten();
        let mut old = base.into_iter().flat_map(|base| base.after(after)).filter(|(name, _)| {
            changes.is_none_or(|directory| !directory.changes.contains_key(*name))
        });
        let (name, ino) = match (new.next(), old.next()) {
            (Some(new), Some(old)) => new.min(old),
            (new, old) => new.or(old)?,
        };
        Some((name, ino, self.file_type(ino)?))
    }

    /// Whether `directory` is `below` or above it.
    pub(super) fn is_above(&self, directory: Ino, mut below: Ino) -> bool {
        loop {
            if below == directory {
                return true;
            }
            let parent = match self.changed.get(&below).map(|node| &node.kind) {
                Some(Kind::Directory(node)) => Some(node.parent),
                Some(_) => None,
                None => self.base.directory(below).map(|node| node.parent),
            };
            match parent {
                Some(parent) if parent != below => below = parent,
                _ => return false,
            }
        }
    }

    /// Whether a directory has lost its name; nothing can be made in it any more.
    pub(super) fn is_removed(&self, directory: Ino) -> bool {
        self.changed.get(&directory).is_some_and(|node| node.links == 0)
    }

    pub(super) fn stat(&self, ino: Ino) -> Result<Stat, Errno> {
        if let Some(node) = self.changed.get(&ino) {
            return Ok(Stat {
                file_type: node.file_type(),
                links: u64::from(node.links),
                size: node.size(),
                times: node.times,
            });
        }
        let (file_type, size, time) = match self.base.node(ino).ok_or(Errno::BadDescriptor)? {
            BaseNode::Directory(_) => (FileType::Directory, 0, self.base.built()),
            BaseNode::File(file) => (FileType::File, file.size, file.modified),
        };
        Ok(Stat { file_type, links: 1, size, times: Times::all(time) })
    }

    /// A file's size, and where its bytes are.
    pub(super) fn content(&self, ino: Ino) -> Result<(u64, Content), Errno> {
        match self.changed.get(&ino).map(|node| &node.kind) {
            Some(Kind::File(file)) => Ok((file.size, file.content.clone())),
            Some(_) => Err(Errno::IsDirectory),
            None => {
                let file = self.base.file(ino).ok_or(Errno::IsDirectory)?;
                Ok((file.size, Content::Base(ino)))
            }
        }
    }
}

#[cfg(test)]
impl Volume {
    /// Bytes and units in use.
    pub(super) fn used(&self) -> (u64, u64) {
        (self.bytes.0, self.units.0)
    }
}
