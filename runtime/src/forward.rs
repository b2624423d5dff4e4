//! What the router changes in requests and responses on their way (RFC 9110 section 7, and the headers that
//! Heroku's router adds).

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts as RequestParts,
    uri::Authority,
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

/// The host that a request names: the authority of its target, else its `Host`. The message of the error is
/// for the client.
pub(crate) fn host(parts: &RequestParts) -> Result<String, &'static str> {
    if let Some(authority) = parts.uri.authority() {
        return valid(authority.as_str());
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => valid(host.to_str().map_err(|_| "The Host header is malformed.")?),
        (None, _) => Err("The request has no Host header."),
        (Some(_), Some(_)) => Err("The request has several Host headers."),
    }
}

fn valid(host: &str) -> Result<String, &'static str> {
    match host.parse::<Authority>() {
        Ok(authority) if !host.contains('@') => Ok(authority.as_str().to_owned()),
        _ => Err("The Host header is malformed."),
    }
}

/// Makes the request that the dyno sees, and what the log says of it. `host` is [`host`]'s.
pub(crate) fn request(parts: &mut RequestParts, host: String, client: IpAddr) -> RequestInfo {
    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    // HTTP/2 splits this field for its compression, and a dyno must not see that (RFC 9113, 8.2.3).
    join(headers, header::COOKIE, "; ");
    let fwd = join(headers, FORWARDED_FOR, ", ");
    let fwd = if fwd.is_empty() { client.to_string() } else { format!("{fwd}, {client}") };
    let request_id = headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| is_request_id(id))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    let port = if port.parse::<u16>().is_ok() { port } else { "80" };
    let start = Timestamp::now().as_millisecond().to_string();

    set(headers, FORWARDED_FOR, &fwd);
    set(headers, FORWARDED_PROTO, "http");
    set(headers, FORWARDED_PORT, port);
    set(headers, REQUEST_ID, &request_id);
    set(headers, REQUEST_START, &start);
    set(headers, header::HOST, &host);
    headers.append(header::VIA, HeaderValue::from_static(VIA));
    // To a dyno there is one HTTP.
    parts.version = Version::HTTP_11;

    RequestInfo {
        method: parts.method.clone(),
        target: parts.uri.path_and_query().cloned(),
        host: get(headers, header::HOST),
        request_id: get(headers, REQUEST_ID),
        fwd: get(headers, FORWARDED_FOR),
        protocol: "http",
    }
}

fn get(headers: &HeaderMap, name: HeaderName) -> HeaderValue {
    headers.get(name).cloned().unwrap_or(HeaderValue::from_static(""))
}

/// Makes the headers that the client sees.
pub(crate) fn response(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.append(header::VIA, HeaderValue::from_static(VIA));
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
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

/// Joins the values of a field into one, and returns it. Values that are no text are dropped.
fn join(headers: &mut HeaderMap, name: HeaderName, separator: &str) -> String {
    let values: Vec<&str> =
        headers.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
    let (count, joined) = (values.len(), values.join(separator));
    if count > 1 {
        set(headers, name, &joined);
    }
    joined
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        // All values come from headers or are made of digits and letters.
        Err(_) => drop(headers.remove(name)),
    }
}

/// Heroku's rule for request ids that clients bring.
fn is_request_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-".contains(&byte);
    (20..=128).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
