//! The router: finds the app, waits for a dyno, and gives the client the app's response or a page that says
//! why there is none.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use uuid::Uuid;
use wasmtime_wasi_http::{Error as WasiError, p2::body::HyperOutgoingBody};
use wpaas_slug::Limits;

use crate::{
    app::{App, Release, Resources, Serving},
    attend::Attend,
    body::{IncomingBody, ResponseBody, RouterBody},
    exchange::Exchange,
    formation::DynoName,
    forward::{self, Client},
    hcode::{self, HCode},
    lines::DynoLog,
    metrics::Metrics,
    node::Gate,
    pool::Refused,
    request_log::RequestLog,
    socket::Tunnel,
    table::Table,
    trace::Trace,
};

/// Finds the way of each request.
pub(crate) struct Router {
    pub(crate) table: Table,
    pub(crate) resources: Arc<Resources>,
    pub(crate) gate: Option<Arc<dyn Gate>>,
}

/// How the app of a request is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// By the request's host.
    Host,
    /// The app of this name, if it is of the owner of the app that asks. Looked up for each request: the name may have
    /// gone to somebody else.
    Neighbour { from: Uuid, name: Arc<str> },
}

impl Router {
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.resources.host.metrics
    }

    /// The app that a request is for, whose host is `host`.
    pub(crate) fn find(&self, to: &To, host: &str) -> Option<Arc<App>> {
        match to {
            To::Host => self.table.route(host),
            To::Neighbour { from, name } => {
                let owner = self.table.get(*from)?.spec.owner;
                self.table.named(name).filter(|app| app.spec.owner == owner)
            }
        }
    }

    /// Answers one request. Dropping the future is the client going away. What is left in `tunnel` is to be run when
    /// the response, a 101, has been sent.
    pub(crate) async fn handle<B>(
        &self,
        request: Request<B>,
        client: Client,
        to: &To,
        tunnel: &mut Option<Tunnel>,
    ) -> Response<RouterBody>
    where
        B: Body<Data = Bytes, Error: Into<WasiError>> + Send + 'static,
    {
        let (mut parts, body) = request.into_parts();
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let host = match forward::check(&parts) {
            Ok(host) => host,
            Err(refused) => {
                self.metrics().unrouted();
                return page(hcode::refused(&refused, parts.version));
            }
        };
        if let Some(gate) = &self.gate
            && let Err(text) = gate.ready().await
        {
            return page(hcode::not_ready(&text));
        }
        let Some(app) = self.find(to, &host) else {
            self.metrics().unrouted();
            return page(hcode::no_such_app());
        };
        let info = forward::request(&mut parts, host, client);
        let host = &self.resources.host;
        let trace = host.spans.as_ref();
        let trace = trace.and_then(|sink| Trace::enter(sink, &mut parts.headers, &app.spec.name));
        let log = RequestLog::new(host, &app, info, trace);
        let request = Request::from_parts(parts, IncomingBody::new(body));
        let mut pending = Pending { log: Some(log), exchange: None };
        match self.serve(&app, request, &mut pending).await {
            Ok(Answer::Response(response)) => response,
            Ok(Answer::Switching(response, exchange)) => {
                switch(response, &exchange, upgrade, &mut pending, tunnel)
            }
            Err(code) => {
                pending.finish(code);
                page(code.page())
            }
        }
    }

    async fn serve(
        &self,
        app: &App,
        request: Request<IncomingBody>,
        pending: &mut Pending,
    ) -> Result<Answer, HCode> {
        if app.spec.maintenance {
            return Err(HCode::H80);
        }
        let release = app.release.as_ref().ok_or(HCode::H81)?;
        let cold = self.ready(app, release).await?;
        let bodiless = request.method() == Method::HEAD;
        let limits = &self.resources.host.limits;
        let patience = Limits::ms(limits.first_byte_ms);
        let dispatched = match release.web().ok_or(HCode::H14)? {
            Serving::Called(formation) => {
                let lease = match formation.try_acquire() {
                    Some(lease) => lease,
                    None => in_time(patience, formation.acquire()).await?,
                };
                formation.dispatch(lease, request, cold)
            }
            Serving::Listening(sockets) => {
                let lease = match sockets.try_acquire() {
                    Some(lease) => lease,
                    None => {
                        // It may have to boot, and says itself when that took too long.
                        let patience = patience.max(Limits::ms(limits.boot_ms) * 2);
                        in_time(patience, sockets.acquire()).await?
                    }
                };
                sockets.dispatch(lease, request, cold)
            }
        };
        let exchange = dispatched.exchange;
        pending.dispatched(dispatched.dyno, &exchange);
        let lanes = &self.resources.host.lanes;
        let attend = Attend::new(dispatched.guest, Arc::clone(&exchange), lanes, dispatched.pace);
        let response = attend.await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Answer::Switching(response, exchange));
        }
        if response.status().is_informational() {
            return Err(HCode::H17);
        }
        let Some(log) = pending.log.take() else { return Err(HCode::H99) };
        log.answered();
        Ok(Answer::Response(deliver(response, exchange, log, bodiless)))
    }

    /// Waits until the release is prepared. `true` when this request had to wait for it.
    async fn ready(&self, app: &App, release: &Release) -> Result<bool, HCode> {
        if release.is_ready() {
            return Ok(false);
        }
        let patience = Limits::ms(self.resources.host.limits.boot_ms);
        let preparing = release.prepare(&self.resources);
        let error = match tokio::time::timeout(patience, preparing).await {
            Ok(Ok(cold)) => return Ok(cold),
            Ok(Err(error)) => error,
            Err(_) => return Err(HCode::H20),
        };
        tracing::error!(app = app.spec.name, "cannot run its release: {error}");
        let host = &self.resources.host;
        let line_bytes = Limits::size(host.limits.log_line_bytes);
        DynoLog::new(Arc::clone(&host.sink), app.spec.id, "web.1", line_bytes)
            .platform(&format!("Cannot start: {error}"));
        Err(if error.permanent() { HCode::H10 } else { HCode::H99 })
    }
}

