//! A connection that has changed its protocol: bytes between a client and its dyno, both ways, until one of them
//! ends it, nothing moves for too long (H15), or the dyno has to go.
//!
//! At a release change, and when the node stops, it is ended as soon as nothing has moved for `upgrade_quiet_ms`: a
//! WebSocket by close frames with code 1001, any other protocol by the end of its streams.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::{
    dyno::Dyno,
    frames::{Frames, GOING_AWAY, GOING_AWAY_MASKED},
};
use crate::{exchange::Exchange, hcode::HCode, net::GuestHolds, request_log::RequestLog};

/// How long a client that was told goodbye may take to close.
const GOODBYE: Duration = Duration::from_secs(2);

/// The dyno's half of a connection whose protocol it has changed. Travels with the response, and is taken once.
#[derive(Clone)]
pub(crate) struct Switched(Arc<Mutex<Option<Half>>>);

struct Half {
    /// Taken when the bytes begin to move.
    stream: Option<Upgraded>,
    guest: GuestHolds,
    dyno: Arc<Dyno>,
    quiet: Duration,
}

impl Switched {
    pub(super) fn new(
        stream: Upgraded,
        guest: GuestHolds,
        dyno: &Arc<Dyno>,
        quiet: Duration,
    ) -> Self {
        let half = Half { stream: Some(stream), guest, dyno: Arc::clone(dyno), quiet };
        Self(Arc::new(Mutex::new(Some(half))))
    }
}

/// Both halves, to be joined when the client has its 101.
pub(crate) struct Tunnel {
    client: OnUpgrade,
    half: Half,
    exchange: Arc<Exchange>,
    is_websocket: bool,
    /// Taken when the line is written.
    log: Option<RequestLog>,
    bytes: u64,
}

impl Tunnel {
    /// Joins the dyno's half that came with `response` to the client's connection. Gives the log back when there is
    /// none, which is no response at all (RFC 9110, 15.2).
    pub(crate) fn new(
        response: &mut Response<HyperOutgoingBody>,
        client: Option<OnUpgrade>,
        exchange: &Arc<Exchange>,
        log: &mut Option<RequestLog>,
    ) -> Option<Self> {
        let half = response.extensions_mut().remove::<Switched>()?.0.lock().take()?;
        let (client, log) = (client?, log.take()?);
        let protocol = response.headers().get(header::UPGRADE);
        let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
        let is_websocket = protocol.is_some_and(websocket);
        let exchange = Arc::clone(exchange);
        Some(Self { client, half, exchange, is_websocket, log: Some(log), bytes: 0 })
    }

    /// Moves bytes to the end of it. `leaving` is the wish of the client's side that it ends.
    pub(crate) async fn run(mut self, leaving: &CancellationToken) {
        let Ok(client) = (&mut self.client).await else { return };
        let moves = Arc::new(AtomicU64::new(0));
        let mut client = Watched::new(client, &self.exchange, &moves);
        let Some(stream) = self.half.stream.take() else { return };
        let mut dyno = Watched::new(stream, &self.exchange, &moves);
        let (asked, told) = (self.half.dyno.asked.clone(), client.shut.clone());
        let code = {
            let copied = tokio::io::copy_bidirectional(&mut client, &mut dyno);
            // A client that was told the end, and does not end it, is not waited for.
            let left = async {
                told.cancelled().await;
                self.half.guest.left().await;
            };
            let leave = async {
                tokio::select! {
                    () = asked.cancelled() => {}
                    () = leaving.cancelled() => {}
                }
                quiet(&moves, self.half.quiet).await;
            };
            let cut = poll_fn(|cx| match self.exchange.poll_returned(cx.waker()) {
                true => Poll::Ready(self.exchange.cut()),
                false => Poll::Pending,
            });
            tokio::select! {
                biased;
                code = cut => Some(code),
                _ = copied => None,
                () = left => None,
                () = leave => Some(None),
            }
        };
        self.bytes = client.written;
        let code = match code {
            // Somebody has to say it.
            Some(None) => {
                goodbye(self.is_websocket, &mut client, &mut dyno).await;
                None
            }
            Some(cut) => cut,
            // The client went, or both have finished; or the dyno is gone.
            None => dyno.failed.then_some(HCode::H18),
        };
        self.finish(code);
    }

    fn finish(&mut self, code: Option<HCode>) {
        let Some(log) = self.log.take() else { return };
        log.finish(StatusCode::SWITCHING_PROTOCOLS.as_u16(), self.bytes, code);
        self.exchange.over();
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // The client went before it had its 101, or the node stops in the middle.
        self.finish(Some(self.exchange.cut().unwrap_or(HCode::H27)));
    }
}

/// Ends both sides so that they know it was meant.
async fn goodbye(is_websocket: bool, client: &mut Watched, dyno: &mut Watched) {
    let said = async {
        if is_websocket && client.outgoing.is_between() {
            client.write_all(GOING_AWAY).await?;
        }
        if is_websocket && dyno.outgoing.is_between() {
            dyno.write_all(GOING_AWAY_MASKED).await?;
        }
        client.shutdown().await?;
        dyno.shutdown().await?;
        // Closed before everything was read, the connection would be reset, and the goodbye lost.
        let mut rest = [0; 4096];
        while client.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    let _ = tokio::time::timeout(GOODBYE, pin!(said)).await;
}

/// Returns when nothing has moved for `time`.
async fn quiet(moves: &AtomicU64, time: Duration) {
    loop {
        let before = moves.load(Ordering::Relaxed);
        tokio::time::sleep(time).await;
        if moves.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// One side's stream: what moves keeps the exchange going, and is followed.
struct Watched {
    stream: TokioIo<Upgraded>,
    exchange: Arc<Exchange>,
    moves: Arc<AtomicU64>,
    /// What is sent to this side.
    outgoing: Frames,
    written: u64,
    failed: bool,
    /// This side was told that nothing more comes.
    shut: CancellationToken,
}

impl Watched {
    fn new(stream: Upgraded, exchange: &Arc<Exchange>, moves: &Arc<AtomicU64>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            exchange: Arc::clone(exchange),
            moves: Arc::clone(moves),
            outgoing: Frames::default(),
            written: 0,
            failed: false,
            shut: CancellationToken::new(),
        }
    }

    fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.exchange.response_moved();
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.failed |= read.is_err();
        self.moved();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        match &written {
            Ok(length) => {
                self.written = self.written.saturating_add(*length as u64);
                self.outgoing.follow(bytes.get(..*length).unwrap_or_default());
            }
            Err(_) => self.failed = true,
        }
        self.moved();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        self.shut.cancel();
        Poll::Ready(shut)
    }
}
