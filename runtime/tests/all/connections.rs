//! Clients that are slow, large, or go away.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wpaas_slug::feed::DynoState;

use crate::support::{attacked, host, soon};

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_no_request_are_closed() {
    let host = attacked(|limits| limits.request_header_ms = 200).await;
    for start in ["", "P", "GET /ok HTTP/1.1\r\nhost: app.localhost\r\n"] {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // Closed, perhaps after a 408.
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn header_sections_are_bounded() {
    let host = attacked(|limits| limits.request_headers = 20).await;
    let many = "x-a: 1\r\n".repeat(21);
    let large = format!("x-a: {}\r\n", "a".repeat(100_000));
    for headers in [many, large] {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let head = format!("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n{headers}\r\n");
        // The server may close before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut line = [0; 12];
        soon(stream.read_exact(&mut line)).await.unwrap();
        assert_eq!(&line, b"HTTP/1.1 431");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_the_dyno() {
    let host = attacked(|_| {}).await;
    let stream = TcpStream::connect(host.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("/sse?n=1000000&ms=10").header("host", "app.localhost");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let mut body = response.into_body();
    soon(body.frame()).await.unwrap().unwrap();
    drop((body, sender));
    connection.abort();

    host.log.line("code=H27 desc=\"Client Request Interrupted\"").await;
    host.log.line("app[web.1]: client gone after").await;
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_wait_is_h27() {
    let host = host(|limits| limits.after_response_ms = 100).await;
    let app = host.deploy("app", "attack").await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = "GET /slow?ms=60000 HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    host.dyno_is(&app, DynoState::Up).await;
    drop(stream);
    let line = host.log.line("code=H27").await;
    assert!(line.contains(" status=499 "), "{line}");
    host.log.line("heroku[web.1]: Stopping dyno").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_the_limit_wait() {
    let host = attacked(|limits| limits.connections = 1).await;
    let first = TcpStream::connect(host.address).await.unwrap();
    let second = host.get("/ok");
    tokio::pin!(second);
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.ok(), "ok");
}
