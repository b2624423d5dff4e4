//! CGI programs (RFC 3875) behind the router.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wpaas_slug::{
    Limits, World,
    feed::{AppSpec, Scale},
};

use crate::support::{Host, app, configure, host, process_type, slug_of, soon};

/// A node with the app `app`, one dyno of the CGI guest.
async fn cgi(change: impl FnOnce(&mut Limits)) -> (Host, AppSpec) {
    let host = host(change).await;
    let web = process_type(&host.store, "cgi", World::Cgi).await;
    let mut app = app("app", Some(slug_of(&host.store, vec![("web", web)]).await));
    app.formation.insert("web".into(), Scale { min: 0, max: 1 });
    host.apply(&app).await;
    (host, app)
}

fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sees_the_request_as_environment() {
    let (host, mut app) = cgi(|_| {}).await;
    configure(
        &mut app,
        &[("GREETING", "hi"), ("QUERY_STRING", "fake"), ("HTTP_X_USER", "fake"), ("PORT", "1")],
    );
    host.apply(&app).await;
    let request = Request::post("/env?a=b%20c")
        .header("host", "app.localhost:8080")
        .header("content-type", "text/plain")
        .header("proxy", "http://evil.example")
        .header("x-two-words", "yes")
        .body(Full::from("hello"))
        .unwrap();
    let text = host.send(request).await.ok();
    let seen = variables(&text);
    for (name, value) in [
        ("GREETING", "hi"),
        ("DYNO", "web.1"),
        ("REQUEST_METHOD", "POST"),
        ("PATH_INFO", "/env"),
        ("PATH_TRANSLATED", "/app/env"),
        ("SCRIPT_NAME", ""),
        ("QUERY_STRING", "a=b%20c"),
        ("CONTENT_LENGTH", "5"),
        ("CONTENT_TYPE", "text/plain"),
        ("SERVER_NAME", "app.localhost"),
        ("SERVER_PORT", "8080"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTP_X_TWO_WORDS", "yes"),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name} in {text}");
    }
    assert!(!seen.contains_key("HTTP_PROXY") && !seen.contains_key("HTTP_X_USER"), "{text}");
    assert_eq!(host.get("/args").await.ok(), "cgi.wasm");
    assert_eq!(host.get("/%00").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let (host, _) = cgi(|_| {}).await;
    let body = Bytes::from("0123456789".repeat(100_000));
    let request = Request::post("/echo").header("host", "app.localhost");
    let reply = host.send(request.body(Full::from(body.clone())).unwrap()).await;
    assert_eq!(reply.body.unwrap(), body);
    assert_eq!(host.get("/big?3000000").await.ok().len(), 3_000_000);
    let request = Request::post("/ignore").header("host", "app.localhost");
    assert_eq!(host.send(request.body(Full::from(body)).unwrap()).await.ok(), "ignored");

    // Echoed while more is to come.
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    soon(async {
        while !seen.ends_with(b"first\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
        }
        stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await.unwrap();
        while !seen.ends_with(b"end\r\n0\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_what_the_header_section_says() {
    let (host, _) = cgi(|_| {}).await;
    let reply = host.get("/status").await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (404, "not here"));
    let reply = host.get("/lf").await;
    assert_eq!(reply.headers.get_all("x-own").iter().count(), 2);
    assert_eq!(reply.ok(), "lines");
    for to in ["/elsewhere", "https://example.com/"] {
        let reply = host.get(&format!("/redirect?{to}")).await;
        assert_eq!((reply.status.as_u16(), reply.headers["location"].to_str().unwrap()), (302, to));
    }
    let reply = host.get("/length?5").await;
    assert_eq!(reply.headers["content-length"], "5");
    assert_eq!(reply.ok(), "hello");
    assert_eq!(host.get("/stderr").await.ok(), "written");
    host.log.line("app[web.1]: to standard error").await;
    let request = Request::head("/length?5").header("host", "app.localhost");
    let reply = host.send(request.body(Full::default()).unwrap()).await;
    assert_eq!((reply.headers["content-length"].to_str().unwrap(), reply.ok()), ("5", "".into()));
    let line = host.log.line("path=\"/lf\"").await;
    assert!(line.contains("at=info") && line.contains(" start=fresh cpu="), "{line}");
    assert!(!line.contains("mem=0.0MB"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_nothing() {
    let (host, _) = cgi(|_| {}).await;
    for _ in 0..3 {
        assert_eq!(host.get("/count").await.ok(), "x");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_h17_with_the_reason_in_the_log() {
    let (host, _) = cgi(|limits| limits.response_headers = 20).await;
    host.get("/garbage").await.is_page("H17");
    host.log.line("heroku[web.1]: The CGI response is malformed: expected `Name: value`").await;
    host.log.line("at=error code=H17 desc=\"Poorly formatted HTTP response\"").await;
    host.get("/headers?10").await.ok();
    host.get("/headers?21").await.is_page("H17");
    host.log.line("more than 20 fields").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_section_without_end_is_h17() {
    let (host, _) = cgi(|limits| {
        limits.response_headers = u64::MAX;
        limits.response_header_bytes = 10_000;
    })
    .await;
    host.get("/headers").await.is_page("H17");
    host.log.line("more than 10000 bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_end_without_a_response() {
    let (host, _) = cgi(|_| {}).await;
    host.get("/nothing").await.is_page("H13");
    host.log.line("heroku[web.1]: The CGI program ended without a response").await;
    host.get("/exit?3").await.is_page("H13");
    host.log.line("heroku[web.1]: Process exited with status 1").await;
    host.get("/trap").await.is_page("H13");
    host.log.line("app[web.1]: asked for a trap").await;
    host.log.line("heroku[web.1]: State changed from up to crashed").await;
    assert_eq!(host.get("/count").await.ok(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_fail_after_their_response_began() {
    let (host, _) = cgi(|_| {}).await;
    assert_eq!(host.get("/late-exit?3").await.ok(), "half", "what was printed counts");
    host.log.line("heroku[web.1]: Process exited with status 1").await;
    assert!(host.get("/late-trap").await.body.is_err(), "the client must notice");
    host.log.line("code=H18").await;
    assert!(host.get("/length?9").await.body.is_err(), "as a response that is too short");
    host.log.line("its Content-Length is 9, but its body has 5 bytes").await;
    let reply = host.get("/length?3").await;
    assert_eq!(reply.ok(), "hel");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_have_the_time_that_all_have() {
    let (host, _) = cgi(|limits| limits.first_byte_ms = 300).await;
    host.get("/sleep").await.is_page("H12");
    host.get("/spin").await.is_page("H12");
    assert_eq!(host.get("/count").await.ok(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_prints_for_ever_waits_for_its_client_and_ends_with_it() {
    let (host, _) = cgi(|limits| limits.idle_ms = 60_000).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(b"GET /flood HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await.unwrap();
    let mut some = vec![0; 100_000];
    soon(stream.read_exact(&mut some)).await.unwrap();
    drop(stream);
    host.log.line("app[web.1]: client gone").await;
    host.log.line("code=H27").await;
    assert_eq!(host.get("/count").await.ok(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_left() {
    let (host, _) = cgi(|limits| limits.idle_ms = 300).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(b"GET /flood HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await.unwrap();
    // Whoever notices first: the exchange that no byte went through, or the connection that it took none.
    let line = host.log.line("code=H").await;
    assert!(line.contains("code=H15") || line.contains("code=H27"), "{line}");
    assert_eq!(host.get("/count").await.ok(), "x");
}
