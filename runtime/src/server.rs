//! Connections: accepting them, HTTP/1.1 and HTTP/2 on them, and ending them without losing a request.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use wpaas_slug::Limits;

use crate::{
    metrics::{Hit, OpenConnection},
    router::Router,
};

/// Rest after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// hyper's smallest buffer for a header section.
const MIN_HEADER_BYTES: usize = 8 * 1024;
/// How often an idle HTTP/2 client has to prove that it is there.
const H2_PING: Duration = Duration::from_secs(30);

/// Serves connections until `shutdown`, then lets the requests under way finish.
pub(crate) async fn serve(
    router: Arc<Router>,
    limits: Arc<Limits>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let protocol = Arc::new(protocol(&limits));
    let graceful = GracefulShutdown::new();
    let stop = CancellationToken::new();
    // Also when the caller drops this future.
    let _stop = stop.clone().drop_guard();
    let places = Limits::size(limits.connections).min(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(places));
    let mut shutdown = pin!(shutdown);
    loop {
        // At the limit new connections wait in the listener's backlog.
        let accepted = async {
            if places.available_permits() == 0 {
                router.metrics().hit(Hit::Connections);
            }
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        match (accepted, place) {
            (Ok((stream, client)), Ok(place)) => {
                let connection = Connection {
                    router: Arc::clone(&router),
                    protocol: Arc::clone(&protocol),
                    patience: Limits::ms(limits.request_header_ms),
                    watcher: graceful.watcher(),
                    stop: stop.clone(),
                    _place: place,
                    _open: router.metrics().connection(),
                };
                tokio::spawn(connection.run(stream, client));
            }
            (Err(error), _) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
            // The semaphore is never closed.
            (Ok(_), Err(_)) => break,
        }
    }
    drop(listener);
    let drain = Limits::ms(limits.drain_ms);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still under way after {} s are cut", drain.as_secs());
    }
    Ok(())
}

fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let header_bytes = Limits::size(limits.request_header_bytes).max(MIN_HEADER_BYTES);
    let small = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Limits::ms(limits.request_header_ms))
        .max_buf_size(header_bytes)
        .max_headers(Limits::size(limits.request_headers));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .max_header_list_size(small(limits.request_header_bytes))
        .max_concurrent_streams(small(limits.h2_streams));
    builder
}

struct Connection {
    router: Arc<Router>,
    protocol: Arc<auto::Builder<TokioExecutor>>,
    /// Time for the first request to arrive.
    patience: Duration,
    watcher: Watcher,
    /// Ends the connection in the middle of whatever it does.
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
    _open: OpenConnection,
}

impl Connection {
    async fn run(self, stream: TcpStream, client: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%client, "cannot set TCP_NODELAY: {error}");
        }
        let asked = Arc::new(AtomicBool::new(false));
        let (router, seen) = (self.router, Arc::clone(&asked));
        let service = service_fn(move |request: http::Request<Incoming>| {
            seen.store(true, Ordering::Relaxed);
            let router = Arc::clone(&router);
            async move { Ok::<_, Infallible>(router.handle(request, client.ip()).await) }
        });
        let connection = self.protocol.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(self.watcher.watch(connection));
        // Telling HTTP/1 from HTTP/2 has no timeout in hyper, so a client that sends nothing would stay.
        let silence = async {
            tokio::time::sleep(self.patience).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let served = tokio::select! {
            served = &mut connection => served,
            () = silence => {
                tracing::debug!(%client, "closed: no request came");
                return;
            }
            () = self.stop.cancelled() => return,
        };
        if let Err(error) = served {
            tracing::debug!(%client, "connection ended: {error}");
        }
    }
}
