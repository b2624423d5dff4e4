//! A dyno's file system: the tables of the [`Volume`] and the content on the host's disk together, shared by
//! the descriptors and streams of one guest.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wpaas_slug::Limits;

use super::{
    base::Base,
    content::{CHUNK_BYTES, Key, Mode, Written},
    errno::Errno,
    node::Ino,
    paths::How,
    volume::Volume,
};
use crate::{
    lines::DynoLog,
    tmp::{Storage, TmpRoot},
};

/// Operations of one dyno that wait for the disk at the same time, each on a thread of its own.
const LANES: usize = 4;
/// What a stream may buffer even if the dyno has used up its share, so that every stream can go on.
const LEAST_BUFFER_BYTES: u64 = 512;

/// One dyno's files. Making one makes no system call.
pub(crate) struct Disk {
    volume: Mutex<Volume>,
    storage: Storage,
    /// Host files that are kept open, the last used at the end.
    files: Mutex<Vec<(Key, Arc<File>)>>,
    files_limit: usize,
    lanes: Semaphore,
    /// Bytes that output streams may still promise to buffer.
    buffers: AtomicU64,
    log: DynoLog,
    told: AtomicBool,
}

impl Disk {
    pub(crate) fn new(
        base: Arc<Base>,
        root: &Arc<TmpRoot>,
        limits: &Limits,
        log: DynoLog,
    ) -> Arc<Self> {
        Arc::new(Self {
            volume: Mutex::new(Volume::new(base, limits)),
            storage: Storage::new(Arc::clone(root)),
            files: Mutex::default(),
            files_limit: Limits::size(limits.dyno_host_files).max(1),
            lanes: Semaphore::new(LANES),
            buffers: AtomicU64::new(limits.dyno_write_buffer_bytes),
            log,
            told: AtomicBool::new(false),
        })
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Uses the tables, and clears away afterwards what has no name and no user any more.
    pub(super) fn with<R>(&self, use_it: impl FnOnce(&mut Volume) -> R) -> R {
        let mut volume = self.volume.lock();
        let result = use_it(&mut volume);
        let (garbage, exceeded) = volume.take_events();
        drop(volume);
        for ino in garbage {
            self.forget(ino);
            self.storage.remove(ino.0);
        }
        if let Some(text) = exceeded
            && !self.told.swap(true, Ordering::Relaxed)
        {
            self.log.platform(&text);
        }
        result
    }

    // -- host files

    pub(super) fn kept(&self, key: Key) -> Option<Arc<File>> {
        let mut files = self.files.lock();
        let at = files.iter().position(|(kept, _)| *kept == key)?;
        let entry = files.remove(at);
        let file = Arc::clone(&entry.1);
        files.push(entry);
        Some(file)
    }

    pub(super) fn keep(&self, key: Key, file: &Arc<File>) {
        let mut files = self.files.lock();
        files.retain(|(kept, _)| *kept != key);
        if files.len() >= self.files_limit {
            files.remove(0);
        }
        files.push((key, Arc::clone(file)));
    }

    fn forget(&self, ino: Ino) {
        self.files.lock().retain(|(kept, _)| kept.ino() != ino);
    }

    // -- buffers

    /// A share of the dyno's buffer, as much as a chunk if there is that much.
    pub(super) fn buffer(self: &Arc<Self>) -> Share {
        let mut got = 0;
        let take = |left: u64| {
            got = left.min(CHUNK_BYTES as u64);
            Some(left - got)
        };
        let _ = self.buffers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        Share { disk: Arc::clone(self), taken: got }
    }
}

/// A part of what one dyno may have written and the host not yet stored.
pub(super) struct Share {
    disk: Arc<Disk>,
    taken: u64,
}

impl Share {
    pub(super) fn bytes(&self) -> usize {
        Limits::size(self.taken.max(LEAST_BUFFER_BYTES))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.disk.buffers.fetch_add(self.taken, Ordering::Relaxed);
    }
}

/// A node that is open. It stays as long as this lives, also without a name.
pub(super) struct Handle {
    disk: Arc<Disk>,
    ino: Ino,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.disk.with(|volume| volume.release(self.ino)) {
            self.disk.forget(self.ino);
        }
    }
}

