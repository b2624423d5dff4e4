//! The Platform API's listeners: plain HTTP and TLS, both bounded and both drained at the end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wpaas_slug::Limits;

/// Rest after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// A peer of HTTP/2 that is gone is noticed within two of these.
const H2_PING: Duration = Duration::from_secs(20);

/// The API as its listeners know it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiServer {
    router: Router,
    protocol: auto::Builder<TokioExecutor>,
    handshake: Duration,
    drain: Duration,
    /// Over all listeners.
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl ApiServer {
    /// Serves `router` until `stop`.
    pub(crate) fn new(router: Router, limits: &Limits, stop: CancellationToken) -> Self {
        let mut protocol = auto::Builder::new(TokioExecutor::new());
        protocol
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Limits::ms(limits.request_header_ms));
        protocol.http2().timer(TokioTimer::new()).keep_alive_interval(H2_PING);
        let places = Limits::size(limits.api_connections).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            router,
            protocol,
            handshake: Limits::ms(limits.tls_handshake_ms),
            drain: Limits::ms(limits.drain_ms),
            places: Arc::new(Semaphore::new(places)),
            stop,
        }
    }

    /// Accepts connections until the end, then waits for the requests under way, up to `drain_ms`.
    pub(crate) async fn serve(self, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
        let tls = tls.map(TlsAcceptor::from);
        let connections = TaskTracker::new();
        tokio::select! {
            () = self.accept(&listener, tls.as_ref(), &connections) => {}
            () = self.stop.cancelled() => {}
        }
        drop(listener);
        connections.close();
        // A client that holds its connection longer than that is left behind.
        if tokio::time::timeout(self.drain, connections.wait()).await.is_err() {
            tracing::warn!("requests to the API still under way are cut");
        }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
        tls: Option<&TlsAcceptor>,
        connections: &TaskTracker,
    ) {
        loop {
            // At the limit new connections wait in the listener's backlog. The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, client)) => {
                    let (this, tls) = (self.clone(), tls.cloned());
                    connections.spawn(async move {
                        this.connection(stream, client, tls).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection to the API: {error}");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, client: SocketAddr, tls: Option<TlsAcceptor>) {
        // Small answers must not wait for the acknowledgement of others.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%client, "{error}");
        }
        let served = match tls {
            None => self.http(stream, false).await,
            Some(tls) => {
                let shaken = tokio::select! {
                    shaken = tokio::time::timeout(self.handshake, tls.accept(stream)) => shaken,
                    () = self.stop.cancelled() => return,
                };
                match shaken {
                    Ok(Ok(stream)) => {
                        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        self.http(stream, h2).await
                    }
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%client, "connection to the API ended: {error}");
        }
    }

    /// The protocol is said and not found out: hyper-util has no time limit for finding it out.
    async fn http<S>(
        &self,
        stream: S,
        h2: bool,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let protocol = match self.protocol.clone() {
            protocol if h2 => protocol.http2_only(),
            protocol => protocol.http1_only(),
        };
        let service = TowerToHyperService::new(self.router.clone());
        let mut connection =
            std::pin::pin!(protocol.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            served = connection.as_mut() => return served,
            () = self.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever connects and says nothing holds a place for `request_header_ms`, and no longer.
    #[tokio::test]
    async fn silent_connections_hold_others_up_for_a_while_only() {
        let limits = Limits { api_connections: 2, request_header_ms: 300, ..Limits::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", axum::routing::get(|| async { "served" }));
        let server = ApiServer::new(router, &limits, stop.clone());
        let serving = tokio::spawn(server.serve(listener, None));
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{address}/")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "served");
        stop.cancel();
        serving.await.unwrap();
    }
}
