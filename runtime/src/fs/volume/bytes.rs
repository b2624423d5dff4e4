//! Private content and sizes, and how many bytes that may be.

use std::{sync::Arc, time::SystemTime};

use super::Volume;
use crate::fs::{
    content::Private,
    errno::Errno,
    node::{Content, File, Ino, Kind},
};

impl Volume {
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
    pub(in crate::fs) fn private(&mut self, ino: Ino) -> Result<Arc<Private>, Errno> {
        self.private_up_to(ino, u64::MAX)
    }

    /// As [`Volume::private`], but of a base's file only the first `keep` bytes stay.
    pub(in crate::fs) fn private_up_to(
        &mut self,
        ino: Ino,
        keep: u64,
    ) -> Result<Arc<Private>, Errno> {
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
    pub(in crate::fs) fn extend(
        &mut self,
        ino: Ino,
        offset: Option<u64>,
        len: u64,
    ) -> Result<u64, Errno> {
        let size = self.file(ino)?.size;
        let offset = offset.unwrap_or(size);
        let end = offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or(Errno::FileTooLarge)?;
        self.resize(ino, size.max(end))?;
        Ok(offset)
    }

    /// Sets the size of a file with private content.
    pub(in crate::fs) fn resize(&mut self, ino: Ino, size: u64) -> Result<(), Errno> {
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
