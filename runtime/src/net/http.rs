//! Outgoing HTTP of a dyno (`wasi:http/outgoing-handler`): one connection per request, HTTP/1.1, over TLS
//! for `https`.

use std::{error::Error as _, future::Future, io, sync::Arc, time::Duration};

use http::{Request, Response, Uri, uri::Scheme};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_rustls::rustls;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody};
use wpaas_slug::{Limits, egress::Host};

use super::{
    body::ResponseBody,
    dial::{DialError, Dialer, Permits},
};
use crate::internal::Way;

/// What ends when the response's body is dropped: the task that moves its bytes.
pub(super) type Io = Box<dyn Future<Output = Result<()>> + Send>;
/// A response and what has to go on for its body to come.
pub(super) type Answer = Result<(Response<WasiBody>, Io)>;

const TLS_PORT: u16 = 443;

/// Where a request goes.
struct Destination {
    host: Host,
    port: u16,
    tls: bool,
}

/// The times of one request: the guest's, where they are shorter than the operator's.
struct Times {
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
}

impl Times {
    fn new(options: Option<RequestOptions>, limits: &Limits) -> Self {
        let options = options.unwrap_or_default();
        let shorter = |wish: Option<Duration>, limit: u64| {
            wish.map_or(Limits::ms(limit), |wish| wish.min(Limits::ms(limit)))
        };
        Self {
            connect: shorter(options.connect_timeout, limits.egress_connect_ms),
            first_byte: shorter(options.first_byte_timeout, limits.egress_first_byte_ms),
            idle: shorter(options.between_bytes_timeout, limits.egress_idle_ms),
        }
    }
}

/// Sends `request` where the egress rules allow it.
pub(super) async fn send(
    dialer: Arc<Dialer>,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Answer {
    let to = destination(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
    let times = Times::new(options, dialer.limits());
    // What is wanted is HTTP; over TLS an app is asked from outside.
    let port = if to.tls { TLS_PORT } else { to.port };
    if let Some(way) = dialer.neighbour(&to.host, port) {
        let (way, permits) = way.map_err(from_dial)?;
        return ask(way, permits, request, &times).await;
    }
    let began = Instant::now();
    let dialed = dialer.dial(&to.host, to.port, times.connect).await.map_err(from_dial)?;
    if !to.tls {
        return exchange(dialed.stream, dialed.permits, request, &times, dialer.limits()).await;
    }
    let authorities = dialer.authorities(&to.host, to.port);
    let shaking = authorities.connect(&to.host, dialed.stream);
    let stream = match tokio::time::timeout_at(began + times.connect, shaking).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let Destination { host, port, .. } = &to;
            dialer.report(format!(
                "Connection to {host}:{port} failed in its TLS handshake: {error}"
            ));
            return Err(from_tls(&error));
        }
        Err(_) => return Err(Error::ConnectionTimeout),
    };
    exchange(stream, dialed.permits, request, &times, dialer.limits()).await
}

/// Asks another app of this node.
async fn ask(way: Way, permits: Permits, request: Request<WasiBody>, times: &Times) -> Answer {
    // A task of its own: the other guest is polled in it, and not from within this one's call.
    let asked = wasmtime_wasi::runtime::spawn(way.ask(request));
    let (response, place) = tokio::time::timeout(times.first_byte, asked)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?;
    let response = response.map(|body| {
        let body = body.map_err(|_| Error::HttpResponseIncomplete);
        ResponseBody::new(body, times.idle, (permits, place)).boxed_unsync()
    });
    Ok((response, Box::new(std::future::ready(Ok(())))))
}

fn destination(uri: &Uri) -> Option<Destination> {
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let authority = uri.authority()?;
    // The host is all that there is before the port: a user's name would go into the Host header.
    let rest = authority.as_str().strip_prefix(authority.host())?;
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        Some("") => None,
        Some(port) => Some(port.parse().ok()?),
    };
    let port = port.unwrap_or(if tls { TLS_PORT } else { 80 });
    Some(Destination { host: Host::parse(authority.host())?, port, tls })
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    permits: Permits,
    mut request: Request<WasiBody>,
    times: &Times,
    limits: &Limits,
) -> Answer {
    // Hyper's own minimum is 8 KiB.
    let buffer = Limits::size(limits.egress_header_bytes).max(8 * 1024);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(buffer);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| from_hyper(&error))?;
    // Ends with the future, so with the body that the guest holds.
    let connection = wasmtime_wasi::runtime::spawn(async move {
        let _permits = permits;
        connection.await
    });
    // Only a proxy is told scheme and authority in the request line.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let sent = tokio::time::timeout(times.first_byte, sender.send_request(request)).await;
    let response =
        sent.map_err(|_| Error::ConnectionReadTimeout)?.map_err(|error| from_hyper(&error))?;
    let idle = times.idle;
    let response = response.map(|body| {
        let body = body.map_err(|error| from_hyper(&error));
        ResponseBody::new(body, idle, ()).boxed_unsync()
    });
    // The guest learns of an error by the body; here it would only be logged.
    let io = async move {
        let _ = connection.await;
        Ok(())
    };
    Ok((response, Box::new(io)))
}

fn from_dial(error: DialError) -> Error {
    match error {
        DialError::Denied => Error::HttpRequestDenied,
        DialError::Prohibited => Error::DestinationIpProhibited,
        DialError::TooMany => Error::ConnectionLimitReached,
        DialError::NotFound => {
            Error::DnsError { rcode: Some("name not found".into()), info_code: None }
        }
        DialError::Timeout => Error::ConnectionTimeout,
        DialError::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                Error::ConnectionTerminated
            }
            io::ErrorKind::TimedOut => Error::ConnectionTimeout,
            io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
            _ => Error::DestinationUnavailable,
        },
    }
}

fn from_tls(error: &io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

/// What hyper says, in the words of `wasi:http`.
pub(super) fn from_hyper(error: &hyper::Error) -> Error {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_closed() || error.is_canceled() || io.is_some() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<(String, u16, bool)> {
        let to = destination(&uri.parse().unwrap())?;
        Some((to.host.to_string(), to.port, to.tls))
    }

    #[test]
    fn the_destination_is_what_stands_in_the_url_and_nothing_else() {
        let is = |host: &str, port, tls| Some((host.to_owned(), port, tls));
        assert_eq!(of("http://Example.com/x"), is("example.com", 80, false));
        assert_eq!(of("https://example.com"), is("example.com", 443, true));
        assert_eq!(of("https://example.com:8443/"), is("example.com", 8443, true));
        assert_eq!(of("http://[::1]:81/"), is("[::1]", 81, false));
        assert_eq!(of("http://0x7f.1/"), is("127.0.0.1", 80, false));
        assert_eq!(of("http://open.example.com@127.0.0.1/"), None);
        assert_eq!(of("http://user:secret@example.com/"), None);
        assert_eq!(of("/path"), None);
        assert_eq!(of("http://example.com:99999/"), None);
    }

    #[test]
    fn a_guest_shortens_times_and_does_not_lengthen_them() {
        let limits = Limits { egress_connect_ms: 1000, ..Limits::default() };
        let wish = |ms| {
            let connect_timeout = Some(Duration::from_millis(ms));
            let options = RequestOptions { connect_timeout, ..RequestOptions::default() };
            Times::new(Some(options), &limits).connect.as_millis()
        };
        assert_eq!((wish(10), wish(5000)), (10, 1000));
        assert_eq!(Times::new(None, &limits).connect.as_millis(), 1000);
    }
}
