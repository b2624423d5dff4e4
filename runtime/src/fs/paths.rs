//! What a guest can do with paths, with Linux's answers.

use std::time::SystemTime;

use super::{
    errno::Errno,
    node::{FileType, Ino, Kind, Node, symlink_units},
    volume::Volume,
    walk::{Last, Place},
};

/// How to open a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct How {
    pub(super) follow: bool,
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) directory: bool,
    pub(super) write: bool,
}

impl How {
    fn changes(self) -> bool {
        self.create || self.truncate || self.write
    }
}

/// A new time of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewTimes {
    /// `None` leaves it.
    pub(super) accessed: Option<SystemTime>,
    pub(super) modified: Option<SystemTime>,
}

/// A name for something new in a directory.
struct Free {
    parent: Ino,
    name: Box<str>,
}

impl Volume {
    /// The node that `path` opens, made if `how` says so. The caller truncates.
    pub(super) fn open(&mut self, start: Ino, path: &str, how: How) -> Result<Ino, Errno> {
        if how.directory && (how.create || how.exclusive || how.truncate) {
            return Err(Errno::Invalid);
        }
        let exclusive = how.create && how.exclusive;
        let last = match (how.create, how.follow && !exclusive) {
            (true, true) => Last::FollowToMake,
            (true, false) => Last::Name,
            (false, true) => Last::Follow,
            (false, false) => Last::Stay,
        };
        let (ino, slash) = match self.walk(start, path, last)? {
            Place::Directory(ino) => (ino, false),
            // What is to be made must be named as a file, whatever is there.
            Place::Entry { slash: true, .. } if how.create => return Err(Errno::IsDirectory),
            Place::Entry { ino: Some(ino), slash, .. } => (ino, slash),
            Place::Entry { ino: None, .. } if !how.create => return Err(Errno::NoEntry),
            Place::Entry { ino: None, parent, name, .. } => {
                return self.make(Free { parent, name }, 0, Node::file);
            }
        };
        if exclusive {
            return Err(Errno::Exist);
        }
        match self.file_type(ino).ok_or(Errno::NoEntry)? {
            FileType::Symlink if how.directory => Err(Errno::NotDirectory),
            FileType::Symlink => Err(Errno::Loop),
            FileType::File if how.directory || slash => Err(Errno::NotDirectory),
            FileType::Directory if how.changes() => Err(Errno::IsDirectory),
            _ => Ok(ino),
        }
    }

    /// The name that something new is to get. A slash behind it is for directories only.
    fn free(&self, start: Ino, path: &str, directory: bool) -> Result<Free, Errno> {
        match self.walk(start, path, Last::Name)? {
            Place::Directory(_) | Place::Entry { ino: Some(_), .. } => Err(Errno::Exist),
            Place::Entry { slash: true, .. } if !directory => Err(Errno::NoEntry),
            Place::Entry { parent, name, .. } => Ok(Free { parent, name }),
        }
    }

    /// Makes a node that counts as `more` units besides itself.
    fn make(&mut self, at: Free, more: u64, node: impl FnOnce(Ino) -> Node) -> Result<Ino, Errno> {
        if self.is_removed(at.parent) {
            return Err(Errno::NoEntry);
        }
        // The node, its entry, and the directory, which may become the dyno's own by that.
        self.room(more.saturating_add(3))?;
        let ino = self.add(node);
        self.enter(at.parent, &at.name, ino)?;
        Ok(ino)
    }

    pub(super) fn create_directory(&mut self, start: Ino, path: &str) -> Result<(), Errno> {
        let at = self.free(start, path, true)?;
        let parent = at.parent;
        self.make(at, 0, |_| Node::directory(parent)).map(drop)
    }

    /// Makes a symlink. Absolute targets are refused, as wasmtime does: what `/` is depends on the
    /// guest's own table of directories.
    pub(super) fn create_symlink(
        &mut self,
        target: &str,
        start: Ino,
        path: &str,
    ) -> Result<(), Errno> {
        if target.is_empty() {
            return Err(Errno::NoEntry);
        }
        if target.len() > self.path_bytes() {
            return Err(Errno::NameTooLong);
        }
        if target.starts_with('/') {
            return Err(Errno::NotPermitted);
        }
        if target.contains('\0') {
            return Err(Errno::Invalid);
        }
        let at = self.free(start, path, false)?;
        let node = |_| Node::new(Kind::Symlink(target.into()));
        self.make(at, symlink_units(target), node).map(drop)
    }

