//! Reading and writing the bytes of files.
//!
//! Each operation can run in two ways. `Mode::Now` is for threads that serve requests: whatever would wait for
//! the disk, or for another operation on the same file, stops there and says so. `Mode::Wait` goes on, on a
//! thread that may block. What is in the page cache is read without changing threads.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};

use super::{
    disk::Disk,
    errno::Errno,
    node::{Content, Ino},
    now,
};

/// The most that one read gives, in bytes; wasmtime's own streams use the same.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// Whether an operation may block its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Now,
    Wait,
}

/// The private content of one file. While the host's file is shorter than the file's size, the rest is
/// zeros.
#[derive(Debug)]
pub(super) struct Private {
    ino: Ino,
    /// Held by whatever changes the content, so that changes happen one after the other and the bytes on the
    /// disk are never more than the size that is counted.
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is on the disk yet. The content is as many bytes of the base's file, if any.
    Unmade(Option<(Ino, u64)>),
    /// The host's file exists.
    Made,
}

impl Private {
    pub(super) fn empty(ino: Ino) -> Self {
        Self { ino, state: Mutex::new(State::Unmade(None)) }
    }

    /// The first `len` bytes of a file of the base.
    pub(super) fn copy_of(ino: Ino, base: Ino, len: u64) -> Self {
        let from = (len > 0).then_some((base, len));
        Self { ino, state: Mutex::new(State::Unmade(from)) }
    }

    fn lock(&self, mode: Mode) -> Option<MutexGuard<'_, State>> {
        match mode {
            Mode::Now => self.state.try_lock(),
            Mode::Wait => Some(self.state.lock()),
        }
    }
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it; the file position behind it.
    To(u64),
    /// The rest, from byte `done` on, has to wait for the disk and belongs at `offset`, or at the end.
    Blocked { offset: Option<u64>, done: usize },
}

/// A host file of a dyno, for its cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Base(Ino),
    Private(Ino),
}

impl Key {
    pub(super) fn ino(self) -> Ino {
        let (Self::Base(ino) | Self::Private(ino)) = self;
        ino
    }
}

impl Disk {
    /// Reads at most `len` bytes at `offset`; none at the end of the file. `None` when that would block.
    pub(super) fn read(
        &self,
        ino: Ino,
        offset: u64,
        len: usize,
        mode: Mode,
    ) -> Result<Option<Bytes>, Errno> {
        let (size, content) = self.with(|volume| volume.content(ino))?;
        let mut len = size.saturating_sub(offset).min(len.min(CHUNK_BYTES) as u64);
        if len == 0 {
            return Ok(Some(Bytes::new()));
        }
        let key = match &content {
            Content::Base(ino) => Key::Base(*ino),
            Content::Private(private) => {
                let Some(state) = private.lock(mode) else { return Ok(None) };
                match *state {
                    State::Made => Key::Private(private.ino),
                    State::Unmade(Some((base, keep))) if offset < keep => {
                        len = len.min(keep - offset);
                        Key::Base(base)
                    }
                    State::Unmade(_) => return Ok(Some(zeros(len))),
                }
            }
        };
        let Some(file) = self.host_file(key, mode)? else { return Ok(None) };
        let mut buffer = BytesMut::zeroed(usize::try_from(len).unwrap_or(CHUNK_BYTES));
        let count = match mode {
            Mode::Now => match now::read(&file, &mut buffer, offset)? {
                Some(count) => count,
                None => return Ok(None),
            },
            Mode::Wait => read_at(&file, &mut buffer, offset)?,
        };
        match (count, key) {
            // The host's file ends here; what the guest has beyond are zeros.
            (0, Key::Private(_)) => Ok(Some(zeros(len))),
            (0, Key::Base(_)) => Err(std::io::Error::other("a blob is too short").into()),
            (count, _) => {
                buffer.truncate(count);
                Ok(Some(buffer.freeze()))
            }
        }
    }

