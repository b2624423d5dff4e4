//! Requests that two parsers could read differently (request smuggling, RFC 9112 section 11.2), and fields
//! that HTTP/2 must not carry into HTTP/1.1. Whatever happens to them, there is no second request.

use crate::{
    frames::{Answer, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, fields, request},
    raw::{Raw, Response},
    support::{Host, attacked},
};

/// What must not be taken for a request of its own.
const SMUGGLED: &str = "GET /whole?smuggled HTTP/1.1\r\nhost: app.localhost\r\n\r\n";

/// Sends the bytes and takes what comes until the node closes.
async fn ask(host: &Host, request: &[u8]) -> Vec<Response> {
    let mut raw = Raw::connect(host.address).await;
    raw.send(request).await;
    raw.responses().await
}

fn shown(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let end = text.char_indices().map(|(at, _)| at).take(300).last().unwrap_or(0);
    format!("{:?}", &text[..end])
}

/// The guest has seen no request beyond the first, and the log has none.
fn nothing_smuggled(host: &Host, what: &str) {
    let lines = host.log.lines();
    assert!(!lines.iter().any(|line| line.contains("smuggled")), "{what}: {lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_are_refused_and_nothing_after_them_is_read() {
    let host = attacked(|_| {}).await;
    let long_line = "y".repeat(70_000);
    let many_fields = "x-a: 1\r\n".repeat(201);
    let huge_field = format!("x-a: {}\r\n", "a".repeat(66_000));
    let start = "POST /whole HTTP/1.1\r\nhost: app.localhost\r\n";
    let both = "content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let post = |fields: &str| format!("{start}{fields}").into_bytes();
    let raw = |request: &str| request.as_bytes().to_vec();
    // The status, or 0 where only that nothing is smuggled counts.
    let table: Vec<(u16, Vec<u8>)> = vec![
        // Both lengths, in every order and shape.
        (400, post(both)),
        (400, post("transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\n")),
        (400, post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n")),
        (400, post("content-length: 6\r\nx: y\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: xchunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n")),
        // Several lengths.
        (400, post("content-length: 5\r\ncontent-length: 6\r\n\r\nhello")),
        (400, post("content-length: 5\r\ncontent-length: 5\r\n\r\nhello")),
        (400, post("content-length: 5, 5\r\n\r\nhello")),
        (400, post("content-length: 0\r\ncontent-length: 50\r\n\r\n")),
        // Lengths that are no numbers.
        (400, post("content-length: +5\r\n\r\nhello")),
        (400, post("content-length: -5\r\n\r\nhello")),
        (400, post("content-length: 0x5\r\n\r\nhello")),
        (400, post("content-length: 5 5\r\n\r\nhello")),
        (400, post("content-length: \"5\"\r\n\r\nhello")),
        (400, post("content-length:\r\n\r\n")),
        (400, post("content-length: 18446744073709551621\r\n\r\nhello")),
        // A number, but more than hyper takes.
        (431, post("content-length: 18446744073709551615\r\n\r\nhello")),
        // Codings.
        (400, post("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding:\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked\0\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n")),
        (501, post("transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        (501, post("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
        (
            400,
            raw(
                "POST /whole HTTP/1.0\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n\
                 0\r\n\r\n",
            ),
        ),
        // Names and lines.
        (400, post("transfer-encoding : chunked\r\n\r\n0\r\n\r\n")),
        (400, post("content-length : 5\r\n\r\nhello")),
        (400, post(" content-length: 5\r\n\r\nhello")),
        (400, post("x: y\r\n z\r\n\r\n")),
        (400, post("x: y\r\n\tz\r\n\r\n")),
        (400, post("x y: z\r\n\r\n")),
        (400, post("x\r\n\r\n")),
        (400, post(": x\r\n\r\n")),
        (400, post("x: a\0b\r\n\r\n")),
        (400, post("x: a\rcontent-length: 5\r\n\r\nhello")),
        (400, post("x: a\ncontent-length: 5\r\n\r\nhello")),
        (400, post("x: a\r\r\n\r\n")),
        (400, post("x: y\n\n")),
        (400, raw("POST /whole HTTP/1.1\nhost: app.localhost\n\n")),
        (400, raw("\x16\x03\x01\x02\x00\x01\x00\x01")),
        // The first line.
        (400, raw("GET /whole HTTP/1.2\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /whole HTTP/2.0\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /whole http/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /whole HTTP/1.1 \r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET  /whole HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /whole\tHTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /whole a HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw(" GET /whole HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("G\x01T /whole HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /who\x01le HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /who\x7fle HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /who\0le HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /who\rle HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET whole HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /whole\r\n\r\n")),
        (414, format!("GET /{long_line} HTTP/1.1\r\nhost: app.localhost\r\n\r\n").into_bytes()),
        // Hosts.
        (400, raw("GET /whole HTTP/1.1\r\n\r\n")),
        (400, raw("GET /whole HTTP/1.1\r\nhost:\r\n\r\n")),
        (400, raw("GET /whole HTTP/1.1\r\nhost: app.localhost\r\nhost: app.localhost\r\n\r\n")),
        (400, raw("GET /whole HTTP/1.1\r\nhost: app.localhost, other\r\n\r\n")),
        (400, raw("GET /whole HTTP/1.1\r\nhost: user@app.localhost\r\n\r\n")),
        (400, raw("GET /whole HTTP/1.1\r\nhost: app.localhost/x\r\n\r\n")),
        (400, raw("GET http://app.localhost/whole HTTP/1.1\r\n\r\n")),
        (400, raw("GET http://u@app.localhost/whole HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        (501, raw("CONNECT app.localhost:80 HTTP/1.1\r\nhost: app.localhost\r\n\r\n")),
        // Sizes.
        (431, post(&format!("{many_fields}\r\n"))),
        (431, post(&format!("{huge_field}\r\n"))),
    ];
    for (status, mut request) in table {
        let what = shown(&request);
        request.extend(SMUGGLED.as_bytes());
        let responses = ask(&host, &request).await;
        assert_eq!(responses.len(), 1, "{what}: {responses:#?}");
        // 414 and 431 come for the same reason when the whole head is too large.
        let accepted = if status == 414 { vec![414, 431] } else { vec![status] };
        assert!(accepted.contains(&responses[0].status), "{what}: {responses:#?}");
        assert!(responses[0].closes(), "{what}: {responses:#?}");
        nothing_smuggled(&host, &what);
    }
    // None of them has reached the guest.
    assert_eq!(host.get("/count").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_chunks_end_the_connection() {
    let host = attacked(|_| {}).await;
    let head = "POST /whole HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    for chunks in [
        "\r\n",
        " 0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "+0\r\n\r\n",
        "0x0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1;x\na\r\n0\r\n\r\n",
        "1\r\nab0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx: \0\r\n\r\n",
        "fffffffffffffffff\r\na",
        "10000000000000001\r\na\r\n0\r\n\r\n",
        "00000000000000000\r\n\r\n",
        "g\r\na\r\n0\r\n\r\n",
    ] {
        let before = host.log.lines().len();
        let responses = ask(&host, format!("{head}{chunks}{SMUGGLED}").as_bytes()).await;
        // The guest has been told that the body broke off, and may have answered that.
        assert!(responses.len() <= 1, "{chunks:?}: {responses:#?}");
        let text: String = responses.iter().map(|response| response.body.as_str()).collect();
        assert!(responses.is_empty() || text.contains("broken off"), "{chunks:?}: {text}");
        host.log.line_from(before, "body broken off").await;
        nothing_smuggled(&host, chunks);
    }
    let many = format!("{head}0\r\n{}\r\n{SMUGGLED}", "x: y\r\n".repeat(201));
    let long = format!("{head}1;{}\r\na\r\n0\r\n\r\n{SMUGGLED}", "x".repeat(20_000));
    for request in [many, long] {
        assert!(ask(&host, request.as_bytes()).await.len() <= 1);
        nothing_smuggled(&host, "many trailers, or a long extension");
    }
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_odd_but_is_not_ambiguous_is_served() {
    let host = attacked(|_| {}).await;
    let next = "GET /whole?next HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n";
    for (fields, body) in [
        ("content-length: 00005\r\n\r\nhello", "body: \"hello\""),
        ("Content-Length:5 \t\r\n\r\nhello", "body: \"hello\""),
        ("Transfer-Encoding: CHUNKED\r\n\r\n05;a=\"b\"\r\nhello\r\n0;z\r\n\r\n", "body: \"hello\""),
        (
            "transfer-encoding:chunked\r\n\r\n3 ;a\r\nhel\r\n2\r\nlo\r\n000\r\n\r\n",
            "body: \"hello\"",
        ),
        // The next request inside of a body stays there.
        (
            "content-length: 56\r\n\r\nGET /whole?smuggled HTTP/1.1\r\nhost: app.localhost\r\n\r\n\r\n",
            "smuggled",
        ),
        (
            "transfer-encoding: chunked\r\n\r\n1e\r\nGET /whole?smuggled HTTP/1.1\r\n\r\n0\r\n\r\n",
            "smuggled",
        ),
        // Trailers change nothing of the message that they end.
        (
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ncontent-length: 50\r\nhost: evil\r\n\r\n",
            "header host: app.localhost",
        ),
        // Upgrades that nobody takes up, and fields that a client cannot take away.
        (
            "connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello",
            "body: \"hello\"",
        ),
        ("connection: content-length\r\ncontent-length: 5\r\n\r\nhello", "body: \"hello\""),
    ] {
        let request = format!("POST /whole HTTP/1.1\r\nhost: app.localhost\r\n{fields}{next}");
        let responses = ask(&host, request.as_bytes()).await;
        assert_eq!(responses.len(), 2, "{fields:?}: {responses:#?}");
        assert!(responses[0].body.contains(body), "{fields:?}: {responses:#?}");
        assert!(responses[1].body.contains("target: /whole?next"), "{fields:?}: {responses:#?}");
    }
}

/// Sends a request with these fields and the body `hello`.
async fn ask_http2(host: &Host, given: &[(&str, &str)]) -> Answer {
    let mut frames = Frames::connect(host.address).await;
    frames.send(HEADERS, END_HEADERS, 1, &fields(given)).await;
    frames.send(DATA, END_STREAM, 1, b"hello").await;
    frames.answer(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http2_requests_are_stream_errors() {
    let host = attacked(|_| {}).await;
    // RFC 9113, 8.2 and 8.3.
    for field in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("content-length", "4"),
        ("content-length", "6"),
        ("content-length", "+5"),
        ("X-Upper", "1"),
        ("x\r\ny", "1"),
        ("x y", "1"),
        ("x:", "1"),
        ("", "1"),
        ("x", "1\r\ncontent-length: 0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
        ("x", "1\ny: 2"),
        ("x", "1\r"),
        ("x", "1\0"),
        (":unknown", "1"),
        (":path", "/smuggled"),
        (":status", "200"),
    ] {
        let mut given = request("POST", "/whole");
        given.push(field);
        let answer = ask_http2(&host, &given).await;
        // A length that is not met shows only when the request is under way.
        let broken = answer.body.contains("broken off") && field.0 == "content-length";
        assert!(answer.error.is_some() || broken, "{field:?}: {answer:?}");
        assert!(answer.status == 0 || broken, "{field:?}: {answer:?}");
        nothing_smuggled(&host, field.0);
    }
    for given in [
        &[(":method", "GET"), (":scheme", "http"), (":path", "/who le")][..],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/who\r\nle")],
        &[(":method", "GET"), (":scheme", "http"), (":path", "")],
        &[(":method", "G ET"), (":scheme", "http"), (":path", "/whole")],
        &[(":method", "GET"), (":path", "/whole")],
        &[(":scheme", "http"), (":path", "/whole")],
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/whole"),
            (":authority", "a\r\nb: c"),
        ],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/whole"), (":authority", "a b")],
    ] {
        let answer = ask_http2(&host, given).await;
        assert!(answer.error.is_some() || answer.status == 400, "{given:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_request_has_one_host() {
    let host = attacked(|_| {}).await;
    let with = |more: &[(&'static str, &'static str)]| {
        let mut given = request("POST", "/whole");
        given.extend(more);
        given
    };
    for given in [
        with(&[("host", "other.localhost")]),
        with(&[("host", "app.localhost"), ("host", "app.localhost")]),
        with(&[("host", "app localhost")]),
        vec![(":method", "GET"), (":scheme", "http"), (":path", "/whole")],
    ] {
        let answer = ask_http2(&host, &given).await;
        assert_eq!(answer.status, 400, "{given:?}: {answer:?}");
    }
    for given in [
        with(&[]),
        with(&[("host", "app.localhost"), ("te", "trailers")]),
        vec![
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/whole"),
            ("host", "app.localhost"),
        ],
    ] {
        let Answer { status, body, .. } = ask_http2(&host, &given).await;
        assert!(status == 200 && body.contains("body: \"hello\""), "{given:?}: {body}");
        assert_eq!(body.matches("header host: app.localhost").count(), 1, "{body}");
    }
}
