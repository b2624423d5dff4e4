//! A client's connection as hyper reads and writes it: requests that are ambiguous do not pass, a client that
//! does not read is given up, and what was refused is answered so that the client can read it.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Duration, Sleep, sleep},
};
use tokio_rustls::server::TlsStream;

use crate::{framing::Framing, net::HostEnd};

/// Stands for bytes that must not pass; wherever hyper meets it, it is malformed, so that hyper answers 400
/// or breaks the body off, and closes.
const MALFORMED: &[u8] = b"\0\r\n\r\n";
/// How long, and for how many bytes, a client that was refused may go on sending. Closed at once, the
/// connection would be reset, and the answer lost (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// A TCP connection, TLS on one, or a dyno's connection to another app.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the end a reset: what is unsent is not kept for the client.
    fn abandon(&self) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn abandon(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Transport for TlsStream<TcpStream> {
    fn abandon(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

impl Transport for HostEnd {
    fn abandon(&self) -> io::Result<()> {
        // Without a shutdown its end is a reset.
        Ok(())
    }
}

/// The stream of one connection.
pub(crate) struct Wire<S> {
    stream: S,
    framing: Framing,
    /// Set when the connection changes its protocol after a 101.
    switched: Arc<AtomicBool>,
    /// What is left of [`MALFORMED`] to be read, once something was refused.
    refused: Option<&'static [u8]>,
    /// How long the client may leave what is written unread.
    patience: Duration,
    /// Runs while the client reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
}

struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<S: Transport> Wire<S> {
    /// `switched` is to be set when a response is 101; from then on the bytes are not HTTP.
    pub(crate) fn new(stream: S, patience: Duration, switched: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            framing: Framing::new(),
            switched,
            refused: None,
            patience,
            stalled: None,
            linger: None,
        }
    }

    /// Passes on what writing came to, unless the client has not read for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(stalled.as_mut().poll(cx));
        // Or the system would keep what is unsent, megabytes, for as long as the client likes.
        if let Err(error) = self.stream.abandon() {
            tracing::debug!("cannot reset a connection: {error}");
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: Transport> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(left) = &mut this.refused {
            let (now, later) = left.split_at(left.len().min(buf.remaining()));
            buf.put_slice(now);
            *left = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if this.switched.load(Ordering::Relaxed) {
            this.framing.opaque();
        }
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if let Err(ambiguous) = this.framing.follow(bytes) {
            buf.set_filled(before.saturating_add(ambiguous.at));
            let (now, later) = MALFORMED.split_at(MALFORMED.len().min(buf.remaining()));
            buf.put_slice(now);
            this.refused = Some(later);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.unless_stalled(cx, shut))?;
            if this.refused.is_none() && this.framing.between_messages() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this
            .linger
            .get_or_insert_with(|| Linger { until: Box::pin(sleep(LINGER)), left: LINGER_BYTES });
        let mut scratch = [0; 4096];
        while linger.left > 0 && linger.until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
            linger.left = linger.left.saturating_sub(buf.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}
