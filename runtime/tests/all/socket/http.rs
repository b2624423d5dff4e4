//! HTTP/1.1 between the router and a dyno that listens.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;

use super::socket;
use crate::{
    raw::Raw,
    support::{Client, soon},
};

fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "app.localhost");
    request.body(Full::from(body.into())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_listens_answers() {
    let (host, _) = socket(&[], |_| {}).await;
    assert_eq!(host.get("/").await.ok(), "hello from web.1");
    host.log.line("heroku[web.1]: Starting process with command `the command`").await;
    host.log.line("heroku[web.1]: State changed from starting to up").await;
    let line = host.log.line("path=\"/\"").await;
    assert!(line.contains("at=info") && line.contains(" start=fresh cpu="), "{line}");
    assert!(line.contains("dyno=web.1") && !line.contains("mem=0.0MB"), "{line}");
    assert_eq!(host.get("/?again").await.ok(), "hello from web.1");
    assert!(host.log.line("path=\"/?again\"").await.contains(" start=warm "));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_look_as_from_any_proxy() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut request = request(Method::GET, "/headers?a=b", "");
    let headers = request.headers_mut();
    headers.insert("connection", "x-mine, keep-alive".parse().unwrap());
    headers.insert("x-mine", "secret".parse().unwrap());
    headers.insert("x-other", "kept".parse().unwrap());
    let text = host.send(request).await.ok();
    for line in [
        "HTTP/1.1 /headers?a=b",
        "host: app.localhost",
        "x-other: kept",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "via: 1.1 wpaas",
    ] {
        assert!(text.lines().any(|seen| seen == line), "{line} in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let (host, _) = socket(&[], |_| {}).await;
    let body = Bytes::from("0123456789".repeat(300_000));
    let reply = host.send(request(Method::POST, "/echo", body.clone())).await;
    assert_eq!(reply.body.unwrap(), body);
    let reply = host.send(request(Method::POST, "/upload", body)).await;
    assert_eq!(reply.ok(), "3000000");
    assert_eq!(host.get("/big?bytes=5000000").await.ok().len(), 5_000_000);

    // Echoed while more is to come.
    let mut raw = Raw::connect(host.address).await;
    let head = "POST /echo HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    raw.send(&format!("{head}5\r\nfirst\r\n")).await;
    raw.until("first").await.unwrap();
    raw.send("3\r\nend\r\n0\r\n\r\n").await;
    raw.until("end\r\n0\r\n\r\n").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_a_body_has_none() {
    let (host, _) = socket(&[], |_| {}).await;
    let reply = host.send(request(Method::HEAD, "/", "")).await;
    assert_eq!((reply.headers["content-length"].to_str().unwrap(), reply.ok()), ("16", "".into()));
    assert_eq!(host.get("/nowhere").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_dyno_are_kept() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut client = Client::connect(host.address).await;
    for _ in 0..20 {
        client.send(request(Method::GET, "/", "")).await.ok();
    }
    client.send(request(Method::POST, "/echo", "text")).await.ok();
    assert_eq!(client.send(request(Method::GET, "/connections", "")).await.ok(), "1");
    client.send(request(Method::GET, "/close", "")).await.ok();
    assert_eq!(client.send(request(Method::GET, "/connections", "")).await.ok(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dyno_has_many_requests_at_once() {
    let (host, _) = socket(&[], |_| {}).await;
    let requests: Vec<_> = (0..20).map(|_| host.get("/barrier?n=20")).collect();
    for reply in soon(futures::future::join_all(requests)).await {
        assert_eq!(reply.ok(), "passed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_dyno_has_closed_is_not_used_again() {
    let (host, _) = socket(&["stale"], |_| {}).await;
    let mut client = Client::connect(host.address).await;
    for _ in 0..50 {
        assert_eq!(client.send(request(Method::GET, "/", "")).await.ok(), "stale");
    }
}

/// It closes each connection at its second request, of which it has read nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_which_the_dyno_has_read_nothing_is_sent_again() {
    let (host, _) = socket(&["leaver"], |_| {}).await;
    let mut client = Client::connect(host.address).await;
    let mut lengths = Vec::new();
    for _ in 0..10 {
        let body = "0123456789".repeat(1_000) + "end";
        lengths.push(client.send(request(Method::POST, "/", body)).await.ok());
    }
    host.log.line("app[web.1]: leaving").await;
    lengths.sort();
    // They differ by the request's time at most.
    assert!(lengths[0].parse::<usize>().unwrap() > 10_003, "{lengths:?}");
    assert_eq!(lengths.first().map(String::len), lengths.last().map(String::len));
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_have_the_port_filled_in() {
    let (host, _) = socket(&["$PORT"], |_| {}).await;
    assert_eq!(host.get("/mode").await.ok(), "8080");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_asked_for_its_body_when_the_dyno_asks() {
    let (host, _) = socket(&[], |limits| limits.expect_continue_ms = 3_600_000).await;
    let head = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: app.localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
        )
    };
    let mut raw = Raw::connect(host.address).await;
    raw.send(&head("/upload")).await;
    assert_eq!(raw.response("POST").await.unwrap().status, 100);
    raw.send("hello").await;
    assert_eq!(raw.response("POST").await.unwrap().body, "5");

    let mut raw = Raw::connect(host.address).await;
    raw.send(&head("/refuse")).await;
    assert_eq!(raw.response("POST").await.unwrap().status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_expectations_gets_the_body_all_the_same() {
    let (host, _) = socket(&["stale"], |limits| limits.expect_continue_ms = 1).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: app.localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello").await;
    let mut response = raw.response("POST").await.unwrap();
    if response.status == 100 {
        response = raw.response("POST").await.unwrap();
    }
    assert_eq!(response.body, "stale");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_as_they_are_sent() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send("GET /sse?n=1000000&ms=1 HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    raw.until("data: 5\n\n").await.unwrap();
    drop(raw);
    host.log.line("app[web.1]: client gone").await;
    assert!(host.log.line("path=\"/sse").await.contains("code=H27"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_closes_its_connection_to_the_dyno() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send("GET /hang HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    host.log.line("app[web.1]: hanging").await;
    drop(raw);
    host.log.line("app[web.1]: a request was given up").await;
    assert!(host.log.line("path=\"/hang\"").await.contains("code=H27"));
    assert_eq!(host.get("/").await.ok(), "hello from web.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_has_herokus_codes() {
    let (host, _) = socket(&[], |limits| limits.first_byte_ms = 300).await;
    host.get("/hang").await.is_page("H12");
    host.log.line("app[web.1]: a request was given up").await;
    let reply = host.get("/broken").await;
    assert!(reply.body.is_err(), "{reply:?}");
    assert!(host.log.line("path=\"/broken\"").await.contains("code=H18"));
    assert_eq!(host.get("/").await.ok(), "hello from web.1", "the dyno goes on");
    host.get("/exit?code=7").await.is_page("H13");
    host.log.line("heroku[web.1]: Process exited with status 1").await;
    host.log.line("heroku[web.1]: State changed from up to crashed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_http_is_h17() {
    let (host, _) = socket(&["garbage"], |_| {}).await;
    host.get("/").await.is_page("H17");
    host.log.line("heroku[web.1]: The response is not HTTP").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_goes_silent_is_h15() {
    let (host, _) = socket(&[], |limits| limits.idle_ms = 200).await;
    let reply = host.get("/sse?n=2&ms=3600000").await;
    assert!(reply.body.is_err(), "{reply:?}");
    assert!(host.log.line("path=\"/sse").await.contains("code=H15"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_that_accepts_nothing_is_h19() {
    let (host, _) = socket(&["deaf"], |limits| {
        limits.socket_backlog = 1;
        limits.dyno_connect_ms = 100;
        limits.first_byte_ms = 1_000;
    })
    .await;
    let (one, two, three) = tokio::join!(host.get("/one"), host.get("/two"), host.get("/three"));
    let codes = [one, two, three].map(|reply| reply.text().contains("H19"));
    assert!(codes.contains(&true), "{:#?}", host.log.lines());
}
