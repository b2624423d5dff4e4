//! gRPC: HTTP/2 to the dyno, without TLS and without asking first (RFC 9113, 3.3), which is how its servers listen. A
//! call is known by its content type. Trailers pass, and so do streams in both directions.
//!
//! One connection to the dyno carries all its calls.

use std::{collections::VecDeque, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version, header, uri::Scheme};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wpaas_slug::Limits;

use super::{
    body::Download,
    dyno::Dyno,
    expect::Upload,
    serve::{connect, failed},
};
use crate::{body::RequestBody, exchange::Exchange, hcode::HCode};

/// Bytes that a dyno may send ahead of the client's reading, on a stream and on the connection.
const WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The dyno's connection, once there was a call.
#[derive(Default)]
pub(super) struct Http2(Mutex<Option<http2::SendRequest<Upload>>>);

/// Whether these are the headers of a call. gRPC-Web is made for HTTP/1.1 and stays there.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

impl Http2 {
    async fn sender(
        &self,
        dyno: &Dyno,
        limits: &Limits,
    ) -> Result<http2::SendRequest<Upload>, HCode> {
        let mut kept = self.0.lock().await;
        if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = connect(dyno, limits).await?;
        let headers = u32::try_from(limits.response_header_bytes).unwrap_or(u32::MAX);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(headers);
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|_| HCode::H13)?;
        // Ends with the dyno, whose handle is the last to hold a sender.
        tokio::spawn(connection);
        Ok(kept.insert(sender).clone())
    }
}

/// The dyno's response to a call.
pub(super) async fn answer(
    dyno: &Arc<Dyno>,
    request: Request<RequestBody>,
    limits: &Limits,
    exchange: &Exchange,
) -> Result<Response<HyperOutgoingBody>, HCode> {
    let request =
        Upload::of(for_dyno(request).ok_or(HCode::H99)?, VecDeque::new(), None, Limits::ms(0));
    let mut sender = dyno.http2.sender(dyno, limits).await?;
    sender.ready().await.map_err(|_| HCode::H13)?;
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| failed(&error, dyno, exchange))?;
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, Download::apart(body).boxed_unsync()))
}

/// As HTTP/2 has it: the host in the target, and `te: trailers`, without which servers refuse the call.
fn for_dyno(mut request: Request<RequestBody>) -> Option<Request<RequestBody>> {
    let headers = request.headers_mut();
    let host = headers.remove(header::HOST)?;
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let path = request.uri().path_and_query().cloned()?;
    let target =
        Uri::builder().scheme(Scheme::HTTP).authority(host.as_bytes()).path_and_query(path);
    *request.uri_mut() = target.build().ok()?;
    *request.version_mut() = Version::HTTP_2;
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            let headers = [(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
            assert_eq!(is_call(&headers), is, "{kind}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }
}
