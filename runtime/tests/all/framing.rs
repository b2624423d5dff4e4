//! HTTP/1.1 as clients may use it (RFC 9110, RFC 9112), byte by byte.

use tokio::io::AsyncWriteExt;

use crate::{
    raw::Raw,
    support::{Host, attacked, soon},
};

/// Sends one request on a connection of its own.
async fn ask(host: &Host, request: &str) -> Raw {
    let mut raw = Raw::connect(host.address).await;
    raw.send(request).await;
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_100_continue_gets_it_when_the_guest_reads() {
    let host = attacked(|_| {}).await;
    let head = "POST /upload HTTP/1.1\r\nhost: app.localhost\r\nexpect: 100-continue\r\n\
                content-length: 5\r\n\r\n";
    let mut raw = ask(&host, head).await;
    let interim = raw.response("POST").await.unwrap();
    assert_eq!((interim.status, interim.head.as_str()), (100, "http/1.1 100 continue\r\n\r\n"));
    raw.send("hello").await;
    let response = raw.response("POST").await.unwrap();
    assert_eq!((response.status, response.body.as_str()), (200, "5"));
    // The connection goes on.
    raw.send("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.response("GET").await.unwrap().body, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_want_the_body_answers_without_100() {
    let host = attacked(|_| {}).await;
    let head = "POST /status?code=403 HTTP/1.1\r\nhost: app.localhost\r\nexpect: 100-continue\r\n\
                content-length: 5\r\n\r\n";
    let mut raw = ask(&host, head).await;
    // The body may or may not come, so nobody could tell it from the next request.
    let responses = raw.responses().await;
    assert_eq!(responses.len(), 1, "{responses:?}");
    assert_eq!((responses[0].status, responses[0].body.as_str()), (403, "status"));
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_a_request_reach_the_guest() {
    let host = attacked(|_| {}).await;
    let mut raw = ask(
        &host,
        "POST /whole HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\
         trailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n",
    )
    .await;
    let text = raw.response("POST").await.unwrap().body;
    assert!(text.contains("body: \"hello\"\ntrailer x-sum: 5"), "{text}");
    assert!(!text.contains("transfer-encoding"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_a_response_reach_clients_that_take_them() {
    let host = attacked(|_| {}).await;
    for (te, trailers) in [("te: trailers\r\n", "x-checksum: 4\r\n"), ("", "")] {
        let head = format!("GET /trailers HTTP/1.1\r\nhost: app.localhost\r\n{te}\r\n");
        let before = host.log.lines().len();
        let mut raw = ask(&host, &head).await;
        let response = raw.response("GET").await.unwrap();
        assert_eq!(response.body, "body");
        assert_eq!(response.trailers.to_ascii_lowercase(), trailers);
        let line = host.log.line_from(before, "path=\"/trailers\"").await;
        assert!(line.contains("at=info ") && line.contains(" status=200 bytes=4 "), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_no_longer_than_it_announces() {
    let host = attacked(|_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    for _ in 0..2 {
        raw.send("GET /oversized HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
        let response = raw.response("GET").await.unwrap();
        assert_eq!((response.status, response.body.as_str()), (200, "hello"));
    }
    raw.send("GET /ok HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n").await;
    let rest = raw.responses().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    let line = host.log.line("path=\"/oversized\"").await;
    assert!(line.contains("at=info ") && line.contains(" status=200 bytes=5 "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let host = attacked(|_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    let mut requests = String::new();
    for number in 0..20 {
        requests += &match number % 4 {
            0 => format!("GET /request?{number} HTTP/1.1\r\nhost: app.localhost\r\n\r\n"),
            1 => format!("HEAD /request?{number} HTTP/1.1\r\nhost: app.localhost\r\n\r\n"),
            2 => format!(
                "POST /whole?{number} HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 4\r\n\r\n\
                 GET "
            ),
            _ => format!(
                "\r\nPOST /whole?{number} HTTP/1.1\r\nhost: app.localhost\r\n\
                 transfer-encoding: chunked\r\n\r\n4;x=\"y\"\r\nGET \r\n0\r\n\r\n"
            ),
        };
    }
    raw.send(requests).await;
    for number in 0..20 {
        let method = ["GET", "HEAD", "POST", "POST"][number % 4];
        let response = raw.response(method).await.unwrap();
        assert_eq!(response.status, 200, "{number}: {response:?}");
        let target = format!("?{number}\n");
        assert_eq!(response.body.contains(&target), number % 4 != 1, "{number}: {response:?}");
        assert_eq!(response.body.contains("body: \"GET \""), number % 4 > 1, "{response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_method_may_have_a_body() {
    let host = attacked(|_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    for method in ["GET", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        raw.send(format!(
            "{method} /whole HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 5\r\n\r\nhello"
        ))
        .await;
        let text = raw.response(method).await.unwrap().body;
        assert!(text.contains(&format!("method: {method}\n")), "{text}");
        assert!(text.contains("body: \"hello\""), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_http_1_0_are_closed_unless_they_keep_alive() {
    let host = attacked(|_| {}).await;
    let mut raw = ask(&host, "GET /ok HTTP/1.0\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.responses().await.len(), 1);
    // A body of unknown length ends with the connection: there are no chunks in HTTP/1.0.
    let mut raw = ask(&host, "GET /sse?n=2&ms=1 HTTP/1.0\r\nhost: app.localhost\r\n\r\n").await;
    let response = raw.response("GET").await.unwrap();
    assert_eq!(response.body, "data: 1\n\ndata: 2\n\n");
    assert!(!response.head.contains("transfer-encoding"), "{response:?}");
    let keep = "GET /ok HTTP/1.0\r\nhost: app.localhost\r\nconnection: keep-alive\r\n\r\n";
    let mut raw = ask(&host, keep).await;
    assert_eq!(raw.response("GET").await.unwrap().body, "ok");
    raw.send(keep).await;
    assert_eq!(raw.response("GET").await.unwrap().body, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_in_all_forms() {
    let host = attacked(|_| {}).await;
    for (line, given, target) in [
        ("GET http://app.localhost:80/request?a HTTP/1.1", "other", "target: /request?a"),
        ("GET http://app.localhost/request HTTP/1.1", "other.example", "target: /request"),
        ("OPTIONS * HTTP/1.1", "app.localhost", ""),
        ("GET //request HTTP/1.1", "app.localhost", ""),
    ] {
        let mut raw = ask(&host, &format!("{line}\r\nhost: {given}\r\n\r\n")).await;
        let response = raw.response("GET").await.unwrap();
        // The guest has no such route, but it was asked.
        let status = if target.is_empty() { 404 } else { 200 };
        assert_eq!(response.status, status, "{line}: {response:?}");
        assert!(response.body.contains(target), "{line}: {response:?}");
        assert!(status == 404 || response.body.contains("header host: app.localhost"), "{line}");
    }
    let line = host.log.line("method=OPTIONS").await;
    assert!(line.contains(" path=\"*\" "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_of_a_streamed_body() {
    let host = attacked(|_| {}).await;
    let mut raw = ask(&host, "HEAD /sse?n=2&ms=1 HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.response("HEAD").await.unwrap().status, 200);
    raw.send("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.response("GET").await.unwrap().body, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_its_body_is_seen_by_the_guest() {
    let host = attacked(|_| {}).await;
    for framing in
        ["content-length: 10\r\n\r\n12345", "transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n"]
    {
        let before = host.log.lines().len();
        let head = format!("POST /echo HTTP/1.1\r\nhost: app.localhost\r\n{framing}");
        let mut raw = ask(&host, &head).await;
        // The guest has the request when it answers.
        assert!(raw.more().await);
        drop(raw);
        host.log.line_from(before, "app[web.1]: body broken off").await;
        host.log.line_from(before, "code=H27").await;
    }
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_seen_by_a_guest_that_waits_to_write() {
    let host = attacked(|_| {}).await;
    // Nobody reads, so the guest is stuck in a write when the client goes.
    let mut raw =
        ask(&host, "GET /big?bytes=1000000000 HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert!(raw.more().await);
    drop(raw);
    host.log.line("app[web.1]: client gone in the middle of a big body").await;
    let line = host.log.line("code=H27").await;
    assert!(line.contains(" status=499 "), "{line}");
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_may_come_byte_by_byte() {
    let host = attacked(|_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    let request = "POST /whole HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\nhe\r\n3;ext\r\nllo\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        soon(raw.stream.write_all(&[*byte])).await.unwrap();
        tokio::task::yield_now().await;
    }
    let response = raw.response("POST").await.unwrap();
    assert!(response.body.contains("body: \"hello\""), "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_by_its_own_status() {
    let host = attacked(|limits| {
        limits.request_header_bytes = 128 * 1024;
        limits.request_headers = 20;
    })
    .await;
    let fields = |number: usize| "x-a: 1\r\n".repeat(number);
    let long = "y".repeat(70_000);
    for (head, status) in [
        (format!("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n{}\r\n", fields(19)), 200),
        (format!("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n{}\r\n", fields(20)), 431),
        (format!("GET /ok HTTP/1.1\r\nhost: app.localhost\r\nx: {long}{long}\r\n\r\n"), 431),
        (format!("GET /ok?{long} HTTP/1.1\r\nhost: app.localhost\r\n\r\n"), 414),
    ] {
        let mut raw = ask(&host, &head).await;
        let response = raw.response("GET").await.unwrap();
        assert_eq!(response.status, status, "{}", &head[..30]);
        assert_eq!(response.closes(), status != 200, "{response:?}");
    }
}
