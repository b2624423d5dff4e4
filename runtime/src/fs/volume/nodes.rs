//! Nodes and names that come and go, and how many there may be.

use std::{collections::BTreeMap, time::SystemTime};

use super::Volume;
use crate::fs::{
    base::BaseNode,
    errno::Errno,
    node::{Content, Directory, File, Ino, Kind, Node},
};

impl Volume {
    /// Whether the tables have room for `units` more nodes and entries.
    pub(in crate::fs) fn room(&mut self, units: u64) -> Result<(), Errno> {
        let (used, limit) = self.units;
        if used.saturating_add(units) <= limit {
            return Ok(());
        }
        self.exceeded = Some(format!("Disk quota of {limit} files exceeded"));
        Err(Errno::NoSpace)
    }

    /// Adds a node. The caller has asked for [`Volume::room`].
    pub(in crate::fs) fn add(&mut self, make: impl FnOnce(Ino) -> Node) -> Ino {
        let ino = Ino(self.next);
        self.next += 1;
        let node = make(ino);
        self.units.0 += node.units();
        self.changed.insert(ino, node);
        ino
    }

    /// The node, from now on the dyno's own. Does not ask for room: what removes must work in full
    /// tables too, and how much that can add is bounded by the base.
    pub(in crate::fs) fn node(&mut self, ino: Ino) -> Result<&mut Node, Errno> {
        if !self.changed.contains_key(&ino) {
            let stat = self.stat(ino)?;
            let kind = match self.base.node(ino).ok_or(Errno::BadDescriptor)? {
                BaseNode::Directory(directory) => Kind::Directory(Directory {
                    parent: directory.parent,
                    shows_base: true,
                    changes: BTreeMap::new(),
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
    pub(in crate::fs) fn enter(
        &mut self,
        directory: Ino,
        name: &str,
        ino: Ino,
    ) -> Result<(), Errno> {
        let directory = self.directory(directory)?;
        if directory.changes.insert(name.into(), Some(ino)).is_none() {
            self.units.0 += 1;
        }
        Ok(())
    }

    /// Takes a name away. The node keeps its count of links.
    pub(in crate::fs) fn leave(&mut self, parent: Ino, name: &str) -> Result<(), Errno> {
        let in_base = self.base.directory(parent).is_some_and(|base| base.lookup(name).is_some());
        let directory = self.directory(parent)?;
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
    pub(in crate::fs) fn unlink_node(&mut self, ino: Ino) -> Result<(), Errno> {
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

    /// Counts an open descriptor or stream.
    pub(in crate::fs) fn acquire(&mut self, ino: Ino) {
        *self.open.entry(ino).or_default() += 1;
    }

    /// Ends [`Volume::acquire`]. Whether that was the last one.
    pub(in crate::fs) fn release(&mut self, ino: Ino) -> bool {
        let Some(count) = self.open.get_mut(&ino) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.open.remove(&ino);
            self.reap(ino);
        }
        last
    }
}
