//! File operations that do not wait for the disk, where the operating system has such.

use std::{fs::File, io, path::Path};

#[cfg(target_os = "linux")]
mod system {
    use std::io::{IoSlice, IoSliceMut};

    use rustix::{
        fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
        io::{Errno, ReadWriteFlags, preadv2, pwritev2},
    };

    use super::{File, Path, io};

    pub(super) fn open(path: &Path, write: bool) -> rustix::io::Result<File> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).map(File::from)
    }

    pub(super) fn read(file: &File, buffer: &mut [u8], offset: u64) -> rustix::io::Result<usize> {
        preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT)
    }

    pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> rustix::io::Result<usize> {
        pwritev2(file, &[IoSlice::new(bytes)], offset, ReadWriteFlags::NOWAIT)
    }

    /// `None` where it would wait, and where the kernel or its file system cannot do without waiting. A
    /// sandbox around the host may refuse calls that it does not know.
    pub(super) fn unless_waiting<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(
                Errno::AGAIN
                | Errno::OPNOTSUPP
                | Errno::NOSYS
                | Errno::INVAL
                | Errno::PERM
                | Errno::INTR,
            ) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{File, Path, io};

    pub(super) fn open(_: &Path, _: bool) -> Option<File> {
        None
    }

    pub(super) fn read(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
        None
    }

    pub(super) fn write(_: &File, _: &[u8], _: u64) -> Option<usize> {
        None
    }

    pub(super) fn unless_waiting<T>(result: Option<T>) -> io::Result<Option<T>> {
        Ok(result)
    }
}

/// Opens an existing file whose path is in the kernel's cache of names.
pub(super) fn open(path: &Path, write: bool) -> io::Result<Option<File>> {
    system::unless_waiting(system::open(path, write))
}

/// Reads what is in the page cache.
pub(super) fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
    system::unless_waiting(system::read(file, buffer, offset))
}

/// Writes as much as the page cache takes at once, and tells how much.
pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    Ok(system::unless_waiting(system::write(file, bytes, offset))?.unwrap_or(0))
}