impl Handle {
    /// Opens a node that exists for as long as the dyno does.
    pub(super) fn root(disk: &Arc<Disk>, ino: Ino) -> Arc<Self> {
        disk.with(|volume| volume.acquire(ino));
        Arc::new(Self { disk: Arc::clone(disk), ino })
    }

    /// Opens what `path` leads to from this directory.
    pub(super) async fn open(self: &Arc<Self>, path: &str, how: How) -> Result<Arc<Self>, Errno> {
        let ino = self.disk.with(|volume| {
            let ino = volume.open(self.ino, path, how)?;
            volume.acquire(ino);
            Ok::<_, Errno>(ino)
        })?;
        let opened = Arc::new(Self { disk: Arc::clone(&self.disk), ino });
        if how.truncate {
            opened.set_size(0).await?;
        }
        Ok(opened)
    }

    pub(super) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    pub(super) fn ino(&self) -> Ino {
        self.ino
    }

    /// Uses the tables with this node's number.
    pub(super) fn with<R>(&self, use_it: impl FnOnce(&mut Volume, Ino) -> R) -> R {
        self.disk.with(|volume| use_it(volume, self.ino))
    }

    /// Runs `work` on a thread that may block, when it is this dyno's turn.
    async fn wait<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<R, Errno> + Send + 'static,
    ) -> Result<R, Errno> {
        let _lane = self.disk.lanes.acquire().await.map_err(|_| Errno::Io)?;
        let handle = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&handle)).await;
        done.map_err(|_| Errno::Io)?
    }

    /// Reads what can be read without waiting.
    pub(super) fn read_now(&self, offset: u64, len: usize) -> Result<Option<Bytes>, Errno> {
        self.disk.read(self.ino, offset, len, Mode::Now)
    }

    /// Reads and waits for the disk if need be.
    pub(super) async fn read_waiting(
        self: &Arc<Self>,
        offset: u64,
        len: usize,
    ) -> Result<Bytes, Errno> {
        let read = move |handle: &Self| handle.disk.read(handle.ino, offset, len, Mode::Wait);
        self.wait(read).await?.ok_or(Errno::Io)
    }

    pub(super) async fn read(self: &Arc<Self>, offset: u64, len: usize) -> Result<Bytes, Errno> {
        match self.read_now(offset, len)? {
            Some(bytes) => Ok(bytes),
            None => self.read_waiting(offset, len).await,
        }
    }

    /// Writes what can be written without waiting.
    pub(super) fn write_now(&self, offset: Option<u64>, bytes: &[u8]) -> Result<Written, Errno> {
        self.disk.write(self.ino, offset, bytes, Mode::Now)
    }

    /// Writes and waits for the disk if need be. The position behind what was written.
    pub(super) async fn write_waiting(
        self: &Arc<Self>,
        offset: Option<u64>,
        bytes: Bytes,
    ) -> Result<u64, Errno> {
        let write = move |handle: &Self| handle.disk.write(handle.ino, offset, &bytes, Mode::Wait);
        match self.wait(write).await? {
            Written::To(end) => Ok(end),
            Written::Blocked { .. } => Err(Errno::Io),
        }
    }

    pub(super) async fn write(
        self: &Arc<Self>,
        offset: Option<u64>,
        bytes: Bytes,
    ) -> Result<u64, Errno> {
        match self.write_now(offset, &bytes)? {
            Written::To(end) => Ok(end),
            Written::Blocked { offset, done } => {
                self.write_waiting(offset, bytes.slice(done..)).await
            }
        }
    }

    pub(super) async fn set_size(self: &Arc<Self>, size: u64) -> Result<(), Errno> {
        if self.disk.set_size(self.ino, size, Mode::Now)? {
            return Ok(());
        }
        let set = move |handle: &Self| handle.disk.set_size(handle.ino, size, Mode::Wait);
        self.wait(set).await.map(drop)
    }
}
