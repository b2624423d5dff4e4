//! A pipe that a guest writes to and the host reads from. It holds a bounded number of bytes, so a guest that
//! prints for ever waits for its reader.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

/// Makes a pipe that holds at most `capacity` bytes (at least one).
pub(crate) fn pipe(capacity: usize) -> (Writer, Reader) {
    let state = State {
        buffer: BytesMut::new(),
        capacity: capacity.max(1),
        writers: 1,
        read: true,
        writable: None,
        readable: None,
    };
    let state = Arc::new(Mutex::new(state));
    (Writer(Arc::clone(&state)), Reader(state))
}

struct State {
    buffer: BytesMut,
    capacity: usize,
    /// Those that may still write.
    writers: usize,
    /// Whether there is a reader.
    read: bool,
    writable: Option<Waker>,
    readable: Option<Waker>,
}

impl State {
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.buffer.len())
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if let Some(reader) = self.readable.take() {
            reader.wake();
        }
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<usize> {
        let room = self.room();
        if room == 0 && self.read {
            self.writable = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(room)
    }
}

/// The end that guests write to. When the last clone is gone, the reader sees the end.
pub(crate) struct Writer(Arc<Mutex<State>>);

impl Writer {
    /// Ends the pipe, whatever clones there are: what is in it can still be read.
    pub(crate) fn end(&self) {
        let mut state = self.0.lock();
        state.writers = 0;
        if let Some(reader) = state.readable.take() {
            reader.wake();
        }
    }
}

impl Clone for Writer {
    fn clone(&self) -> Self {
        let mut state = self.0.lock();
        if state.writers > 0 {
            state.writers += 1;
        }
        drop(state);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.writers = state.writers.saturating_sub(1);
        if state.writers == 0
            && let Some(reader) = state.readable.take()
        {
            reader.wake();
        }
    }
}

impl IsTerminal for Writer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Writer {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut state = self.0.lock();
        if !state.read || state.writers == 0 {
            return Err(StreamError::Closed);
        }
        if bytes.len() > state.room() {
            return Err(StreamError::trap("written more than was permitted"));
        }
        state.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        // What was written can be read at once.
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.0.lock();
        if state.read && state.writers > 0 { Ok(state.room()) } else { Err(StreamError::Closed) }
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.0.lock().poll_room(cx)).await;
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        let room = std::task::ready!(state.poll_room(cx));
        if !state.read || state.writers == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let bytes = bytes.get(..room).unwrap_or(bytes);
        state.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The end that the host reads. When it is gone, writes fail as on a closed pipe.
pub(crate) struct Reader(Arc<Mutex<State>>);

impl Reader {
    /// All that was written since the last time; `None` when no more can come.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.0.lock();
        if !state.buffer.is_empty() {
            let bytes = state.buffer.split().freeze();
            if let Some(writer) = state.writable.take() {
                writer.wake();
            }
            return Poll::Ready(Some(bytes));
        }
        if state.writers == 0 {
            return Poll::Ready(None);
        }
        state.readable = Some(cx.waker().clone());
        Poll::Pending
    }

    /// [`Reader::poll_next`] as a future.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.read = false;
        // Nobody will ask for it.
        state.buffer = BytesMut::new();
        if let Some(writer) = state.writable.take() {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_writer_that_does_not_end_waits_for_its_reader() {
        let (mut writer, mut reader) = pipe(8);
        assert_eq!(writer.check_write().unwrap(), 8);
        writer.write(Bytes::from_static(b"12345678")).unwrap();
        assert_eq!(writer.check_write().unwrap(), 0);
        assert!(writer.ready().now_or_never().is_none());
        let more = writer.write(Bytes::from_static(b"9"));
        assert!(matches!(more, Err(StreamError::Trap(_))), "{more:?}");
        assert_eq!(reader.next().await.unwrap(), "12345678");
        writer.ready().await;
        assert_eq!(writer.check_write().unwrap(), 8);
        assert!(reader.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_reader_sees_the_end_when_all_writers_are_gone_or_it_was_ended() {
        let (mut writer, mut reader) = pipe(8);
        let other = writer.clone();
        writer.write(Bytes::from_static(b"1")).unwrap();
        drop(writer);
        assert_eq!(reader.next().await.unwrap(), "1");
        assert!(reader.next().now_or_never().is_none());
        drop(other);
        assert_eq!(reader.next().await, None);

        let (mut writer, mut reader) = pipe(8);
        let other = writer.clone();
        writer.write(Bytes::from_static(b"1")).unwrap();
        writer.end();
        drop(other.clone());
        assert_eq!(reader.next().await.unwrap(), "1");
        assert_eq!(reader.next().await, None);
        assert!(matches!(writer.check_write(), Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn a_writer_learns_that_its_reader_is_gone() {
        let (mut writer, reader) = pipe(1);
        writer.write(Bytes::from_static(b"1")).unwrap();
        let waiting = tokio::spawn(async move {
            writer.ready().await;
            writer.check_write()
        });
        tokio::task::yield_now().await;
        drop(reader);
        assert!(matches!(waiting.await.unwrap(), Err(StreamError::Closed)));
    }
}
