//! The listener that clients of one-off dynos connect to, always with TLS.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wpaas_platform::Platform;
use wpaas_slug::Limits;

use crate::tls::{Address, parse_address};

/// Rest after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Where the rendezvous is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address that one-off dynos are attached at (`wpaas run`, `heroku run`), over TLS; `none` for none
    #[arg(
        long = "rendezvous",
        env = "WPAAS_RENDEZVOUS",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:5000",
        value_parser = parse_address
    )]
    address: Address,
}

impl Args {
    /// Where it listens, if anywhere.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address.get()
    }
}

/// A bound rendezvous.
pub(crate) struct Rendezvous {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) platform: Platform,
    pub(crate) limits: Limits,
}

impl Rendezvous {
    /// Accepts connections until `stop`. The platform ends those that are attached when it stops.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        let tls = TlsAcceptor::from(Arc::clone(&self.tls));
        let most = Limits::size(self.limits.attach_connections).clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(most));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("cannot accept a connection to a dyno: {error}");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            // A connection may last for hours, so nobody is to wait for a place behind them.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(%client, "too many connections to dynos");
                continue;
            };
            let (platform, tls) = (self.platform.clone(), tls.clone());
            let hello = Limits::ms(self.limits.attach_hello_ms);
            tokio::spawn(async move {
                if let Err(error) = attach(&platform, &tls, stream, hello).await {
                    tracing::debug!(%client, "connection to a dyno ended: {error}");
                }
                drop(place);
            });
        }
    }
}

async fn attach(
    platform: &Platform,
    tls: &TlsAcceptor,
    stream: TcpStream,
    hello: Duration,
) -> std::io::Result<()> {
    // Keys must not wait for the acknowledgement of others.
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(hello, tls.accept(stream)).await??;
    platform.attach(stream).await
}
