//! Routes that try to leave the sandbox by the network.

use std::net::SocketAddr;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::http::{CHUNK, Request};

pub fn refused(reason: impl std::fmt::Debug) -> String {
    format!("refused: {reason:?}")
}

/// Sends this request's body to `url` (a GET when there is none), and gives the status and the body.
pub fn outgoing(incoming: &Request) -> String {
    let url = incoming.text("url");
    let Some((scheme, rest)) = url.split_once("://") else { return refused("not a URL") };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let path = if path.is_empty() { "/" } else { path };
    if request.set_scheme(Some(&scheme)).is_err()
        || request.set_authority(Some(authority)).is_err()
        || request.set_path_with_query(Some(path)).is_err()
    {
        return refused("not a URL");
    }
    let options = RequestOptions::new();
    let nanoseconds = |name| incoming.number(name).map(|ms| ms * 1_000_000);
    let set = options.set_connect_timeout(nanoseconds("connect_ms")).is_ok()
        && options.set_first_byte_timeout(nanoseconds("first_byte_ms")).is_ok()
        && options.set_between_bytes_timeout(nanoseconds("idle_ms")).is_ok();
    if !set {
        return refused("options");
    }
    let upload = matches!(incoming.inner.method(), Method::Post);
    if upload && request.set_method(&Method::Post).is_err() {
        return refused("POST");
    }
    let body = upload.then(|| request.body().expect("first call"));
    let future = match outgoing_handler::handle(request, Some(options)) {
        Ok(future) => future,
        Err(code) => return refused(code),
    };
    if let Some(body) = body
        && !pass_on(incoming, body)
    {
        return refused("the upload broke off");
    }
    future.subscribe().block();
    let response = match future.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(code))) => return refused(code),
        other => return refused(other.is_some()),
    };
    let status = response.status();
    let body = response.consume().expect("first call");
    let stream = body.stream().expect("first call");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return refused(error.to_debug_string());
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(body));
    format!("{status}\n{}", String::from_utf8_lossy(&bytes))
}

/// Streams the request's body into another one.
fn pass_on(incoming: &Request, body: OutgoingBody) -> bool {
    let from = incoming.inner.consume().expect("first call");
    let input = from.stream().expect("first call");
    let output = body.write().expect("first call");
    let whole = loop {
        match input.blocking_read(CHUNK as u64) {
            Ok(chunk) if output.blocking_write_and_flush(&chunk).is_ok() => {}
            Ok(_) => break false,
            Err(StreamError::Closed) => break true,
            Err(_) => break false,
        }
    };
    drop((input, output));
    drop(IncomingBody::finish(from));
    whole && OutgoingBody::finish(body, None).is_ok()
}

pub fn address(text: &str) -> Option<(IpAddressFamily, IpSocketAddress)> {
    Some(match text.parse().ok()? {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            let address = Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) };
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(address))
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            let address = Ipv6SocketAddress {
                port: v6.port(),
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
        }
    })
}

/// Connects to `IP:PORT`.
pub fn connect(text: &str) -> String {
    let Some((family, remote)) = address(text) else { return refused("not an address") };
    let result = create_tcp_socket(family).and_then(|socket| {
        socket.start_connect(&instance_network(), remote)?;
        socket.subscribe().block();
        socket.finish_connect()
    });
    match result {
        Ok(_) => "connected".to_owned(),
        Err(code) => refused(code.name()),
    }
}

/// Listens on `IP:PORT`.
pub fn listen(text: &str) -> String {
    let Some((family, local)) = address(text) else { return refused("not an address") };
    let result = create_tcp_socket(family).and_then(|socket| {
        socket.start_bind(&instance_network(), local)?;
        socket.subscribe().block();
        socket.finish_bind()?;
        socket.start_listen()?;
        socket.subscribe().block();
        socket.finish_listen()
    });
    match result {
        Ok(()) => "listening".to_owned(),
        Err(code) => refused(code.name()),
    }
}

/// Looks a name up.
pub fn resolve(name: &str) -> String {
    let stream = match wasip2::sockets::ip_name_lookup::resolve_addresses(&instance_network(), name)
    {
        Ok(stream) => stream,
        Err(code) => return refused(code.name()),
    };
    stream.subscribe().block();
    match stream.resolve_next_address() {
        Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => format!("{a}.{b}.{c}.{d}"),
        Ok(other) => format!("{other:?}"),
        Err(code) => refused(code.name()),
    }
}
