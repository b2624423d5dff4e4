//! What `fuzz/` may call. Each function takes any bytes and panics when an invariant does not hold.

#![expect(clippy::panic, clippy::expect_used, reason = "a fuzz target reports by panicking")]

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderName, HeaderValue, Request, Uri, header};

use wpaas_slug::Limits;

use crate::{
    cgi::response::{Head, Malformed, Parser},
    code::files::Record,
    compile::headroom,
    forward::{self, Client},
    framing::Framing,
    lines::cut,
    net,
    socket::Frames,
    table::normal,
};

/// The frames of a WebSocket: where one ends does not depend on the pieces in which it comes.
pub fn websocket(bytes: &[u8]) {
    let Some((step, bytes)) = bytes.split_first() else { return };
    let (mut whole, mut pieces) = (Frames::default(), Frames::default());
    whole.follow(bytes);
    for piece in bytes.chunks(usize::from(*step).max(1)) {
        pieces.follow(piece);
    }
    assert_eq!(whole.is_between(), pieces.is_between());
}

/// A request as it comes from outside: a line with its target, then its fields; what a client can make the
/// router look up and pass on.
pub fn request(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Ok(uri) = Uri::try_from(lines.next().unwrap_or_default()) else { return };
    let mut request = Request::builder().uri(uri);
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(()) else { return };
    let (mut parts, ()) = request.into_parts();
    let Ok(host) = forward::check(&parts) else { return };
    let name = normal(&host);
    assert_eq!(name, name.to_ascii_lowercase());
    let client = Client { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), tls: bytes.len() % 2 == 0 };
    let info = forward::request(&mut parts, host.clone(), client);
    assert_eq!(info.host, host);
    let hosts: Vec<_> = parts.headers.get_all(header::HOST).iter().collect();
    assert_eq!(hosts, [host.as_str()], "the dyno sees the host that was routed to");
    for name in ["connection", "transfer-encoding", "te", "upgrade", "keep-alive"] {
        assert!(!parts.headers.contains_key(name), "{name} is the connection's");
    }
    for name in ["x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-request-start"] {
        let count = parts.headers.get_all(name).iter().count();
        assert_eq!(count, 1, "{name} is said once, by the router");
    }
}

/// A component's core module, as the compiler gets it.
pub fn headroom(module: &[u8]) {
    let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
    wasm_encoder::Encode::encode(module, &mut component);
    let valid = |bytes: &[u8]| wasmparser::Validator::new().validate_all(bytes).map(drop);
    let Some(roomy) = headroom::add(&component) else { return };
    assert!(roomy.len() > component.len());
    if valid(&component).is_ok() {
        valid(&roomy).expect("what was valid is still");
    }
}

/// What a client sends on one connection. The first byte says into pieces of what size it comes, which must not
/// change what is refused, and where.
pub fn framing(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let mut whole = Framing::new();
    let all = whole.follow(bytes).map_err(|refused| refused.at);
    let (mut pieces, mut at) = (Framing::new(), 0);
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        if let Err(refused) = pieces.follow(piece) {
            assert_eq!(all, Err(at + refused.at), "in pieces it is refused at another place");
            return;
        }
        at += piece.len();
    }
    assert_eq!(all, Ok(()), "in pieces it is not refused");
    assert_eq!(whole.between_messages(), pieces.between_messages());
}

/// What a CGI program prints. The first byte says in pieces of what size, which must not matter.
pub fn cgi(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let limits = Limits { response_header_bytes: 300, response_headers: 8, ..Limits::default() };
    let parse = |size: usize| -> Result<Option<(Head, usize)>, Malformed> {
        let (mut parser, mut before) = (Parser::new(&limits), 0);
        for piece in bytes.chunks(size.max(1)) {
            if let Some((head, taken)) = parser.push(piece)? {
                return Ok(Some((head, before + taken)));
            }
            before += piece.len();
        }
        Ok(None)
    };
    let whole = parse(bytes.len());
    assert_eq!(whole, parse(usize::from(*size)));
    let Ok(Some((head, taken))) = whole else { return };
    assert!(taken <= bytes.len() && taken <= 300 && head.status.as_u16() >= 200);
    let names = || head.headers.keys().map(HeaderName::as_str);
    assert!(names().all(|name| name != "status" && !name.starts_with("x-cgi-")));
}

/// What a release's dynos may connect to.
pub fn egress(text: &str) {
    net::fuzzing::egress(text);
}

/// The first byte is the limit, the rest the log line.
pub fn lines(bytes: &[u8]) {
    let Some((limit, text)) = bytes.split_first() else { return };
    let limit = usize::from(*limit).max(4);
    let pieces: Vec<&[u8]> = cut(text, limit).collect();
    assert_eq!(pieces.concat(), text, "nothing is lost");
    assert!(pieces.iter().all(|piece| piece.len() <= limit));
    assert!(pieces.len() == 1 || pieces.iter().all(|piece| !piece.is_empty()));
    if let Ok(text) = std::str::from_utf8(text) {
        let whole = pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok());
        assert!(whole, "{text:?} is cut inside a character");
    }
}

/// The record beside a file of machine code.
pub fn code_record(bytes: &[u8]) {
    let Some(record) = Record::parse(bytes) else { return };
    let again = Record::parse(record.render().as_bytes()).expect("what is written can be read");
    assert!(again == record, "{again:?} {record:?}");
}