    /// Writes all of `bytes` at `offset`, or at the end. When the disk fails the file may be left longer,
    /// with zeros.
    pub(super) fn write(
        &self,
        ino: Ino,
        offset: Option<u64>,
        bytes: &[u8],
        mode: Mode,
    ) -> Result<Written, Errno> {
        if bytes.is_empty() {
            return Ok(Written::To(offset.unwrap_or_default()));
        }
        let private = self.with(|volume| volume.private(ino))?;
        let Some(mut state) = private.lock(mode) else {
            return Ok(Written::Blocked { offset, done: 0 });
        };
        let start = self.with(|volume| volume.extend(ino, offset, bytes.len() as u64))?;
        let blocked = |done| {
            let offset = start.saturating_add(done as u64);
            Ok(Written::Blocked { offset: Some(offset), done })
        };
        let file = match (*state, mode) {
            (State::Made, _) => self.host_file(Key::Private(ino), mode)?,
            (State::Unmade(_), Mode::Now) => None,
            (State::Unmade(from), Mode::Wait) => {
                let file = self.make(ino, from)?;
                *state = State::Made;
                Some(file)
            }
        };
        let Some(file) = file else { return blocked(0) };
        let done = match mode {
            Mode::Now => now::write(&file, bytes, start)?,
            Mode::Wait => {
                file.write_all_at(bytes, start)?;
                bytes.len()
            }
        };
        if done < bytes.len() {
            return blocked(done);
        }
        Ok(Written::To(start.saturating_add(done as u64)))
    }

    /// Sets a file's size. Only cutting content that is on the disk needs the disk. False when that would
    /// block.
    pub(super) fn set_size(&self, ino: Ino, size: u64, mode: Mode) -> Result<bool, Errno> {
        if i64::try_from(size).is_err() {
            return Err(Errno::FileTooLarge);
        }
        let private = self.with(|volume| volume.private_up_to(ino, size))?;
        let Some(mut state) = private.lock(mode) else { return Ok(false) };
        match &mut *state {
            State::Unmade(Some((_, keep))) if size > 0 => *keep = size.min(*keep),
            State::Unmade(from) => *from = from.filter(|_| size > 0),
            State::Made => {
                let old = self.with(|volume| volume.content(ino))?.0;
                if size < old {
                    if mode == Mode::Now {
                        return Ok(false);
                    }
                    if let Some(file) = self.host_file(Key::Private(ino), mode)? {
                        file.set_len(size)?;
                    }
                }
            }
        }
        self.with(|volume| volume.resize(ino, size))?;
        Ok(true)
    }

    /// Makes the host's file of private content, with a copy of what it had in the base.
    fn make(&self, ino: Ino, from: Option<(Ino, u64)>) -> Result<Arc<File>, Errno> {
        let mut file = self.storage().create(ino.0)?;
        if let Some((base, len)) = from {
            let copied = self.host_file(Key::Base(base), Mode::Wait).and_then(|blob| {
                let blob = blob.ok_or(Errno::Io)?;
                copy(&blob, &mut file, len)
            });
            if let Err(error) = copied {
                // At once: the next write tries again.
                self.storage().remove_waiting(ino.0);
                return Err(error);
            }
        }
        let file = Arc::new(file);
        self.keep(Key::Private(ino), &file);
        Ok(file)
    }

    /// The host's file, open. `None` when opening it would block.
    fn host_file(&self, key: Key, mode: Mode) -> Result<Option<Arc<File>>, Errno> {
        if let Some(file) = self.kept(key) {
            return Ok(Some(file));
        }
        let path = match key {
            Key::Base(ino) => self.with(|volume| volume.base().blob(ino)),
            Key::Private(ino) => self.storage().path(ino.0),
        };
        let path = path.ok_or(Errno::Io)?;
        let write = matches!(key, Key::Private(_));
        let file = match mode {
            Mode::Now => now::open(&path, write)?,
            Mode::Wait => Some(File::options().read(true).write(write).open(&path)?),
        };
        let Some(file) = file.map(Arc::new) else { return Ok(None) };
        self.keep(key, &file);
        Ok(Some(file))
    }
}

/// Copies the first `len` bytes. The blob's own file position is shared, so it is read by offset.
fn copy(blob: &File, to: &mut File, len: u64) -> Result<(), Errno> {
    let mut from = At { file: blob, offset: 0 }.take(len);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut copied = 0_u64;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        copied = copied.saturating_add(count as u64);
    }
    if copied != len {
        return Err(std::io::Error::other("a blob is too short").into());
    }
    Ok(())
}

struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = read_at(self.file, buffer, self.offset)?;
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// At most a chunk of zeros, not allocated.
fn zeros(len: u64) -> Bytes {
    let len = usize::try_from(len).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
    Bytes::from_static(&ZEROS).slice(..len)
}
