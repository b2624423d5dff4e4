//! TLS that the node ends itself.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wpaas_runtime::{Builder, Tls};
use wpaas_slug::Limits;

use crate::{
    frames::{END_HEADERS, END_STREAM, Frames, HEADERS, fields, request},
    raw::Raw,
    support::{Host, host_with, soon},
};

/// A node that serves TLS beside plain HTTP.
pub struct Secure {
    pub host: Host,
    pub tls: Tls,
    pub address: std::net::SocketAddr,
    pub certificate: PathBuf,
    key: PathBuf,
}

pub async fn secure(change: impl FnOnce(&mut Limits)) -> Secure {
    secure_with(change, |builder| builder).await
}

pub async fn secure_with(
    change: impl FnOnce(&mut Limits),
    build: impl FnOnce(Builder) -> Builder,
) -> Secure {
    let host = host_with(change, build).await;
    host.deploy_alone().await;
    let (certificate, key) =
        (host.directory.path().join("cert.pem"), host.directory.path().join("key.pem"));
    renew(&certificate, &key);
    let tls = Tls::from_pem_files(&certificate, &key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (node, serving) = (host.node.clone(), tls.clone());
    tokio::spawn(async move { node.serve_tls(listener, serving, std::future::pending()).await });
    Secure { host, tls, address, certificate, key }
}

fn renew(certificate: &PathBuf, key: &PathBuf) {
    let pair = rcgen::generate_simple_self_signed(vec!["app.localhost".into()]).unwrap();
    std::fs::write(certificate, pair.cert.pem()).unwrap();
    std::fs::write(key, pair.signing_key.serialize_pem()).unwrap();
}

impl Secure {
    /// A handshake that trusts the certificate which is in the file now.
    async fn connect(&self, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(&self.certificate).unwrap();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("app.localhost").unwrap();
        soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }
}

/// What a guest and the log say of a request over TLS.
async fn is_over_tls(secure: &Secure, text: &str) {
    for line in ["scheme: https", "header x-forwarded-proto: https", "header x-forwarded-port: 443"]
    {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let line = secure.host.log.line("path=\"/request\"").await;
    assert!(line.contains(" protocol=https "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_over_tls() {
    let secure = secure(|_| {}).await;
    for protocols in [&["http/1.1"][..], &[]] {
        let stream = secure.connect(protocols).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), protocols.first().map(|p| p.as_bytes()));
        let mut raw = Raw::over(stream);
        for _ in 0..2 {
            raw.send("GET /request HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
            is_over_tls(&secure, &raw.response("GET").await.unwrap().body).await;
        }
        // Requests are followed here as well.
        raw.send(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await;
        assert_eq!(raw.response("POST").await.unwrap().status, 400);
    }
    let plain = secure.host.get("/request").await.ok();
    assert!(plain.contains("scheme: http\n") && plain.contains("x-forwarded-port: 80"), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_over_tls_is_what_clients_get_that_know_it() {
    let secure = secure(|_| {}).await;
    let stream = secure.connect(&["http/1.1", "h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request =
        Request::get("https://app.localhost/request").body(Empty::<Bytes>::new()).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let text = soon(response.into_body().collect()).await.unwrap().to_bytes();
    is_over_tls(&secure, std::str::from_utf8(&text).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_whole() {
    let secure = secure(|_| {}).await;
    let mut raw = Raw::over(secure.connect(&[]).await.unwrap());
    raw.send("GET /big?bytes=3000000 HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.response("GET").await.unwrap().body.len(), 3_000_000);
    let body = "u".repeat(1_000_000);
    let head = "POST /upload HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 1000000\r\n\r\n";
    raw.send(format!("{head}{body}")).await;
    assert_eq!(raw.response("POST").await.unwrap().body, "1000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_tls_is_not_served() {
    let secure = secure(|_| {}).await;
    let mut raw = Raw::connect(secure.address).await;
    raw.send("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    while raw.more().await {}
    assert!(!String::from_utf8_lossy(&raw.unread).contains("HTTP"), "{:?}", raw.unread);
    // And one with TLS is not served without.
    let mut raw = Raw::connect(secure.host.address).await;
    raw.send(b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03").await;
    assert_eq!(raw.responses().await[0].status, 400);
    assert_eq!(secure.host.get("/count").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_stall_end_and_do_not_keep_others_out_for_ever() {
    let secure = secure(|limits| {
        limits.tls_handshake_ms = 300;
        limits.tls_handshakes = 1;
    })
    .await;
    let mut stalled = Vec::new();
    for start in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(secure.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        stalled.push(stream);
    }
    for mut stream in stalled {
        // A reset is an end as well.
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    let mut raw = Raw::over(secure.connect(&[]).await.unwrap());
    raw.send("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.response("GET").await.unwrap().body, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_after_the_handshake_ends_the_connection() {
    let secure = secure(|limits| limits.request_header_ms = 200).await;
    let mut stream = secure.connect(&[]).await.unwrap();
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_for_new_connections() {
    let secure = secure(|_| {}).await;
    let mut before = Raw::over(secure.connect(&[]).await.unwrap());
    renew(&secure.certificate, &secure.key);
    assert!(secure.connect(&[]).await.is_err(), "the old one is served still");
    secure.tls.reload().unwrap();
    let mut after = Raw::over(secure.connect(&[]).await.unwrap());
    for raw in [&mut before, &mut after] {
        raw.send("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
        assert_eq!(raw.response("GET").await.unwrap().body, "ok");
    }
    // A broken one changes nothing.
    std::fs::write(&secure.key, "").unwrap();
    secure.tls.reload().unwrap_err();
    secure.connect(&[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_over_tls() {
    let secure = secure(|_| {}).await;
    let mut frames = Frames::over(Raw::over(secure.connect(&["h2"]).await.unwrap())).await;
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&request("GET", "/ok"))).await;
    let answer = frames.answer(1).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
}
