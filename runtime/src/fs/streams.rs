//! Files as byte streams of wasi:io.
//!
//! A stream does at once what the page cache allows and hands the rest to a thread that may block. It
//! buffers little: a read ahead of its reader is one page at most, and what a writer may hand over comes out
//! of one budget per dyno, so that ten thousand streams are no more memory than a few.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::task::{JoinError, JoinHandle};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::{
    content::Written,
    disk::{Handle, Share},
    errno::Errno,
};

/// What is read for a guest that does not wait for it.
const READ_AHEAD_BYTES: usize = 4096;

/// Work in the background. A task, and not only a future of the stream: the guest need not wait for it, and
/// others of its streams may be waiting for the thread that it has.
type Work<T> = JoinHandle<Result<T, Errno>>;

fn finished<T>(done: Result<Result<T, Errno>, JoinError>) -> Result<T, Errno> {
    done.unwrap_or(Err(Errno::Io))
}

/// Looks whether work is done. Whoever waits for it later is woken all the same.
fn poll<T>(work: &mut Work<T>) -> Option<Result<T, Errno>> {
    match Pin::new(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(finished(done)),
        Poll::Pending => None,
    }
}

fn failed(error: Errno) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}

/// Reads a file from a position on.
pub(super) struct Reader {
    handle: Arc<Handle>,
    position: u64,
    state: Reading,
}

enum Reading {
    Idle,
    Busy(Work<Bytes>),
    /// Read, but not fetched.
    Done(Result<Bytes, Errno>),
    Closed,
}

impl Reader {
    pub(super) fn new(handle: Arc<Handle>, position: u64) -> Self {
        Self { handle, position, state: Reading::Idle }
    }

    /// Gives at most `size` of the bytes that were read and keeps the rest.
    fn give(&mut self, read: Result<Bytes, Errno>, size: usize) -> StreamResult<Bytes> {
        match read {
            Ok(bytes) if bytes.is_empty() => {
                self.state = Reading::Closed;
                Err(StreamError::Closed)
            }
            Ok(mut bytes) => {
                let given = bytes.split_to(size.min(bytes.len()));
                self.position = self.position.saturating_add(given.len() as u64);
                self.state =
                    if bytes.is_empty() { Reading::Idle } else { Reading::Done(Ok(bytes)) };
                Ok(given)
            }
            Err(error) => {
                self.state = Reading::Closed;
                Err(failed(error))
            }
        }
    }
}

#[async_trait::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let read = match std::mem::replace(&mut self.state, Reading::Idle) {
            Reading::Closed => {
                self.state = Reading::Closed;
                return Err(StreamError::Closed);
            }
            state if size == 0 => {
                self.state = state;
                return Ok(Bytes::new());
            }
            Reading::Done(read) => read,
            Reading::Idle => match self.handle.read_now(self.position, size) {
                Ok(Some(bytes)) => Ok(bytes),
                Err(error) => Err(error),
                Ok(None) => {
                    let (handle, position) = (Arc::clone(&self.handle), self.position);
                    let len = size.min(READ_AHEAD_BYTES);
                    let work = async move { handle.read_waiting(position, len).await };
                    self.state = Reading::Busy(tokio::spawn(work));
                    return Ok(Bytes::new());
                }
            },
            Reading::Busy(mut work) => match poll(&mut work) {
                Some(read) => read,
                None => {
                    self.state = Reading::Busy(work);
                    return Ok(Bytes::new());
                }
            },
        };
        self.give(read, size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.ready().await;
        if matches!(self.state, Reading::Idle) && size > 0 {
            let read = self.handle.read(self.position, size).await;
            return self.give(read, size);
        }
        self.read(size)
    }

    async fn cancel(&mut self) {
        // A thread that reads cannot be stopped; it counts as this dyno's until it is done.
        self.ready().await;
        self.state = Reading::Closed;
    }
}

#[async_trait::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if let Reading::Busy(work) = &mut self.state {
            self.state = Reading::Done(finished(work.await));
        }
    }
}

/// Writes a file from a position on, or at its end.
pub(super) struct Writer {
    handle: Arc<Handle>,
    /// `None` appends.
    position: Option<u64>,
    state: Writing,
    /// What the guest was told that it may write.
    promised: Option<Share>,
}

enum Writing {
    Idle,
    Busy(Work<u64>),
    Failed(Errno),
    Closed,
}

impl Writer {
    pub(super) fn new(handle: Arc<Handle>, position: Option<u64>) -> Self {
        Self { handle, position, state: Writing::Idle, promised: None }
    }

    fn finish(&mut self, written: Result<u64, Errno>) {
        self.state = match written {
            Ok(end) => {
                self.position = self.position.map(|_| end);
                Writing::Idle
            }
            Err(error) => Writing::Failed(error),
        };
    }

    /// Whether the stream can take something; false while it is busy.
    fn check(&mut self) -> StreamResult<bool> {
        if let Writing::Busy(work) = &mut self.state
            && let Some(written) = poll(work)
        {
            self.finish(written);
        }
        match &self.state {
            Writing::Idle => Ok(true),
            Writing::Busy(_) => Ok(false),
            Writing::Closed => Err(StreamError::Closed),
            Writing::Failed(error) => {
                let error = failed(*error);
                self.state = Writing::Closed;
                Err(error)
            }
        }
    }
}

#[async_trait::async_trait]
impl OutputStream for Writer {
    fn check_write(&mut self) -> StreamResult<usize> {
        if !self.check()? {
            return Ok(0);
        }
        let handle = &self.handle;
        Ok(self.promised.get_or_insert_with(|| handle.disk().buffer()).bytes())
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let promised = self.promised.take().filter(|promised| bytes.len() <= promised.bytes());
        let (Some(promised), true) = (promised, self.check()?) else {
            return Err(StreamError::trap("more was written than check-write allowed"));
        };
        match self.handle.write_now(self.position, &bytes) {
            Ok(Written::To(end)) => self.finish(Ok(end)),
            Ok(Written::Blocked { offset, done }) => {
                let handle = Arc::clone(&self.handle);
                self.state = Writing::Busy(tokio::spawn(async move {
                    let written = handle.write_waiting(offset, bytes.slice(done..)).await;
                    drop(promised);
                    written
                }));
            }
            Err(error) => {
                self.state = Writing::Closed;
                return Err(failed(error));
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        // Nothing is held back, and `check_write` waits for what is under way.
        self.check().map(drop)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.ready().await;
        self.check()?;
        let written = self.handle.write(self.position, bytes).await;
        self.finish(written);
        self.check().map(drop)
    }

    async fn cancel(&mut self) {
        // What was written before the stream is dropped is written.
        self.ready().await;
        self.state = Writing::Closed;
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        if let Writing::Busy(work) = &mut self.state {
            let written = finished(work.await);
            self.finish(written);
        }
    }
}