/// Waits for a place at a dyno.
async fn in_time<L>(
    patience: Duration,
    acquired: impl Future<Output = Result<L, Refused>>,
) -> Result<L, HCode> {
    match tokio::time::timeout(patience, acquired).await {
        Ok(Ok(lease)) => Ok(lease),
        Ok(Err(Refused::Off)) => Err(HCode::H14),
        Ok(Err(Refused::QueueFull)) => Err(HCode::H11),
        Ok(Err(Refused::NotStarted(code))) => Err(code),
        Err(_) => Err(HCode::H12),
    }
}

/// A request that has no response yet. Dropped before that, the client is gone.
struct Pending {
    log: Option<RequestLog>,
    exchange: Option<Arc<Exchange>>,
}

impl Pending {
    fn dispatched(&mut self, dyno: DynoName, exchange: &Arc<Exchange>) {
        self.exchange = Some(Arc::clone(exchange));
        if let Some(log) = &mut self.log {
            log.dispatched(dyno, Arc::clone(exchange));
        }
    }

    fn finish(&mut self, code: HCode) {
        let Some(log) = self.log.take() else { return };
        log.finish(code.status().as_u16(), 0, Some(code));
        if let Some(exchange) = &self.exchange {
            exchange.over();
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.finish(HCode::H27);
    }
}

/// What a dyno has said.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every answer is a response, and a box would be an allocation for each request"
)]
enum Answer {
    Response(Response<RouterBody>),
    /// It changes the connection's protocol.
    Switching(Response<HyperOutgoingBody>, Arc<Exchange>),
}

/// Makes the response after which the connection is not HTTP any more; or a page, when nobody had asked for that.
fn switch(
    mut response: Response<HyperOutgoingBody>,
    exchange: &Arc<Exchange>,
    client: Option<OnUpgrade>,
    pending: &mut Pending,
    tunnel: &mut Option<Tunnel>,
) -> Response<RouterBody> {
    *tunnel = Tunnel::new(&mut response, client, exchange, &mut pending.log);
    if tunnel.is_none() {
        pending.finish(HCode::H17);
        return page(HCode::H17.page());
    }
    let (mut parts, _) = response.into_parts();
    forward::switching(&mut parts.headers);
    Response::from_parts(parts, RouterBody::None)
}

fn deliver(
    response: Response<HyperOutgoingBody>,
    exchange: Arc<Exchange>,
    log: RequestLog,
    bodiless: bool,
) -> Response<RouterBody> {
    let (mut parts, body) = response.into_parts();
    forward::response(&mut parts.headers);
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let bodiless =
        bodiless || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = ResponseBody::new(body, exchange, log, parts.status.as_u16(), announced);
    if bodiless {
        tokio::spawn(body.discard());
        return Response::from_parts(parts, RouterBody::None);
    }
    Response::from_parts(parts, RouterBody::App(body))
}

fn page(page: Response<Full<Bytes>>) -> Response<RouterBody> {
    page.map(RouterBody::Page)
}
