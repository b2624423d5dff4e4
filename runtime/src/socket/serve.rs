//! One request to a socket dyno, from its arrival until client and dyno are done with each other.

use std::{collections::VecDeque, sync::Arc};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wpaas_slug::Limits;

use super::{
    body::Download,
    dyno::Dyno,
    expect::Upload,
    formation::{Lease, Sockets},
    grpc,
    links::Link,
    replay::Replay,
    tunnel::Switched,
};
use crate::{
    body::RequestBody,
    dyno::PORT,
    exchange::Exchange,
    forward::Upgrade,
    hcode::HCode,
    metrics::Hit,
    net::{HostEnd, Unreachable},
};

/// Serves one request at the dyno of `lease`, and gives the place back when the client has its response or is gone.
pub(super) async fn serve(
    sockets: Arc<Sockets>,
    lease: Lease,
    request: Request<RequestBody>,
    exchange: Arc<Exchange>,
) {
    let dyno = Arc::clone(lease.handle());
    let _present = dyno.accounts.enter();
    exchange.watch_share(dyno.accounts.share());
    exchange.watch_memory(Arc::clone(&dyno.memory));
    let answer = tokio::select! {
        biased;
        // The client is gone; with the connection the dyno learns of it.
        () = exchange.ended() => return,
        answer = answer(&dyno, request, &sockets.host.limits, &exchange) => answer,
        () = exchange.late() => Err(exchange.late_code()),
        () = sockets.stopped.cancelled() => Err(stopped(&sockets, &dyno, HCode::H13)),
    };
    match answer {
        Ok(response) => exchange.respond(Ok(response)),
        Err(code) => return exchange.fail(code),
    }
    let code = tokio::select! {
        biased;
        () = exchange.ended() => return,
        () = exchange.late() => exchange.late_code(),
        () = sockets.stopped.cancelled() => stopped(&sockets, &dyno, HCode::H18),
    };
    exchange.fail(code);
    // The body that the client reads ends with it, and this place with the body.
    exchange.ended().await;
}

fn stopped(sockets: &Sockets, dyno: &Dyno, code: HCode) -> HCode {
    sockets.spec.metrics.hit(Hit::Drain);
    dyno.log.platform("Stopping remaining request: its release was replaced");
    code
}

/// The dyno's response.
async fn answer(
    dyno: &Arc<Dyno>,
    request: Request<RequestBody>,
    limits: &Limits,
    exchange: &Arc<Exchange>,
) -> Result<Response<HyperOutgoingBody>, HCode> {
    if grpc::is_call(request.headers()) {
        return grpc::answer(dyno, request, limits, exchange).await;
    }
    let (mut request, mut first) = (for_dyno(request), VecDeque::new());
    let mut kept = dyno.links.take();
    loop {
        let (mut link, was_kept) = match kept.take() {
            Some(link) => (link, true),
            None => (dial(dyno, limits).await?, false),
        };
        // The dyno may close a kept connection at this moment.
        let again = was_kept.then(|| {
            let replay = Replay::new(link.guest.clone(), Limits::size(limits.socket_window_bytes));
            (head(&request), is_repeatable(&request), replay)
        });
        let replay = again.as_ref().map(|(_, _, replay)| replay.clone());
        let upload = Upload::of(request, first, replay, Limits::ms(limits.expect_continue_ms));
        let sending = link.sender.try_send_request(upload);
        match link.with(sending).await {
            Ok(response) => return finish(response, link, dyno, limits).await,
            Err(mut error) => {
                // What was not begun comes back, whatever it is.
                let unsent = error.take_message().filter(|_| was_kept).and_then(Upload::back);
                // Its part of the body is given up with it, and nothing more is read of it.
                drop(link);
                let same = unsent.or_else(|| {
                    let (head, is_repeatable, replay) = again?;
                    let (first, body) = match replay.take() {
                        Some(untouched) => untouched,
                        None if is_repeatable => (VecDeque::new(), RequestBody::none(exchange)),
                        None => return None,
                    };
                    Some((head.map(|()| body), first))
                });
                match same {
                    Some(same) => (request, first) = same,
                    None => return Err(failed(error.error(), dyno, exchange)),
                }
            }
        }
    }
}

/// A connection of its own.
async fn dial(dyno: &Dyno, limits: &Limits) -> Result<Link, HCode> {
    Link::new(connect(dyno, limits).await?, limits).await.map_err(|_| HCode::H13)
}

/// Opens a connection, within the time that a dyno has to take it.
pub(super) async fn connect(dyno: &Dyno, limits: &Limits) -> Result<HostEnd, HCode> {
    let time = Limits::ms(limits.dyno_connect_ms);
    match tokio::time::timeout(time, dyno.vnet.connect(PORT)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(Unreachable::Dead)) => Err(HCode::H13),
        Ok(Err(Unreachable::NotListening | Unreachable::Full)) => Err(HCode::H21),
        Err(_) => Err(HCode::H19),
    }
}

/// As a server expects it that is asked itself, and not as a proxy.
fn for_dyno(mut request: Request<RequestBody>) -> Request<RequestBody> {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    *request.version_mut() = Version::HTTP_11;
    if let Some(Upgrade(protocol)) = request.extensions_mut().remove() {
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    request
}

/// Whether a request may be sent twice (RFC 9110, 9.2.2) and has no body that would be gone.
fn is_repeatable(request: &Request<RequestBody>) -> bool {
    let methods = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
    methods.contains(request.method()) && request.body().is_end_stream()
}

fn head(request: &Request<RequestBody>) -> Request<()> {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    head.uri_mut().clone_from(request.uri());
    *head.headers_mut() = request.headers().clone();
    *head.extensions_mut() = request.extensions().clone();
    head
}

async fn finish(
    mut response: Response<Incoming>,
    mut link: Link,
    dyno: &Arc<Dyno>,
    limits: &Limits,
) -> Result<Response<HyperOutgoingBody>, HCode> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgraded = link.with(hyper::upgrade::on(&mut response)).await;
        let stream = upgraded.map_err(|_| HCode::H17)?;
        let quiet = Limits::ms(limits.upgrade_quiet_ms);
        response.extensions_mut().insert(Switched::new(stream, link.guest, dyno, quiet));
        return Ok(response.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync()));
    }
    let (mut parts, body) = response.into_parts();
    // A dyno may still speak HTTP/1.0.
    parts.version = Version::HTTP_11;
    let download = Download::new(body, link, dyno);
    Ok(Response::from_parts(parts, download.boxed_unsync()))
}

/// Why there is no response, for the log and the client.
pub(super) fn failed(error: &hyper::Error, dyno: &Dyno, exchange: &Exchange) -> HCode {
    if error.is_parse() {
        dyno.log.platform(&format!("The response is not HTTP: {error}"));
        return HCode::H17;
    }
    match exchange.interrupted() {
        HCode::H27 => HCode::H27,
        _ => HCode::H13,
    }
}
