//! HTTP between client and guest.

use bytes::Bytes;
use http::{Request, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Client, attacked, soon};

#[tokio::test(flavor = "multi_thread")]
async fn requests_reach_the_guest_with_what_the_router_adds() {
    let host = attacked(|_| {}).await;
    let request = Request::put("/request?a=b")
        .header("host", "app.localhost:8080")
        .header("x-request-id", "0123456789-0123456789")
        .header("connection", "x-private")
        .header("x-private", "1")
        .body(Full::default())
        .unwrap();
    let text = host.send(request).await.ok();
    for line in [
        "method: PUT",
        "scheme: http",
        "authority: app.localhost:8080",
        "target: /request?a=b",
        "header host: app.localhost:8080",
        "header x-forwarded-for: 127.0.0.1",
        "header x-forwarded-proto: http",
        "header x-forwarded-port: 8080",
        "header x-request-id: 0123456789-0123456789",
        "header via: 1.1 wpaas",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(!text.contains("x-private"), "{text}");
    let line = host.log.line("at=info method=PUT").await;
    assert!(line.contains(" request_id=0123456789-0123456789 fwd=\"127.0.0.1\" "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_headers_and_head() {
    let host = attacked(|_| {}).await;
    let mut client = soon(Client::connect(host.address)).await;
    let request = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "app.localhost");
        request.body(Full::default()).unwrap()
    };
    // All on one connection: nothing may be left over of a response.
    let teapot = soon(client.send(request("GET", "/status?code=418"))).await;
    assert_eq!((teapot.status.as_u16(), teapot.text().as_str()), (418, "status"));
    let head = soon(client.send(request("HEAD", "/ok"))).await;
    assert_eq!((head.ok().as_str(), &head.headers["content-length"]), ("", &"2".parse().unwrap()));
    let none = soon(client.send(request("GET", "/status?code=204"))).await;
    assert_eq!((none.status.as_u16(), none.text().as_str()), (204, ""));
    let header = soon(client.send(request("GET", "/header?name=x-a&value=b"))).await;
    assert_eq!(header.headers["x-a"], "b");
    assert_eq!(header.headers[header::VIA], "1.1 wpaas");
    let hop = soon(client.send(request("GET", "/header?name=connection&value=close"))).await;
    assert!(!hop.headers.contains_key("connection"));
    assert_eq!(soon(client.send(request("GET", "/ok"))).await.ok(), "ok");
    assert_eq!(soon(client.send(request("GET", "/count"))).await.ok(), "7", "one instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let host = attacked(|_| {}).await;
    let stream = TcpStream::connect(host.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (upload, mut parts) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, hyper::Error>>(1);
    let body = StreamBody::new(futures::stream::poll_fn(move |cx| parts.poll_recv(cx)));
    let request = Request::post("/echo").header("host", "app.localhost").body(body).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let mut echo = response.into_body();
    for part in ["one", "two", "three"] {
        // The answer to each part comes before the next part is sent.
        soon(upload.send(Ok(Frame::data(Bytes::from(part))))).await.unwrap();
        let frame = soon(echo.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    drop(upload);
    assert!(soon(echo.frame()).await.is_none());
    assert!(host.log.line("path=\"/echo\"").await.contains(" status=200 bytes=11 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_arrive_whole() {
    let host = attacked(|_| {}).await;
    let reply = host.get("/big?bytes=5000000").await;
    assert_eq!(reply.body.unwrap().len(), 5_000_000);
    let body = Full::from(vec![b'u'; 3_000_000]);
    let upload = Request::post("/upload").header("host", "app.localhost").body(body).unwrap();
    assert_eq!(host.send(upload).await.ok(), "3000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_without_tls_and_trailers() {
    let host = attacked(|_| {}).await;
    let stream = TcpStream::connect(host.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let uri = format!("http://app.localhost:{}/trailers", host.address.port());
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let collected = soon(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-checksum"], "4");
    assert_eq!(collected.to_bytes(), "body");

    let request = |path| Request::get(format!("http://app.localhost{path}")).body(Empty::new());
    let mut replies = Vec::new();
    for _ in 0..10 {
        replies.push(sender.send_request(request("/request").unwrap()));
    }
    for reply in soon(futures::future::join_all(replies)).await {
        let text = soon(reply.unwrap().into_body().collect()).await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("header host: app.localhost"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_routed() {
    let host = attacked(|_| {}).await;
    for (head, status) in [
        ("GET /ok HTTP/1.1\r\n\r\n", "400"),
        ("GET /ok HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
        ("GET /ok HTTP/1.1\r\nhost: a b\r\n\r\n", "400"),
        ("CONNECT app.localhost:80 HTTP/1.1\r\nhost: app.localhost\r\n\r\n", "501"),
        ("nonsense\r\n\r\n", "400"),
        ("GET /ok HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n", "200"),
        ("GET http://app.localhost/ok HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n", "200"),
        ("GET /ok HTTP/1.0\r\nhost: app.localhost\r\n\r\n", "200"),
    ] {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut line = [0; 12];
        soon(stream.read_exact(&mut line)).await.unwrap();
        assert_eq!(std::str::from_utf8(&line[9..]).unwrap(), status, "{head:?}");
    }
}
