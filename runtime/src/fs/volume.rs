//! The table of a dyno's nodes: those of the base, and over them what the dyno has made or changed. Only
//! memory; it knows neither the host's disk nor the guest's interface.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    ops::Bound,
    sync::Arc,
    time::SystemTime,
};

use wpaas_slug::Limits;

use super::{
    base::{Base, BaseNode},
    content::Private,
    errno::Errno,
    node::{Content, Directory, File, FileType, Ino, Kind, Node, Stat, Times},
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

    // -- looking

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

    // -- changing

    /// Whether the tables have room for `units` more nodes and entries.
    pub(super) fn room(&mut self, units: u64) -> Result<(), Errno> {
        let (used, limit) = self.units;
        if used.saturating_add(units) <= limit {
            return Ok(());
        }
        self.exceeded = Some(format!("Disk quota of {limit} files exceeded"));
        Err(Errno::NoSpace)
    }

    /// Adds a node. The caller has asked for [`Volume::room`].
    pub(super) fn add(&mut self, make: impl FnOnce(Ino) -> Node) -> Ino {
        let ino = Ino(self.next);
        self.next += 1;
        let node = make(ino);
        self.units.0 += node.units();
        self.changed.insert(ino, node);
        ino
    }

    /// The node, from now on the dyno's own. Does not ask for room: what removes must work in full
    /// tables too, and how much that can add is bounded by the base.
    pub(super) fn node(&mut self, ino: Ino) -> Result<&mut Node, Errno> {
        if !self.changed.contains_key(&ino) {
            let stat = self.stat(ino)?;
            let kind = match self.base.node(ino).ok_or(Errno::BadDescriptor)? {
                BaseNode::Directory(directory) => Kind::Directory(Directory {
                    parent: directory.parent,
                    shows_base: true,
                    changes: BTreeMap::new(),
                    len: directory.len(),
                }),
                BaseNode::File(file) => {
                    Kind::File(File { size: file.size, content: Content::Base(ino) })
                }
            };
            self.units.0 += 1;
            self.changed.insert(ino, Node { kind, links: 1, times: stat.times });
        }
        self.changed.get_mut(&ino).ok_or(Errno::BadDescriptor)
    }

    fn directory(&mut self, ino: Ino) -> Result<&mut Directory, Errno> {
        let node = self.node(ino)?;
        let now = SystemTime::now();
        node.times.modified = now;
        node.times.changed = now;
        match &mut node.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::NotDirectory),
        }
    }

    /// Gives a node a name, in place of what had it.
    pub(super) fn enter(&mut self, directory: Ino, name: &str, ino: Ino) -> Result<(), Errno> {
        let existed = self.lookup(directory, name).is_some();
        let directory = self.directory(directory)?;
        directory.len += usize::from(!existed);
        if directory.changes.insert(name.into(), Some(ino)).is_none() {
            self.units.0 += 1;
        }
        Ok(())
    }

    /// Takes a name away. The node keeps its count of links.
    pub(super) fn leave(&mut self, parent: Ino, name: &str) -> Result<(), Errno> {
        let in_base = self.base.directory(parent).is_some_and(|base| base.lookup(name).is_some());
        let directory = self.directory(parent)?;
        directory.len = directory.len.saturating_sub(1);
        if in_base && directory.shows_base {
            if directory.changes.insert(name.into(), None).is_none() {
                self.units.0 += 1;
            }
        } else if directory.changes.remove(name).is_some() {
            self.units.0 -= 1;
        }
        Ok(())
    }

    /// Counts one name of the node less; without any it goes unless it is open.
    pub(super) fn unlink_node(&mut self, ino: Ino) -> Result<(), Errno> {
        if !self.changed.contains_key(&ino) && !self.open.contains_key(&ino) {
            // A file of the base that nobody can name or has open leaves nothing to keep.
            return Ok(());
        }
        let node = self.node(ino)?;
        node.links = node.links.saturating_sub(1);
        node.times.changed = SystemTime::now();
        self.reap(ino);
        Ok(())
    }

    fn reap(&mut self, ino: Ino) {
        if self.open.contains_key(&ino) || self.changed.get(&ino).is_none_or(|node| node.links > 0)
        {
            return;
        }
        if let Some(node) = self.changed.remove(&ino) {
            self.units.0 -= node.units();
            self.bytes.0 -= node.private_bytes();
            if let Kind::File(File { content: Content::Private(_), .. }) = node.kind {
                self.garbage.push(ino);
            }
        }
    }

    // -- open nodes

    /// Counts an open descriptor or stream.
    pub(super) fn acquire(&mut self, ino: Ino) {
        *self.open.entry(ino).or_default() += 1;
    }

    /// Ends [`Volume::acquire`]. Whether that was the last one.
    pub(super) fn release(&mut self, ino: Ino) -> bool {
        let Some(count) = self.open.get_mut(&ino) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.open.remove(&ino);
            self.reap(ino);
        }
        last
    }

    // -- content

    fn file(&mut self, ino: Ino) -> Result<&mut File, Errno> {
        match &mut self.node(ino)?.kind {
            Kind::File(file) => Ok(file),
            _ => Err(Errno::IsDirectory),
        }
    }

    /// Lets `more` bytes of private content come, or none.
    fn charge(&mut self, more: u64) -> Result<(), Errno> {
        let (used, limit) = &mut self.bytes;
        match used.checked_add(more).filter(|sum| sum <= limit) {
            Some(sum) => *used = sum,
            None => {
                let mib = *limit / (1024 * 1024);
                self.exceeded = Some(format!("Disk quota of {mib} MB exceeded"));
                return Err(Errno::NoSpace);
            }
        }
        Ok(())
    }

    /// The file's private content, which starts as what the base has. From here on all its bytes
    /// count.
    pub(super) fn private(&mut self, ino: Ino) -> Result<Arc<Private>, Errno> {
        self.private_up_to(ino, u64::MAX)
    }

    /// As [`Volume::private`], but of a base's file only the first `keep` bytes stay.
    pub(super) fn private_up_to(&mut self, ino: Ino, keep: u64) -> Result<Arc<Private>, Errno> {
        let (size, base) = match self.content(ino)? {
            (_, Content::Private(private)) => return Ok(private),
            (size, Content::Base(base)) => (size.min(keep), base),
        };
        if !self.changed.contains_key(&ino) {
            self.room(1)?;
        }
        self.charge(size)?;
        let private = Arc::new(Private::copy_of(ino, base, size));
        let file = self.file(ino)?;
        file.size = size;
        file.content = Content::Private(Arc::clone(&private));
        Ok(private)
    }

    /// Makes room for `len` bytes at `offset`, or at the end, and tells where that is. The content must be
    /// private.
    pub(super) fn extend(&mut self, ino: Ino, offset: Option<u64>, len: u64) -> Result<u64, Errno> {
        let size = self.file(ino)?.size;
        let offset = offset.unwrap_or(size);
        let end = offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or(Errno::FileTooLarge)?;
        self.resize(ino, size.max(end))?;
        Ok(offset)
    }

    /// Sets the size of a file with private content.
    pub(super) fn resize(&mut self, ino: Ino, size: u64) -> Result<(), Errno> {
        let old = self.file(ino)?.size;
        match size.checked_sub(old) {
            Some(more) => self.charge(more)?,
            None => self.bytes.0 -= old - size,
        }
        self.file(ino)?.size = size;
        let now = SystemTime::now();
        let times = &mut self.node(ino)?.times;
        (times.modified, times.changed) = (now, now);
        Ok(())
    }
}

#[cfg(test)]
impl Volume {
    /// Bytes and units in use.
    pub(super) fn used(&self) -> (u64, u64) {
        (self.bytes.0, self.units.0)
    }
}
