//! The bodies between client and guest: each part moves the exchange's deadline, is counted, and the end
//! of the response's body writes the log line.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use wasmtime_wasi_http::{Error as WasiError, p2::body::HyperOutgoingBody};

use crate::{exchange::Exchange, hcode::HCode, request_log::RequestLog};

/// The body of a request before it is bound to an exchange.
pub(crate) enum IncomingBody {
    /// There is none, which needs no allocation.
    Empty,
    Some(UnsyncBoxBody<Bytes, WasiError>),
}

impl IncomingBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<WasiError>> + Send + 'static,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        Self::Some(body.map_err(Into::into).boxed_unsync())
    }
}

/// The body of a request, as the guest reads it.
pub(crate) struct RequestBody {
    inner: IncomingBody,
    exchange: Arc<Exchange>,
}

impl RequestBody {
    pub(crate) fn new(inner: IncomingBody, exchange: Arc<Exchange>) -> Self {
        Self { inner, exchange }
    }

    /// The one of a request that has none.
    pub(crate) fn none(exchange: &Arc<Exchange>) -> Self {
        Self::new(IncomingBody::Empty, Arc::clone(exchange))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let IncomingBody::Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        match &polled {
            Poll::Pending => self.exchange.upload_stalled(),
            Poll::Ready(Some(Err(_))) => self.exchange.upload_broke(),
            Poll::Ready(_) => self.exchange.upload_moved(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            IncomingBody::Empty => true,
            IncomingBody::Some(inner) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            IncomingBody::Empty => SizeHint::with_exact(0),
            IncomingBody::Some(inner) => inner.size_hint(),
        }
    }
}

/// What clients get.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every body is an app's, and a box would be an allocation for each request"
)]
pub(crate) enum RouterBody {
    /// The app's response.
    App(ResponseBody),
    /// A page of the router's own.
    Page(Full<Bytes>),
    /// The response has no body on the wire.
    None,
}

impl Body for RouterBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::App(body) => Pin::new(body).poll_frame(cx),
            Self::Page(body) => {
                Pin::new(body).poll_frame(cx).map_err(|never: Infallible| match never {})
            }
            Self::None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::App(body) => body.is_end_stream(),
            Self::Page(body) => body.is_end_stream(),
            Self::None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::App(body) => body.size_hint(),
            Self::Page(body) => body.size_hint(),
            Self::None => SizeHint::with_exact(0),
        }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, WasiError>>>;

/// What the guest writes. Of a guest that has returned it is read ahead, so that a response of one part, as
/// most are, goes out with its head, in one piece and with its length.
struct Written {
    ahead: [Option<Result<Frame<Bytes>, WasiError>>; 2],
    /// `None` when everything was read.
    rest: Option<HyperOutgoingBody>,
}

