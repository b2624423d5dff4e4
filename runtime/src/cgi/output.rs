//! A CGI program's standard output: first the header section, which becomes the response, then its body.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};
use wasmtime_wasi_http::{Error as WasiError, p2::body::HyperOutgoingBody};
use wpaas_slug::Limits;

use super::response::{Head, Malformed, Parser};
use crate::stdio::{Reader, Writer, pipe};

/// Called with the response when its header section is complete, inside the guest's call.
pub(crate) type Respond = Box<dyn FnOnce(Response<HyperOutgoingBody>) + Send>;

/// Standard output of one run. Clones write to the same response.
#[derive(Clone)]
pub(crate) struct Output {
    body: Writer,
    state: Arc<Mutex<State>>,
}

enum State {
    Head(Box<Reading>),
    Body { announced: Option<u64>, printed: u64 },
}

struct Reading {
    parser: Parser,
    reader: Reader,
    respond: Respond,
}

impl Output {
    pub(crate) fn new(limits: &Limits, respond: Respond) -> Self {
        let (body, reader) = pipe(Limits::size(limits.guest_pipe_bytes));
        let reading = Reading { parser: Parser::new(limits), reader, respond };
        Self { body, state: Arc::new(Mutex::new(State::Head(Box::new(reading)))) }
    }

    /// The program has ended by itself, so the body is complete.
    ///
    /// # Errors
    ///
    /// When it has printed only a part of the header section, or a body of another length than announced. Nothing
    /// at all is no error.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        self.body.end();
        match &*self.state.lock() {
            State::Head(reading) if !reading.parser.is_untouched() => Err(Malformed::Unfinished),
            State::Body { announced: Some(announced), printed } if announced != printed => {
                Err(Malformed::BodyLength { announced: *announced, printed: *printed })
            }
            _ => Ok(()),
        }
    }

    /// What of `bytes` belongs to the body, and no longer to the header section.
    fn take_head(&self, bytes: Bytes) -> Result<Bytes, Malformed> {
        let mut state = self.state.lock();
        let (rest, head) = match &mut *state {
            State::Body { printed, .. } => {
                *printed = printed.saturating_add(bytes.len() as u64);
                return Ok(bytes);
            }
            State::Head(reading) => match reading.parser.push(&bytes)? {
                None => return Ok(Bytes::new()),
                Some((head, taken)) => (bytes.slice(taken.min(bytes.len())..), head),
            },
        };
        let body = State::Body { announced: head.length, printed: rest.len() as u64 };
        let before = std::mem::replace(&mut *state, body);
        drop(state);
        if let State::Head(reading) = before {
            (reading.respond)(response(head, reading.reader));
        }
        Ok(rest)
    }
}

