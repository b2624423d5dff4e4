use futures::TryStreamExt as _;
use serde_json::json;

use super::*;
use crate::testing::{Answer, Server};

fn client(server: &Server) -> Client {
    let token = Token { value: "s3cret".into(), origin: "WPAAS_API_KEY".into() };
    Client::new(server.url(), Some(token), None, Limits::default()).unwrap()
}

#[test]
fn an_address_is_scheme_host_and_port() {
    for (given, base) in [
        ("http://127.0.0.1:5080", "http://127.0.0.1:5080"),
        ("127.0.0.1:5080", "http://127.0.0.1:5080"),
        (" http://LOCALHOST:5080/ ", "http://localhost:5080"),
        ("https://paas.example.org:443", "https://paas.example.org"),
        ("http://[::1]:5080", "http://[::1]:5080"),
    ] {
        assert_eq!(base_url(given).unwrap(), base, "{given}");
    }
    for bad in [
        "",
        "ftp://a",
        "http://",
        "http://a/b",
        "http://a?b",
        "http://user:pass@a",
        "http://a:99999",
    ] {
        assert!(matches!(base_url(bad), Err(Error::BadUrl { .. })), "{bad:?}");
    }
}

#[tokio::test]
async fn requests_carry_token_and_version_and_escape_their_path() {
    let server = Server::start(|_| Answer::json(200, json!({"ok": true}))).await;
    let answer = client(&server).get(&["apps", "a b/c", "config-vars"]).await.unwrap();
    assert_eq!(answer, json!({"ok": true}));
    let seen = server.seen();
    assert_eq!(seen[0].line, "GET /apps/a%20b%2Fc/config-vars");
    assert_eq!(seen[0].header("authorization"), "Bearer s3cret");
    assert_eq!(seen[0].header("accept"), "application/vnd.wpaas+json; version=3");
}

#[tokio::test]
async fn a_list_follows_its_pages() {
    let server = Server::start(|request| match request.header("range").as_str() {
        "" => Answer::json(206, json!([1, 2])).with("next-range", "id 3..; max=2"),
        "id 3..; max=2" => Answer::json(200, json!([3])),
        other => panic!("range {other:?}"),
    })
    .await;
    assert_eq!(client(&server).list(&["apps"]).await.unwrap(), json!([1, 2, 3]));
}

#[tokio::test]
async fn the_token_stays_with_its_server() {
    let bucket = Server::start(|_| Answer::empty(200)).await;
    let server = Server::start(|_| Answer::empty(200)).await;
    let client = client(&server);
    client.upload(&format!("{}/up?sig=1", bucket.url()), "abc".into(), 3).await.unwrap();
    client.upload("/sources/1", "abc".into(), 3).await.unwrap();
    assert_eq!(bucket.seen()[0].line, "PUT /up?sig=1");
    assert_eq!(bucket.seen()[0].header("authorization"), "");
    assert_eq!(bucket.seen()[0].body, "abc");
    assert_eq!(server.seen()[0].header("authorization"), "Bearer s3cret");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server =
        Server::start(|_| Answer::empty(302).with("location", "http://127.0.0.1:1/")).await;
    let error = client(&server).get(&["apps"]).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_not_a_failure_of_the_server() {
    // Bound and dropped: a port that certainly nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let client = Client::new(&url, None, None, Limits::default()).unwrap();
    let error = client.get(&["apps"]).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { reason: None, .. }), "{error:?}");
    let expected = format!("no wpaas server at {url}: start one with `wpaas serve`");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn answers_are_bounded_and_must_be_json() {
    let server = Server::start(|request| match request.line.as_str() {
        "GET /long" => Answer::json(200, json!("x".repeat(100))),
        _ => Answer::text(200, "<html>"),
    })
    .await;
    let limits = Limits { client_response_bytes: 64, ..Limits::default() };
    let client = Client::new(server.url(), None, None, limits).unwrap();
    for path in ["long", "html"] {
        let error = client.get(&[path]).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_stream_gives_every_byte() {
    let server = Server::start(|_| Answer::text(200, "-----> Node.js\n")).await;
    let client = client(&server);
    let stream = client.stream("/out/1", "text/plain").await.unwrap();
    let chunks: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), b"-----> Node.js\n");
}