impl Written {
    fn new(mut body: HyperOutgoingBody, complete: bool) -> Self {
        let mut ahead = [None, None];
        if complete {
            let mut cx = Context::from_waker(Waker::noop());
            for place in &mut ahead {
                match Pin::new(&mut body).poll_frame(&mut cx) {
                    Poll::Ready(Some(frame)) => *place = Some(frame),
                    Poll::Ready(None) => return Self { ahead, rest: None },
                    // It returned without an end to its body.
                    Poll::Pending => break,
                }
            }
        }
        Self { ahead, rest: Some(body) }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(frame) = self.ahead.iter_mut().find_map(Option::take) {
            return Poll::Ready(Some(frame));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    /// Whether everything there is was given out.
    fn is_end(&self) -> bool {
        self.rest.is_none() && self.ahead.iter().all(Option::is_none)
    }

    fn size_hint(&self) -> SizeHint {
        if let Some(rest) = &self.rest {
            return if self.ahead.iter().all(Option::is_none) {
                rest.size_hint()
            } else {
                SizeHint::default()
            };
        }
        let mut bytes: u64 = 0;
        for frame in self.ahead.iter().flatten() {
            match frame.as_ref().ok().and_then(Frame::data_ref) {
                Some(data) => bytes = bytes.saturating_add(data.len() as u64),
                // Trailers need a framing that carries them, an error one that shows it.
                None => return SizeHint::default(),
            }
        }
        SizeHint::with_exact(bytes)
    }
}

/// The body of the guest's response, as the client reads it.
pub(crate) struct ResponseBody {
    inner: Written,
    exchange: Arc<Exchange>,
    status: u16,
    /// What the response's `Content-Length` announces.
    announced: Option<u64>,
    /// Whether the client gets the body: not for HEAD.
    sent: bool,
    bytes: u64,
    /// It will not be completed; the client gets what there is, then the end of the connection.
    broken: bool,
    /// Taken when the line is written.
    log: Option<RequestLog>,
}

/// The response ends before its end, so the connection is closed for the client to notice.
#[derive(Debug, thiserror::Error)]
#[error("response cut: {} ({})", .0.code(), .0.description())]
pub(crate) struct Cut(HCode);

impl ResponseBody {
    pub(crate) fn new(
        inner: HyperOutgoingBody,
        exchange: Arc<Exchange>,
        log: RequestLog,
        status: u16,
        announced: Option<u64>,
    ) -> Self {
        Self {
            inner: Written::new(inner, exchange.has_returned()),
            exchange,
            status,
            announced,
            sent: true,
            bytes: 0,
            broken: false,
            log: Some(log),
        }
    }

    /// Reads the body for a response that has none on the wire (HEAD, 204, 304), so that the guest can
    /// write what it wants to, and writes the log line when it is done.
    pub(crate) async fn discard(mut self) {
        self.sent = false;
        while std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await.is_some() {}
    }

    fn finish(&mut self, code: Option<HCode>) {
        let Some(log) = self.log.take() else { return };
        let status =
            if code == Some(HCode::H27) { HCode::H27.status().as_u16() } else { self.status };
        log.finish(status, if self.sent { self.bytes } else { 0 }, code);
        self.exchange.over();
    }

    /// The frame without what exceeds the announced length, and whether there was any: the client would take
    /// it for the next response or, in HTTP/2, for a broken one.
    fn announced_part(&self, frame: Frame<Bytes>) -> (Frame<Bytes>, bool) {
        let left = self.announced.map(|announced| announced.saturating_sub(self.bytes));
        let left = left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
        let exceeds = frame.data_ref().is_some_and(|data| data.len() > left);
        let frame = frame.map_data(|mut data| {
            data.truncate(left);
            data
        });
        (frame, exceeds)
    }

    /// Ends the body with an error, one poll late: hyper sends what it has when there is nothing to
    /// read, but drops it on an error.
    fn cut(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if !self.broken {
            self.broken = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let code = self.exchange.cut().unwrap_or_else(|| self.exchange.interrupted());
        self.finish(Some(code));
        Poll::Ready(Some(Err(Cut(code))))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.log.is_none() {
            return Poll::Ready(None);
        }
        if self.broken {
            return self.cut(cx);
        }
        let mut polled = self.inner.poll_frame(cx);
        if polled.is_pending() && self.exchange.poll_returned(cx.waker()) {
            // It may have written and returned between the two polls.
            polled = self.inner.poll_frame(cx);
            if polled.is_pending() {
                return self.cut(cx);
            }
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                let (frame, exceeds) = self.announced_part(frame);
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.bytes = self.bytes.saturating_add(length as u64);
                // hyper does not ask again: not after trailers, nor when it knows that this is all.
                if exceeds || frame.is_trailers() {
                    self.finish(None);
                } else if !self.inner.is_end() {
                    self.exchange.response_moved();
                } else if self.exchange.cut().is_none() {
                    self.finish(None);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            // When the guest's store is dropped half-way, its body ends as if it were complete.
            Poll::Ready(None) if self.exchange.cut().is_some() => self.cut(cx),
            Poll::Ready(None) => {
                self.finish(None);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => self.cut(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.log.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // HTTP/1 stops reading a body when it has all the bytes that were announced.
        let complete = self.announced == Some(self.bytes);
        // The connection of a client that reads nothing is closed when its deadline passes; who is first to
        // notice, the guest's worker or the connection, makes no difference.
        let late = self.exchange.is_late().then(|| self.exchange.late_code());
        let code = self.exchange.cut().or(late).unwrap_or(HCode::H27);
        self.finish(if complete { None } else { Some(code) });
    }
}

#[cfg(test)]
mod tests;
