//! The body of a request on its way to the dyno. Of a request with `Expect: 100-continue` it begins when the dyno
//! asks for it: reading it makes the client send it.

use std::{
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

use crate::body::RequestBody;

/// What the dyno gets as a request's body.
pub(super) struct Upload {
    body: RequestBody,
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
    /// Makes the request that the dyno gets. An expectation holds the body back, for at most `patience`.
    pub(super) fn of(request: Request<RequestBody>, patience: Duration) -> Request<Self> {
        let expects =
            |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        if !request.headers().get(header::EXPECT).is_some_and(expects) {
            return request.map(|body| Self { body, gate: None });
        }
        let asked = Arc::new(Asked::default());
        let gate = Gate { asked: Arc::clone(&asked), patience: Box::pin(sleep(patience)) };
        let mut request = request.map(|body| Self { body, gate: Some(gate) });
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
    pub(super) fn back(request: Request<Self>) -> Request<RequestBody> {
        request.map(|upload| upload.body)
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
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
