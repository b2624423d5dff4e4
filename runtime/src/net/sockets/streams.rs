//! The streams of a connected socket, straight on its pipes: no task and no buffer of their own.

use std::{future::poll_fn, io, sync::Arc};

use bytes::Bytes;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::net::pipe::{Broken, Ended, Pipe};

/// What the guest reads from.
pub(super) struct Input(pub(super) Arc<Pipe>);

/// What the guest writes to.
pub(super) struct Output(pub(super) Arc<Pipe>);

/// The guest finds the error behind the stream's by `network-error-code`, which knows `io::Error`.
fn reset() -> StreamError {
    StreamError::LastOperationFailed(io::Error::from(io::ErrorKind::ConnectionReset).into())
}

#[async_trait::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.poll_readable(cx)).await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.0.read(size).map_err(|ended| match ended {
            Ended::Clean => StreamError::Closed,
            Ended::Reset => reset(),
        })
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // The other direction may go on.
        self.0.discard();
    }
}

impl Output {
    fn broken(why: &Broken) -> StreamError {
        match why {
            Broken::Closed => StreamError::Closed,
            Broken::Reset => reset(),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.poll_writable(cx)).await;
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.0.write(bytes) {
            Some(result) => result.map_err(|why| Self::broken(&why)),
            None => Err(StreamError::trap("written more than check-write permitted")),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        // What was written is where its reader takes it from.
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.grant().map_err(|why| Self::broken(&why))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.close();
    }
}
