//! The body of a response that a guest asked for: a silence ends it, and so do the ends of its connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

use super::http::from_hyper;

/// The body with its time between two frames.
pub(super) struct ResponseBody {
    incoming: Incoming,
    idle: Duration,
    /// Set while the guest waits: the time in which it does not read is not the server's.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, idle: Duration) -> Self {
        Self { incoming, idle, waiting: None }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { incoming, idle, waiting } = &mut *self;
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) {
            *waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| from_hyper(&error))));
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
