//! What the router changes in requests and responses on their way (RFC 9110 section 7, and the headers that
//! Heroku's router adds).

use std::{fmt::Write, net::IpAddr};

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header,
    request::Parts as RequestParts, uri::Authority,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::request_log::RequestInfo;

/// The router's name in `Via`.
const VIA: &str = "1.1 wpaas";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// Fields that belong to one connection.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Who sends a request, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) ip: IpAddr,
    /// Over TLS that the router ends.
    pub(crate) tls: bool,
}

/// Marks requests that came over TLS; the guest's scheme is `https` then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

/// The protocol that the client wants to change to. Only dynos that have a connection can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upgrade(pub(crate) HeaderValue);

/// A request that cannot be routed, and what the client is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) message: &'static str,
}

fn bad(message: &'static str) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, message }
}

fn not_implemented(message: &'static str) -> Refused {
    Refused { status: StatusCode::NOT_IMPLEMENTED, message }
}

/// Refuses what must not reach a dyno, and finds the host that the request names: the authority of its target,
/// else its `Host`.
pub(crate) fn check(parts: &RequestParts) -> Result<String, Refused> {
    if parts.method == Method::CONNECT {
        return Err(not_implemented("CONNECT is not supported."));
    }
    // `GET whole` would make a host of what is no path (RFC 9112, 3.2.3).
    if parts.uri.authority().is_some() && parts.uri.scheme().is_none() {
        return Err(bad("The request's target is malformed."));
    }
    transfer_codings(&parts.headers)?;
    host(parts)
}

/// hyper takes off `chunked` alone, so that anything else would reach the dyno encoded and unnamed (RFC 9112,
/// 6.1 and 7).
fn transfer_codings(headers: &HeaderMap) -> Result<(), Refused> {
    let mut chunked = false;
    for value in headers.get_all(header::TRANSFER_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            if !coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(not_implemented("The transfer coding is not supported."));
            }
            if std::mem::replace(&mut chunked, true) {
                return Err(bad("The body is chunked twice."));
            }
        }
    }
    Ok(())
}

/// RFC 9112, 3.2; RFC 9113, 8.3.1.
fn host(parts: &RequestParts) -> Result<String, Refused> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(bad("The request has several Host headers.")),
        (Some(host), None) => Some(valid(host.to_str().map_err(|_| bad(MALFORMED_HOST))?)?),
        (None, None) => None,
    };
    let Some(authority) = parts.uri.authority() else {
        return named.ok_or(bad("The request has no Host header."));
    };
    let authority = valid(authority.as_str())?;
    match named {
        None if parts.version == Version::HTTP_11 => Err(bad("The request has no Host header.")),
        // Two proxies could each take another one for the host.
        Some(named)
            if parts.version >= Version::HTTP_2 && !named.eq_ignore_ascii_case(&authority) =>
        {
            Err(bad("The Host header is not the request's authority."))
        }
        _ => Ok(authority),
    }
}

const MALFORMED_HOST: &str = "The Host header is malformed.";

fn valid(host: &str) -> Result<String, Refused> {
    match host.parse::<Authority>() {
        Ok(authority) if !host.contains('@') => Ok(authority.as_str().to_owned()),
        _ => Err(bad(MALFORMED_HOST)),
    }
}

