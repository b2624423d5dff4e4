//! The body of a request on its way to the dyno. Of a request with `Expect: 100-continue` it begins when the dyno
//! asks for it: reading it makes the client send it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::task::AtomicWaker;
use http::{Request, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Duration, Sleep, sleep};
use wasmtime_wasi_http::Error as WasiError;

use super::replay::Replay;
use crate::body::RequestBody;

/// What the dyno gets as a request's body.
pub(super) struct Upload {
    /// Sent before, on a connection that ended, and to be sent first.
    first: VecDeque<Bytes>,
    /// `None` when it was given back.
    body: Option<RequestBody>,
    /// Remembers what is sent.
    replay: Option<Replay>,
    gate: Option<Gate>,
}

struct Gate {
    asked: Arc<Asked>,
    /// A server that knows nothing of expectations asks for nothing, and gets the body then.
    patience: Pin<Box<Sleep>>,
}

#[derive(Default)]
struct Asked {
    asked: AtomicBool,
    waker: AtomicWaker,
}

impl Upload {
    /// Makes the request that the dyno gets, with `first` before the rest of its body. An expectation holds the body
    /// back, for at most `patience`.
    pub(super) fn of(
        request: Request<RequestBody>,
        first: VecDeque<Bytes>,
        replay: Option<Replay>,
        patience: Duration,
    ) -> Request<Self> {
        let expects =
            |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        if !request.headers().get(header::EXPECT).is_some_and(expects) {
            return request.map(|body| Self { first, body: Some(body), replay, gate: None });
        }
        let asked = Arc::new(Asked::default());
        let gate = Gate { asked: Arc::clone(&asked), patience: Box::pin(sleep(patience)) };
        let mut request =
            request.map(|body| Self { first, body: Some(body), replay, gate: Some(gate) });
        hyper::ext::on_informational(&mut request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                asked.asked.store(true, Ordering::Release);
                asked.waker.wake();
            }
        });
        request
    }
}

impl Upload {
    /// A request that was not sent, as it was.
    pub(super) fn back(request: Request<Self>) -> Option<(Request<RequestBody>, VecDeque<Bytes>)> {
        let (parts, mut upload) = request.into_parts();
        let first = std::mem::take(&mut upload.first);
        let body = upload.body.take()?;
        Some((Request::from_parts(parts, body), first))
    }
}

impl Gate {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.asked.waker.register(cx.waker());
        if self.asked.asked.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.patience.as_mut().poll(cx)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        if let Some(gate) = &mut self.gate {
            std::task::ready!(gate.poll(cx));
            self.gate = None;
        }
        if let Some(bytes) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if let (Poll::Ready(Some(frame)), Some(replay)) = (&polled, &self.replay) {
            match frame.as_ref().ok().and_then(Frame::data_ref) {
                Some(bytes) => replay.sends(bytes),
                None => replay.forget(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let first: u64 = self.first.iter().map(|bytes| bytes.len() as u64).sum();
        let rest = self.body.as_ref().map(Body::size_hint).unwrap_or_default();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(replay), Some(body)) = (&self.replay, self.body.take()) {
            replay.gives_up(body);
        }
    }
}
