//! What a dyno may reach. A release opens nothing yet, so everything is denied and the app's log says so.

use std::{future::Future, net::SocketAddr, pin::Pin};

use http::{HeaderName, Request, Response, header};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::lines::DynoLog;

type SendResult = wasmtime_wasi_http::Result<(
    Response<WasiBody>,
    Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
)>;

/// The policy for a guest's outgoing connections, and for header names.
pub(crate) struct Outgoing {
    log: DynoLog,
    /// Whether `Host` is let through: it belongs to incoming requests, and only the host makes those.
    pub(crate) admit_host: bool,
    chunk_bytes: usize,
}

impl Outgoing {
    pub(crate) fn new(log: DynoLog, chunk_bytes: usize) -> Self {
        Self { log, admit_host: false, chunk_bytes }
    }
}

impl WasiHttpHooks for Outgoing {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        !(self.admit_host && name == header::HOST) && DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
    ) -> Box<dyn Future<Output = SendResult> + Send> {
        let host = request.uri().authority().map_or("", |authority| authority.as_str());
        self.log.platform(&format!(
            "Outgoing request to {host} denied: outgoing connections are not open to this app"
        ));
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.chunk_bytes
    }
}

/// The same for sockets: called for each address before it is used.
pub(crate) fn deny_socket(
    log: DynoLog,
) -> impl Fn(SocketAddr, SocketAddrUse) -> Pin<Box<dyn Future<Output = bool> + Send + Sync>> {
    move |address, usage| {
        let what = match usage {
            // Comes before each connect, and is of no use by itself: what follows is asked for again.
            SocketAddrUse::TcpBind if address.ip().is_unspecified() && address.port() == 0 => {
                return Box::pin(std::future::ready(true));
            }
            SocketAddrUse::TcpBind | SocketAddrUse::TcpListen | SocketAddrUse::UdpBind => {
                format!("Listening on {address} denied: requests come through the router")
            }
            _ => format!(
                "Connection to {address} denied: outgoing connections are not open to this app"
            ),
        };
        log.platform(&what);
        Box::pin(std::future::ready(false))
    }
}
