//! The host's side of `wasi:http`: which headers pass, and where requests go.

use std::{future::Future, sync::Arc};

use http::{HeaderName, Request, header};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, RequestOptions, WasiBody, WasiHttpHooks};

use super::{
    Net,
    http::{Answer, send},
};

/// The policy for a guest's outgoing requests, and for header names.
pub(crate) struct Outgoing {
    pub(crate) net: Net,
    /// Whether `Host` is let through: it belongs to incoming requests, and only the host makes those.
    pub(crate) admit_host: bool,
    chunk_bytes: usize,
}

impl Outgoing {
    pub(crate) fn new(net: Net, chunk_bytes: usize) -> Self {
        Self { net, admit_host: false, chunk_bytes }
    }
}

impl WasiHttpHooks for Outgoing {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        !(self.admit_host && name == header::HOST) && DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = wasmtime_wasi_http::Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(send(Arc::clone(self.net.dialer()), request, options))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.chunk_bytes
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        self.chunk_bytes
    }
}