    pub(super) fn read_symlink(&self, start: Ino, path: &str) -> Result<String, Errno> {
        let ino = self.find(start, path, Last::Stay)?;
        self.symlink(ino).map(str::to_owned).ok_or(Errno::Invalid)
    }

    pub(super) fn remove_directory(&mut self, start: Ino, path: &str) -> Result<(), Errno> {
        let Place::Entry { parent, name, ino, .. } = self.walk(start, path, Last::Name)? else {
            return Err(Errno::Invalid);
        };
        let ino = ino.ok_or(Errno::NoEntry)?;
        if self.file_type(ino) != Some(FileType::Directory) {
            return Err(Errno::NotDirectory);
        }
        if self.entry_after(ino, None).is_some() {
            return Err(Errno::NotEmpty);
        }
        self.leave(parent, &name)?;
        self.unlink_node(ino)
    }

    pub(super) fn unlink(&mut self, start: Ino, path: &str) -> Result<(), Errno> {
        let Place::Entry { parent, name, ino, slash } = self.walk(start, path, Last::Name)? else {
            return Err(Errno::IsDirectory);
        };
        let ino = ino.ok_or(Errno::NoEntry)?;
        match self.file_type(ino) {
            Some(FileType::Directory) => return Err(Errno::IsDirectory),
            _ if slash => return Err(Errno::NotDirectory),
            _ => {}
        }
        self.leave(parent, &name)?;
        self.unlink_node(ino)
    }

    /// Gives a file one more name.
    pub(super) fn link(
        &mut self,
        old_start: Ino,
        old: &str,
        last: Last,
        new_start: Ino,
        new: &str,
    ) -> Result<(), Errno> {
        let ino = self.find(old_start, old, last)?;
        let at = self.free(new_start, new, false)?;
        if self.file_type(ino) == Some(FileType::Directory) {
            return Err(Errno::NotPermitted);
        }
        if self.is_removed(at.parent) {
            return Err(Errno::NoEntry);
        }
        self.room(3)?;
        let node = self.node(ino)?;
        node.links = node.links.checked_add(1).ok_or(Errno::TooManyLinks)?;
        node.times.changed = SystemTime::now();
        self.enter(at.parent, &at.name, ino)
    }

    pub(super) fn rename(
        &mut self,
        old_start: Ino,
        old: &str,
        new_start: Ino,
        new: &str,
    ) -> Result<(), Errno> {
        let old = self.walk(old_start, old, Last::Name)?;
        let new = self.walk(new_start, new, Last::Name)?;
        let (
            Place::Entry { parent: from, name: old_name, ino, slash: old_slash },
            Place::Entry { parent: to, name: new_name, ino: replaced, slash: new_slash },
        ) = (old, new)
        else {
            return Err(Errno::Busy);
        };
        let ino = ino.ok_or(Errno::NoEntry)?;
        let is_directory = self.file_type(ino) == Some(FileType::Directory);
        if !is_directory && (old_slash || new_slash) {
            return Err(Errno::NotDirectory);
        }
        if is_directory && self.is_above(ino, to) {
            return Err(Errno::Invalid);
        }
        if self.is_removed(to) {
            return Err(Errno::NoEntry);
        }
        if let Some(replaced) = replaced {
            if replaced == ino {
                return Ok(());
            }
            let onto_directory = self.file_type(replaced) == Some(FileType::Directory);
            match (is_directory, onto_directory) {
                _ if onto_directory && self.is_above(replaced, from) => {
                    return Err(Errno::NotEmpty);
                }
                (true, false) => return Err(Errno::NotDirectory),
                (false, true) => return Err(Errno::IsDirectory),
                (true, true) if self.entry_after(replaced, None).is_some() => {
                    return Err(Errno::NotEmpty);
                }
                _ => {}
            }
        }
        // The node, the new entry, and both directories may become the dyno's own by this.
        self.room(4)?;
        self.leave(from, &old_name)?;
        self.enter(to, &new_name, ino)?;
        let node = self.node(ino)?;
        node.times.changed = SystemTime::now();
        if let Kind::Directory(directory) = &mut node.kind {
            directory.parent = to;
        }
        match replaced {
            Some(replaced) => self.unlink_node(replaced),
            None => Ok(()),
        }
    }

    pub(super) fn set_times(&mut self, ino: Ino, times: NewTimes) -> Result<(), Errno> {
        self.room(1)?;
        let node = self.node(ino)?;
        node.times.accessed = times.accessed.unwrap_or(node.times.accessed);
        node.times.modified = times.modified.unwrap_or(node.times.modified);
        node.times.changed = SystemTime::now();
        Ok(())
    }
}