fn response(head: Head, reader: Reader) -> Response<HyperOutgoingBody> {
    let body = ProgramBody { reader, length: head.length, left: head.length.unwrap_or(u64::MAX) };
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // No more of a guest that prints nonsense is worth running.
        let body = self.take_head(bytes).map_err(|error| StreamError::Trap(error.into()))?;
        if body.is_empty() { Ok(()) } else { self.body.write(body) }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.body.check_write()
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.body.ready().await;
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if matches!(&*self.state.lock(), State::Body { .. }) {
            let polled = Pin::new(&mut self.body).poll_write(cx, bytes);
            if let (Poll::Ready(Ok(length)), State::Body { printed, .. }) =
                (&polled, &mut *self.state.lock())
            {
                *printed = printed.saturating_add(*length as u64);
            }
            return polled;
        }
        // The body's first bytes may be among them.
        let room = self.body.check_write().unwrap_or(0);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let body = self.take_head(Bytes::copy_from_slice(bytes)).map_err(io::Error::other)?;
        match OutputStream::write(&mut self.body, body) {
            Ok(()) => Poll::Ready(Ok(bytes.len())),
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What follows the header section, held to its `Content-Length`: HTTP has no way to send more or less.
struct ProgramBody {
    reader: Reader,
    length: Option<u64>,
    left: u64,
}

impl Body for ProgramBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        loop {
            let Some(mut bytes) = std::task::ready!(self.reader.poll_next(cx)) else {
                let short = self.length.is_some() && std::mem::take(&mut self.left) > 0;
                let error = WasiError::HttpResponseBodySize(self.length);
                return Poll::Ready(short.then_some(Err(error)));
            };
            bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            // What is beyond is read and dropped, so that the program can end.
            if !bytes.is_empty() {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, |_| SizeHint::with_exact(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Responded = Arc<Mutex<Option<Response<HyperOutgoingBody>>>>;

    fn output(limits: &Limits) -> (Output, Responded) {
        let responded = Responded::default();
        let slot = Arc::clone(&responded);
        let respond = move |response| *slot.lock() = Some(response);
        (Output::new(limits, Box::new(respond)), responded)
    }

    async fn print(output: &mut Output, text: &str) -> StreamResult<()> {
        output.blocking_write_and_flush(Bytes::from(text.to_owned())).await
    }

    /// The body of a program that prints `parts`, then ends.
    async fn body(parts: &[&str]) -> Result<String, String> {
        let (mut output, responded) = output(&Limits::default());
        for part in parts {
            print(&mut output, part).await.unwrap();
        }
        let _ = output.end();
        let response = responded.lock().take().unwrap();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_response_comes_with_the_empty_line_and_the_rest_is_its_body() {
        let (mut output, responded) = output(&Limits::default());
        print(&mut output, "Status: 404\n").await.unwrap();
        assert!(responded.lock().is_none());
        print(&mut output, "\nab").await.unwrap();
        assert_eq!(responded.lock().as_ref().unwrap().status(), 404);
        assert_eq!(body(&["Status: 200\n", "\nab", "cd"]).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_announced() {
        let head = |length: u64| format!("Content-Length: {length}\nStatus: 200\n\n");
        assert_eq!(body(&[&head(4), "abcd"]).await.unwrap(), "abcd");
        assert_eq!(body(&[&head(0)]).await.unwrap(), "");
        assert_eq!(body(&[&head(3), "ab", "cd", "ef"]).await.unwrap(), "abc");
        assert!(body(&[&head(5), "abcd"]).await.is_err());
    }

    #[tokio::test]
    async fn a_wrong_length_is_told() {
        for (printed, end) in [
            (&["ab", "cde"][..], Ok(())),
            (&["ab"], Err(Malformed::BodyLength { announced: 5, printed: 2 })),
            (&["ab", "cdef"], Err(Malformed::BodyLength { announced: 5, printed: 6 })),
        ] {
            let (mut output, _responded) = output(&Limits::default());
            print(&mut output, "Content-Length: 5\nStatus: 200\n\n").await.unwrap();
            for part in printed {
                print(&mut output, part).await.unwrap();
            }
            assert_eq!(output.end(), end);
        }
    }

    #[tokio::test]
    async fn printing_waits_for_the_client_and_notices_that_it_is_gone() {
        let limits = Limits { guest_pipe_bytes: 16, ..Limits::default() };
        let (mut output, responded) = output(&limits);
        print(&mut output, "Status: 200\n\n").await.unwrap();
        let mut more = Box::pin(async {
            let mut output = output.clone();
            print(&mut output, &"x".repeat(100)).await
        });
        assert!(futures::poll!(&mut more).is_pending());
        drop(responded.lock().take());
        assert!(matches!(more.await, Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn nonsense_ends_the_program() {
        let (mut output, responded) = output(&Limits::default());
        output.end().unwrap();
        let error = print(&mut output, "hello").await;
        assert!(matches!(error, Err(StreamError::Closed)), "after the end: {error:?}");

        let (mut output, _) = self::output(&Limits::default());
        print(&mut output, "hello").await.unwrap();
        assert_eq!(output.end(), Err(Malformed::Unfinished));

        let (mut output, _) = self::output(&Limits::default());
        let Err(StreamError::Trap(error)) = print(&mut output, "hello\n").await else { panic!() };
        assert_eq!(error.downcast_ref(), Some(&Malformed::Line("hello".into())));
        assert!(responded.lock().is_none());
    }
}
