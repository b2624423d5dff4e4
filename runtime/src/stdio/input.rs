//! Standard input from any stream of bytes. The stream is polled only when the guest asks for more, so
//! whoever sends waits for the guest.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime_wasi::{
    cli::{IsTerminal, StdinStream},
    p2::{InputStream, Pollable, StreamError, StreamResult},
};

/// Where the bytes come from.
pub(crate) type Source = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Standard input of one instance. Clones read from the same stream.
#[derive(Clone)]
pub(crate) struct Input {
    state: Arc<Mutex<State>>,
    terminal: bool,
}

struct State {
    /// `None` after its end.
    source: Option<Source>,
    /// Received and not read yet; the source decides how much that is at most.
    received: Bytes,
    error: Option<io::Error>,
}

impl Input {
    pub(crate) fn new(source: Source) -> Self {
        let state = State { source: Some(source), received: Bytes::new(), error: None };
        Self { state: Arc::new(Mutex::new(state)), terminal: false }
    }

    /// The same as a terminal's.
    pub(crate) fn of_terminal(self) -> Self {
        Self { terminal: true, ..self }
    }
}

impl State {
    /// Ready when there is something to read: bytes, an error, or the end.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.received.is_empty() && self.error.is_none() {
            let Some(source) = &mut self.source else { break };
            match std::task::ready!(source.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => self.received = bytes,
                Some(Err(error)) => {
                    self.error = Some(error);
                    self.source = None;
                }
                None => self.source = None,
            }
        }
        Poll::Ready(())
    }

    /// At most `size` bytes; `None` at the end.
    fn take(&mut self, size: usize) -> io::Result<Option<Bytes>> {
        if !self.received.is_empty() {
            let size = size.min(self.received.len());
            return Ok(Some(self.received.split_to(size)));
        }
        match (self.error.take(), &self.source) {
            (Some(error), _) => Err(error),
            (None, Some(_)) => Ok(Some(Bytes::new())),
            (None, None) => Ok(None),
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

impl StdinStream for Input {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut state = self.state.lock();
        // A guest may ask again and again instead of waiting.
        let _ = state.poll_ready(&mut Context::from_waker(Waker::noop()));
        match state.take(size) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(StreamError::Closed),
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.state.lock().poll_ready(cx)).await;
    }
}

impl AsyncRead for Input {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        std::task::ready!(state.poll_ready(cx));
        let taken = state.take(buffer.remaining())?;
        buffer.put_slice(&taken.unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn is_read_only_as_the_guest_asks() {
        let polled = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&polled);
        let parts = stream::iter(["hello", "", "world"]).map(move |part| {
            seen.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from(part))
        });
        let mut input = Input::new(Box::pin(parts));
        assert_eq!(polled.load(Ordering::Relaxed), 0);
        input.ready().await;
        assert_eq!(input.read(3).unwrap(), "hel");
        assert_eq!(input.clone().read(100).unwrap(), "lo");
        assert_eq!(polled.load(Ordering::Relaxed), 1);
        assert_eq!(input.read(100).unwrap(), "world", "without waiting, and past an empty part");
        input.ready().await;
        assert!(matches!(input.read(1), Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn waits_and_reports_errors_after_what_came_before() {
        let mut silent = Input::new(Box::pin(stream::pending()));
        assert!(silent.ready().now_or_never().is_none());
        assert_eq!(silent.read(1).unwrap(), "", "nothing yet");

        let parts = [Ok(Bytes::from("a")), Err(io::Error::other("broken"))];
        let mut input = Input::new(Box::pin(stream::iter(parts)));
        assert_eq!(input.read(1).unwrap(), "a");
        input.ready().await;
        assert!(matches!(input.read(1), Err(StreamError::LastOperationFailed(_))));
        assert!(matches!(input.read(1), Err(StreamError::Closed)));
    }
}
