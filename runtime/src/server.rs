//! Listeners: accepting connections up to the limits, and ending them without losing a request.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wpaas_slug::Limits;

use crate::{
    connection::{self, Terms},
    metrics::Hit,
    protocol,
    router::Router,
    threads::Threads,
    tls::Tls,
};

/// Rest after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How many may come in at once, over all listeners of a node.
pub(crate) struct Doors {
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) handshakes: Semaphore,
    threads: Threads,
}

impl Doors {
    pub(crate) fn new(limits: &Limits, threads: Threads) -> Self {
        let semaphore = |limit| Semaphore::new(Limits::size(limit).min(Semaphore::MAX_PERMITS));
        Self {
            connections: Arc::new(semaphore(limits.connections)),
            handshakes: semaphore(limits.tls_handshakes),
            threads,
        }
    }
}

/// One listener, as its connections know it.
pub(crate) struct Listening {
    pub(crate) terms: Terms,
    pub(crate) doors: Arc<Doors>,
    pub(crate) tls: Option<Tls>,
}

/// Serves connections until `shutdown`, then lets the requests under way finish.
pub(crate) async fn serve(
    router: Arc<Router>,
    limits: Arc<Limits>,
    doors: Arc<Doors>,
    tls: Option<Tls>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let terms = Terms {
        router,
        protocol: protocol::builder(&limits),
        limits,
        draining: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    // Also when the caller drops this future.
    let _stop = terms.stop.clone().drop_guard();
    let listening = Arc::new(Listening { terms, doors, tls });
    let connections = TaskTracker::new();
    tokio::select! {
        () = accept(&listening, &listener, &connections) => {}
        () = reload(listening.tls.as_ref()) => {}
        () = pin!(shutdown) => {}
    }
    drop(listener);
    listening.terms.draining.cancel();
    connections.close();
    let drain = Limits::ms(listening.terms.limits.drain_ms);
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("requests still under way after {} s are cut", drain.as_secs());
    }
    Ok(())
}

/// Accepts for ever.
async fn accept(listening: &Arc<Listening>, listener: &TcpListener, connections: &TaskTracker) {
    loop {
        // At the limit new connections wait in the listener's backlog.
        if listening.doors.connections.available_permits() == 0 {
            listening.terms.router.metrics().hit(Hit::Connections);
        }
        let Ok(place) = Arc::clone(&listening.doors.connections).acquire_owned().await else {
            // The semaphore is never closed.
            return;
        };
        match listener.accept().await {
            Ok((stream, client)) => {
                let doors = Arc::clone(&listening.doors);
                let listening = Arc::clone(listening);
                let open = listening.terms.router.metrics().connection();
                let serve = move |stream| async move {
                    connection::run(listening, stream, client).await;
                    drop((place, open));
                };
                if let Err(error) = doors.threads.serve(connections, stream, serve) {
                    tracing::warn!(%client, "cannot serve a connection: {error}");
                }
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Follows the certificate's files for ever.
async fn reload(tls: Option<&Tls>) {
    match tls {
        Some(tls) => match tls.follow().await {},
        None => std::future::pending().await,
    }
}
