//! The two ends of a connection inside the host: the guest's, which its socket and streams share, and the
//! host's, which is a stream like any other to hyper, TLS and the splice with a real connection.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pipe::{Account, Broken, End, Ended, Pipe};

/// What the guest holds of a connection. Dropping it closes what is still open: clean when the guest did
/// it, as a reset when the dyno has ended or never took the connection up.
pub(super) struct GuestEnd {
    pub(super) input: Arc<Pipe>,
    pub(super) output: Arc<Pipe>,
    /// The guest knows of it.
    pub(super) taken: bool,
}

impl GuestEnd {
    /// Two guest ends of one connection: a dyno that connects to itself.
    pub(super) fn pair(account: &Arc<Account>) -> (Self, Self) {
        let (guest, input, output) = Self::new(account);
        (guest, Self { input, output, taken: false })
    }

    /// A connection between the guest and the host.
    pub(super) fn with_host(account: &Arc<Account>) -> (Self, HostEnd) {
        let (guest, input, output) = Self::new(account);
        (guest, HostEnd { input, output })
    }

    /// The pipes that the guest reads and writes.
    pub(super) fn pipes(&self) -> (Arc<Pipe>, Arc<Pipe>) {
        (Arc::clone(&self.input), Arc::clone(&self.output))
    }

    /// A guest's end, and the pipes that the other end reads and writes.
    fn new(account: &Arc<Account>) -> (Self, Arc<Pipe>, Arc<Pipe>) {
        let (to_guest, from_guest) = (Pipe::new(account), Pipe::new(account));
        let (input, output) = (Arc::clone(&to_guest), Arc::clone(&from_guest));
        (Self { input, output, taken: false }, from_guest, to_guest)
    }
}

impl Drop for GuestEnd {
    fn drop(&mut self) {
        if self.taken {
            self.output.close();
        } else {
            self.output.end(End::Reset);
        }
        self.input.leave();
    }
}

/// The host's end. Dropping it without a shutdown resets the connection.
pub(crate) struct HostEnd {
    input: Arc<Pipe>,
    output: Arc<Pipe>,
}

/// How the guest's side of a [`HostEnd`] ended; outlives it.
pub(super) struct GuestSide(Arc<Pipe>);

impl GuestSide {
    /// Whether it was reset, as when the dyno ended.
    pub(super) fn was_reset(&self) -> bool {
        self.0.is_reset()
    }
}

/// What the guest does with its end of a connection; outlives it.
#[derive(Clone)]
pub(crate) struct GuestHolds(Arc<Pipe>);

impl GuestHolds {
    /// Of a connection whose guest reads nothing.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        Self(Pipe::new(&Account::new(0, 0)))
    }

    /// Bytes that the guest has read so far.
    pub(crate) fn taken(&self) -> u64 {
        self.0.taken()
    }

    /// Returns when the guest has dropped its socket, so that nothing sent to it is read any more.
    pub(crate) async fn left(&self) {
        std::future::poll_fn(|cx| self.0.poll_left(cx)).await;
    }
}

impl HostEnd {
    pub(crate) fn guest_holds(&self) -> GuestHolds {
        GuestHolds(Arc::clone(&self.output))
    }

    pub(super) fn ended(&self) -> GuestSide {
        GuestSide(Arc::clone(&self.input))
    }
}

impl Drop for HostEnd {
    fn drop(&mut self) {
        self.output.end(End::Reset);
        self.input.leave();
    }
}

impl AsyncRead for HostEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.input.poll_readable(cx));
        Poll::Ready(match self.input.read(into.remaining()) {
            Ok(bytes) => {
                into.put_slice(&bytes);
                Ok(())
            }
            Err(Ended::Clean) => Ok(()),
            Err(Ended::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
        })
    }
}

impl AsyncWrite for HostEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.output.poll_writable(cx));
            let granted = self.output.grant().map_err(broken)?;
            let piece = bytes.get(..granted.min(bytes.len())).unwrap_or_default();
            // Another pipe may have taken the room since.
            if piece.is_empty() && !bytes.is_empty() {
                continue;
            }
            let written = self.output.write(Bytes::copy_from_slice(piece));
            return Poll::Ready(match written {
                Some(result) => result.map(|()| piece.len()).map_err(broken),
                None => Err(io::ErrorKind::InvalidInput.into()),
            });
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.end(End::Clean);
        Poll::Ready(Ok(()))
    }
}

fn broken(why: Broken) -> io::Error {
    match why {
        Broken::Closed => io::ErrorKind::BrokenPipe.into(),
        Broken::Reset => io::ErrorKind::ConnectionReset.into(),
    }
}
