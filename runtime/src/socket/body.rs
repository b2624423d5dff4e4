//! The body of a dyno's response on its way to the client.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use wasmtime_wasi_http::Error as WasiError;

use super::{dyno::Dyno, links::Link};

/// Reads the response and moves its connection's bytes; when it has been read the connection is kept for the next
/// request, and when it is dropped before that the connection ends.
pub(super) struct Download {
    body: Incoming,
    /// `None` when it was given back, or moves by itself.
    link: Option<Link>,
    /// Whose connection it is.
    dyno: Option<Arc<Dyno>>,
}

impl Download {
    pub(super) fn new(body: Incoming, link: Link, dyno: &Arc<Dyno>) -> Self {
        let mut this = Self { body, link: Some(link), dyno: Some(Arc::clone(dyno)) };
        if this.body.is_end_stream() {
            this.complete();
        }
        this
    }

    /// Of a connection that is polled elsewhere.
    pub(super) fn apart(body: Incoming) -> Self {
        Self { body, link: None, dyno: None }
    }

    fn complete(&mut self) {
        if let (Some(link), Some(dyno)) = (self.link.take(), self.dyno.take()) {
            dyno.links.keep(link);
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        if let Some(link) = &mut self.link {
            link.advance(cx);
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.complete(),
            Poll::Ready(None) => self.complete(),
            Poll::Ready(Some(Err(_))) => self.link = None,
            // Room may have come free by the read.
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        // Whoever sends it on knows his own reasons to end; this one is the dyno's.
        polled.map_err(|_| WasiError::ConnectionTerminated)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
