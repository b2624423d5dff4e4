//! From a path to a node.
//!
//! A walk starts at a directory that the guest holds and can only go down from there and up again: `..`
//! pops the stack of directories it came through, and at the bottom there is nothing to pop. A symlink's
//! target is walked by the same rule from where the symlink is. So there is no path, however it is built, that
//! leads outside, and no check that could be forgotten.

use std::borrow::Cow;

use super::{errno::Errno, node::FileType, node::Ino, volume::Volume};

/// Symlinks that one walk follows, as on Linux.
const SYMLINKS: usize = 40;
/// The longest name of an entry in bytes, as on Linux.
const NAME_BYTES: usize = 255;

/// What to do when the last name is a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Go where it leads.
    Follow,
    /// Go where it leads, unless a slash behind a name rules out that it is made.
    FollowToMake,
    /// Stay, unless a slash after the name asks for what it leads to.
    Stay,
    /// Stay in any case: the operation is about the name itself.
    Name,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The path ends in `.` or `..`: a directory without a name.
    Directory(Ino),
    /// A name in an existing directory, whether or not there is something under it.
    Entry { parent: Ino, name: Box<str>, ino: Option<Ino>, slash: bool },
}

impl Volume {
    /// Walks `path` from the directory `start`.
    pub(super) fn walk(&self, start: Ino, path: &str, last: Last) -> Result<Place, Errno> {
        if path.is_empty() {
            return Err(Errno::NoEntry);
        }
        if path.len() > self.path_bytes() {
            return Err(Errno::NameTooLong);
        }
        if path.contains('\0') {
            return Err(Errno::Invalid);
        }
        let mut path = Cow::Borrowed(path);
        let mut at = 0;
        let mut above = Vec::new();
        let mut here = start;
        let mut symlinks = 0;
        if path.starts_with('/') {
            return Err(Errno::NotPermitted);
        }
        loop {
            let rest = path.get(at..).unwrap_or_default();
            let (name, behind) = rest.split_once('/').unwrap_or((rest, ""));
            let slash = name.len() < rest.len();
            let behind = behind.trim_start_matches('/');
            let next = path.len() - behind.len();
            let is_last = behind.is_empty();
            match name {
                "" | "." => {}
                ".." => here = above.pop().ok_or(Errno::NotPermitted)?,
                name if name.len() > NAME_BYTES => return Err(Errno::NameTooLong),
                name => {
                    let ino = self.lookup(here, name);
                    let target = match ino {
                        Some(ino) if !is_last || last.follows(slash) => self.symlink(ino),
                        _ => None,
                    };
                    if let Some(target) = target {
                        symlinks += 1;
                        if symlinks > SYMLINKS {
                            return Err(Errno::Loop);
                        }
                        // The host refuses to make such a symlink; nothing depends on that here.
                        if target.starts_with('/') {
                            return Err(Errno::NotPermitted);
                        }
                        let slash = if slash { "/" } else { "" };
                        path = Cow::Owned(format!("{target}{slash}{behind}"));
                        at = 0;
                        continue;
                    }
                    if is_last {
                        return Ok(Place::Entry { parent: here, name: name.into(), ino, slash });
                    }
                    let ino = ino.ok_or(Errno::NoEntry)?;
                    if self.file_type(ino) != Some(FileType::Directory) {
                        return Err(Errno::NotDirectory);
                    }
                    above.push(here);
                    here = ino;
                }
            }
            if is_last {
                return Ok(Place::Directory(here));
            }
            at = next;
        }
    }

    /// The node that `path` leads to, which must exist.
    pub(super) fn find(&self, start: Ino, path: &str, last: Last) -> Result<Ino, Errno> {
        match self.walk(start, path, last)? {
            Place::Directory(ino) => Ok(ino),
            Place::Entry { ino: None, .. } => Err(Errno::NoEntry),
            Place::Entry { ino: Some(ino), slash, .. } => {
                let directory = self.file_type(ino) == Some(FileType::Directory);
                if slash && !directory { Err(Errno::NotDirectory) } else { Ok(ino) }
            }
        }
    }
}

impl Last {
    fn follows(self, slash: bool) -> bool {
        match self {
            Self::Follow => true,
            Self::FollowToMake => !slash,
            Self::Stay => slash,
            Self::Name => false,
        }
    }
}
