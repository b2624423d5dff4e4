//! A connection as hyper and tokio's traits see it, on the pollables of WASI.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasip2::{
    io::streams::{InputStream, OutputStream, StreamError},
    sockets::tcp::{ShutdownType, TcpSocket},
};
use wstd::runtime::{AsyncPollable, WaitFor};

/// What there is to wait for on one of the two streams.
struct Readiness {
    waiting: Option<WaitFor>,
    pollable: AsyncPollable,
}

impl Readiness {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let pollable = &self.pollable;
        let waiting = self.waiting.get_or_insert_with(|| pollable.wait_for());
        ready!(Pin::new(waiting).poll(cx));
        self.waiting = None;
        Poll::Ready(())
    }
}

/// The fields are dropped in this order: what is polled before the streams, those before the socket.
pub struct Stream {
    readable: Readiness,
    writable: Readiness,
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
    /// Read already, to see which protocol it is.
    peeked: Vec<u8>,
}

impl Stream {
    pub fn new(socket: TcpSocket, input: InputStream, output: OutputStream) -> Self {
        let readiness =
            |pollable| Readiness { waiting: None, pollable: AsyncPollable::new(pollable) };
        Self {
            readable: readiness(input.subscribe()),
            writable: readiness(output.subscribe()),
            input,
            output,
            socket,
            peeked: Vec::new(),
        }
    }

    /// Returns when there is something to read, and reads nothing.
    pub async fn readable(&mut self) {
        std::future::poll_fn(|cx| self.readable.poll(cx)).await;
    }

    /// The bytes that come first. They can be read again. Nothing at the end.
    pub async fn peek(&mut self) -> io::Result<&[u8]> {
        let mut bytes = [0; 4096];
        let mut buf = ReadBuf::new(&mut bytes);
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, &mut buf)).await?;
        self.peeked = buf.filled().to_vec();
        Ok(&self.peeked)
    }

    fn read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Vec<u8>>> {
        if !self.peeked.is_empty() {
            let rest = self.peeked.split_off(most.min(self.peeked.len()));
            return Poll::Ready(Ok(std::mem::replace(&mut self.peeked, rest)));
        }
        loop {
            match self.input.read(most as u64) {
                Ok(bytes) if bytes.is_empty() => ready!(self.readable.poll(cx)),
                Ok(bytes) => return Poll::Ready(Ok(bytes)),
                Err(StreamError::Closed) => return Poll::Ready(Ok(Vec::new())),
                Err(error) => return Poll::Ready(Err(failed(error))),
            }
        }
    }
}

fn failed(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.get_mut().read(cx, buf.remaining()))?;
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let room = this.output.check_write().map_err(failed)? as usize;
            if room == 0 && !bytes.is_empty() {
                ready!(this.writable.poll(cx));
                continue;
            }
            let piece = &bytes[..room.min(bytes.len())];
            this.output.write(piece).map_err(failed)?;
            return Poll::Ready(Ok(piece.len()));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.output.flush().map_err(failed))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.socket.shutdown(ShutdownType::Send);
        Poll::Ready(Ok(()))
    }
}

/// Between the traits of hyper and those of tokio, in both directions.
pub struct Adapter<S>(pub S);

impl<S: AsyncRead + Unpin> hyper::rt::Read for Adapter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = vec![0; buf.remaining().min(64 * 1024)];
        let mut read = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Adapter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: hyper::rt::Read + Unpin> AsyncRead for Adapter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = vec![0; buf.remaining().min(64 * 1024)];
        let mut read = hyper::rt::ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.0).poll_read(cx, read.unfilled()))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: hyper::rt::Write + Unpin> AsyncWrite for Adapter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
