//! The body of a response that a guest asked for: a silence ends it, and so do the ends of its connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

/// The body with its time between two frames, and what is given back at its end.
pub(super) struct ResponseBody<B, H> {
    incoming: B,
    _held: H,
    idle: Duration,
    /// Set while the guest waits: the time in which it does not read is not the server's.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B, H> ResponseBody<B, H> {
    pub(super) fn new(incoming: B, idle: Duration, held: H) -> Self {
        Self { incoming, _held: held, idle, waiting: None }
    }
}

impl<B, H> Body for ResponseBody<B, H>
where
    B: Body<Data = Bytes, Error = Error> + Unpin,
    H: Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { incoming, idle, waiting, .. } = &mut *self;
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) {
            *waiting = None;
            return Poll::Ready(frame);
        }
        let until = Instant::now() + *idle;
        let sleep = waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
