//! One client's connection: the TLS handshake, then HTTP until the client, a limit or the drain ends it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use wpaas_slug::Limits;

use crate::{
    body::{Cut, RouterBody},
    forward::Client,
    router::{Router, To},
    server::Listening,
    tls::Tls,
    wire::{Transport, Wire},
};

/// What connections are served by.
pub(crate) struct Terms {
    pub(crate) router: Arc<Router>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) protocol: auto::Builder<TokioExecutor>,
    /// Connections end when what they do at the moment is done.
    pub(crate) draining: CancellationToken,
    /// Connections end in the middle of whatever they do.
    pub(crate) stop: CancellationToken,
}

/// Serves a client's connection to its end.
pub(crate) async fn run(listening: Arc<Listening>, stream: TcpStream, client: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%client, "cannot set TCP_NODELAY: {error}");
    }
    let from = Client { ip: client.ip(), tls: listening.tls.is_some() };
    let (terms, to) = (&listening.terms, To::Host);
    let served = match &listening.tls {
        None => serve(terms, stream, from, &to).await,
        Some(tls) => match handshake(&listening, tls, stream).await {
            Ok(stream) => serve(terms, stream, from, &to).await,
            Err(error) => Err(error),
        },
    };
    if let Err(error) = served {
        tracing::debug!(%client, "connection ended: {error}");
    }
}

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Waiting for a place among the handshakes counts as part of the handshake.
async fn handshake(
    listening: &Listening,
    tls: &Tls,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Error> {
    let shaken = async {
        let _place = listening.doors.handshakes.acquire().await?;
        Ok::<_, Error>(tls.accept(stream).await?)
    };
    tokio::select! {
        shaken = tokio::time::timeout(Limits::ms(listening.terms.limits.tls_handshake_ms), shaken) => {
            shaken.map_err(|_| "no TLS handshake in time")?
        }
        () = listening.terms.draining.cancelled() => Err("the node stops".into()),
    }
}

/// Speaks HTTP on `stream`, and what it changes to.
pub(crate) async fn serve(
    terms: &Terms,
    stream: impl Transport,
    client: Client,
    to: &To,
) -> Result<(), Error> {
    let limits = &terms.limits;
    let activity = Arc::new(Activity::default());
    let switched = Arc::new(AtomicBool::new(false));
    let wire = Wire::new(stream, Limits::ms(limits.idle_ms), Arc::clone(&switched));
    let (router, seen) = (Arc::clone(&terms.router), Arc::clone(&activity));
    let tunnel = Arc::new(Mutex::new(None));
    let left = Arc::clone(&tunnel);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let under_way = UnderWay::new(&seen);
        let (router, switched) = (Arc::clone(&router), Arc::clone(&switched));
        let (left, to) = (Arc::clone(&left), to.clone());
        async move {
            let mut tunnel = None;
            let response = router.handle(request, client, &to, &mut tunnel).await;
            if tunnel.is_some() {
                switched.store(true, Ordering::Relaxed);
                *left.lock() = tunnel;
            }
            Ok::<_, Infallible>(response.map(|body| under_way.respond(body)))
        }
    });
    let mut connection =
        pin!(terms.protocol.serve_connection_with_upgrades(TokioIo::new(wire), service));
    let mut watch = Watch::new(&activity, limits);
    let mut ending = false;
    loop {
        tokio::select! {
            served = connection.as_mut() => {
                served?;
                break;
            }
            () = terms.stop.cancelled() => return Err("the node stops".into()),
            () = terms.draining.cancelled(), if !ending => {}
            idle = watch.idle() => match idle {
                Idle::NoRequest | Idle::Stuck => return Err(idle.reason().into()),
                Idle::Unused if ending => return Err(idle.reason().into()),
                Idle::Unused => {}
            },
        }
        // `connection: close`, or GOAWAY: what is under way may finish.
        ending = true;
        connection.as_mut().graceful_shutdown();
    }
    let Some(tunnel) = tunnel.lock().take() else { return Ok(()) };
    tokio::select! {
        () = tunnel.run(&terms.draining) => Ok(()),
        () = terms.stop.cancelled() => Err("the node stops".into()),
    }
}

/// What the requests of one connection do.
#[derive(Default)]
struct Activity {
    /// Requests that have no response yet.
    waiting: AtomicU64,
    /// Requests whose client has not got everything yet.
    open: AtomicU64,
    /// Goes up whenever there is a request, a response or a part of one.
    moves: AtomicU64,
}

impl Activity {
    fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }
}

/// Notices connections that nothing happens on.
///
/// Telling HTTP/1 from HTTP/2 has no timeout in hyper, so a client that sends nothing would stay; and so would
/// an HTTP/2 client that asks nothing more, or that gives a response no window while it answers pings.
struct Watch<'a> {
    activity: &'a Activity,
    limits: &'a Limits,
    moves: u64,
    /// When `moves` was last seen to have changed.
    moved: Instant,
    look: Instant,
}

enum Idle {
    NoRequest,
    Unused,
    Stuck,
}

impl Idle {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoRequest => "no request came",
            Self::Unused => "unused for too long",
            Self::Stuck => "the client takes no response",
        }
    }
}

impl<'a> Watch<'a> {
    fn new(activity: &'a Activity, limits: &'a Limits) -> Self {
        let now = Instant::now();
        let look = now + Limits::ms(limits.request_header_ms);
        Self { activity, limits, moves: 0, moved: now, look }
    }

    /// Returns when nothing has happened for too long.
    async fn idle(&mut self) -> Idle {
        loop {
            tokio::time::sleep_until(self.look).await;
            let now = Instant::now();
            let period = Limits::ms(self.limits.connection_idle_ms);
            self.look = now + period;
            let moves = self.activity.moves.load(Ordering::Relaxed);
            if moves != self.moves {
                (self.moves, self.moved) = (moves, now);
                continue;
            }
            let open = self.activity.open.load(Ordering::Relaxed);
            if open == 0 {
                return if moves == 0 { Idle::NoRequest } else { Idle::Unused };
            }
            // A guest that is silent for `idle_ms` is cut off, and that is a move, if the client takes it.
            let silent = now.duration_since(self.moved) >= period + Limits::ms(self.limits.idle_ms);
            if silent && self.activity.waiting.load(Ordering::Relaxed) == 0 {
                return Idle::Stuck;
            }
        }
    }
}

/// One request, from its arrival until its response is sent or dropped.
struct UnderWay {
    activity: Arc<Activity>,
    responding: bool,
}

impl UnderWay {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.moved();
        activity.waiting.fetch_add(1, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self { activity: Arc::clone(activity), responding: false }
    }

    fn respond(mut self, body: RouterBody) -> Responding {
        self.responding = true;
        self.activity.moved();
        self.activity.waiting.fetch_sub(1, Ordering::Relaxed);
        Responding { body, under_way: self }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.activity.moved();
        self.activity.open.fetch_sub(1, Ordering::Relaxed);
        if !self.responding {
            self.activity.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A response's body that says when it moves.
struct Responding {
    body: RouterBody,
    under_way: UnderWay,
}

impl Body for Responding {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.under_way.activity.moved();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