/// Makes the request that the dyno sees, and what the log says of it. `host` is [`check`]'s.
pub(crate) fn request(parts: &mut RequestParts, host: String, client: Client) -> RequestInfo {
    if let Some(upgrade) = upgrade(parts) {
        parts.extensions.insert(upgrade);
    }
    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    // HTTP/2 splits this field for its compression, and a dyno must not see that (RFC 9113, 8.2.3).
    join(headers, header::COOKIE, "; ");
    join(headers, FORWARDED_FOR, ", ");
    let (protocol, default_port) = if client.tls { ("https", "443") } else { ("http", "80") };
    let port = host.rsplit_once(':').map_or(default_port, |(_, port)| port);
    let port = if port.parse::<u16>().is_ok() { port } else { default_port };

    let mut values = Values::new();
    let known = headers.get(&FORWARDED_FOR).filter(|known| !known.is_empty());
    let fwd = match known.and_then(|known| known.to_str().ok()) {
        Some(known) => values.write(format_args!("{known}, {}", client.ip)),
        None => values.write(format_args!("{}", client.ip)),
    };
    let known = headers.get(&REQUEST_ID);
    let request_id = match known.filter(|id| id.to_str().is_ok_and(is_request_id)) {
        Some(known) => known.clone(),
        None => values.text(Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer())),
    };
    let start = Timestamp::now().as_millisecond();
    let start = values.text(itoa::Buffer::new().format(start));
    let port = if port == default_port {
        HeaderValue::from_static(default_port)
    } else {
        values.text(port)
    };
    let host = match headers.get(header::HOST) {
        Some(known) if known == host.as_str() => known.clone(),
        _ => values.text(&host),
    };

    headers.insert(FORWARDED_FOR, fwd.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(protocol));
    headers.insert(FORWARDED_PORT, port);
    headers.insert(REQUEST_ID, request_id.clone());
    headers.insert(REQUEST_START, start);
    headers.insert(header::HOST, host.clone());
    headers.append(header::VIA, HeaderValue::from_static(VIA));
    // To a dyno there is one HTTP.
    parts.version = Version::HTTP_11;
    if client.tls {
        parts.extensions.insert(OverTls);
    }

    RequestInfo {
        method: parts.method.clone(),
        target: parts.uri.path_and_query().cloned(),
        host,
        request_id,
        fwd,
        protocol,
    }
}

/// What the client wants to change its connection to (RFC 9110, 7.8). HTTP/2 is not among it: that is spoken from the
/// beginning, or not at all (RFC 9113, 3.1).
fn upgrade(parts: &RequestParts) -> Option<Upgrade> {
    let wanted = parts.headers.get(header::UPGRADE)?;
    let is_http2 = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"h2c");
    if parts.version != Version::HTTP_11
        || wanted.as_bytes().split(|byte| *byte == b',').any(is_http2)
    {
        return None;
    }
    let connection = parts.headers.get_all(header::CONNECTION).iter();
    let mut named = connection.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let says = named.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    says.then(|| Upgrade(wanted.clone()))
}

/// Values of headers, written one after another into one allocation.
struct Values(BytesMut);

impl Values {
    fn new() -> Self {
        Self(BytesMut::with_capacity(192))
    }

    fn text(&mut self, text: &str) -> HeaderValue {
        self.write(format_args!("{text}"))
    }

    /// All that is written comes from headers or is made of digits and letters; anything else would give an
    /// empty value.
    fn write(&mut self, text: std::fmt::Arguments<'_>) -> HeaderValue {
        let written = self.0.write_fmt(text);
        let value = self.0.split().freeze();
        let value = written.ok().and_then(|()| HeaderValue::from_maybe_shared(value).ok());
        value.unwrap_or(HeaderValue::from_static(""))
    }
}

/// Makes the headers of a response that changes the protocol.
pub(crate) fn switching(headers: &mut HeaderMap) {
    let protocol = headers.get(header::UPGRADE).cloned();
    response(headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
    }
}

/// Makes the headers that the client sees.
pub(crate) fn response(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.append(header::VIA, HeaderValue::from_static(VIA));
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Looking at each name costs less than looking each field up.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Or a client could take away what the router or HTTP itself says.
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Joins the values of a field into one. Values that are no text are dropped.
fn join(headers: &mut HeaderMap, name: HeaderName, separator: &str) {
    let mut values = headers.get_all(&name).iter();
    if values.next().is_none() || values.next().is_none() {
        return;
    }
    let values = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok());
    let joined = values.collect::<Vec<_>>().join(separator);
    // Text put together from values is a value.
    if let Ok(joined) = HeaderValue::from_str(&joined) {
        headers.insert(name, joined);
    }
}

/// Heroku's rule for request ids that clients bring.
fn is_request_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-".contains(&byte);
    (20..=128).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
