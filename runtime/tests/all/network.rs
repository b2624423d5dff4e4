//! What a dyno reaches of the network, and what it does not.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, rustls};
use wpaas_runtime::{Builder, Resolve};
use wpaas_slug::{
    Limits,
    feed::{EgressRule, EgressTls, Scale},
};

use crate::support::{Host, app, guest, host_with, slug, soon};

/// Names with their answers, one after the other; the last one stays.
#[derive(Default)]
struct Names(Mutex<HashMap<&'static str, Vec<Vec<IpAddr>>>>);

impl Names {
    fn of(names: &[(&'static str, &[&[&str]])]) -> Arc<Self> {
        let ip = |text: &&str| text.parse().unwrap();
        let answers = |answers: &[&[&str]]| {
            answers.iter().rev().map(|answer| answer.iter().map(ip).collect()).collect()
        };
        let names = names.iter().map(|(name, all)| (*name, answers(all)));
        Arc::new(Self(Mutex::new(names.collect())))
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock();
        let answers = names.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let answer = answers.last().cloned().unwrap();
        if answers.len() > 1 {
            answers.pop();
        }
        Ok(answer)
    }
}

type Rules<'a> = &'a [(&'a str, Option<u16>)];

/// A node with the attack guest as the app `app`, with one dyno and these egress rules. Its operator allows this
/// machine, and addresses of the documentation, which stand for public ones, since nobody has them.
async fn open(
    rules: Rules<'_>,
    limits: impl FnOnce(&mut Limits),
    build: impl FnOnce(Builder) -> Builder,
) -> Host {
    let networks = ["127.0.0.0/8", "192.0.2.0/24"].map(|network| network.parse().unwrap());
    let host = host_with(limits, |builder| build(builder.egress_networks(networks.into()))).await;
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let mut app = app("app", Some(slug));
    app.formation.insert("web".into(), Scale { min: 0, max: 1 });
    let rule = |(host, port): &(&str, Option<u16>)| EgressRule {
        host: (*host).into(),
        port: *port,
        tls: None,
        ca: None,
    };
    app.release.as_mut().unwrap().egress = rules.iter().map(rule).collect();
    host.apply(&app).await;
    host
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads a request and answers its first line and its body.
async fn answer_http(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = Vec::new();
    let (mut line, mut expected) = (String::new(), None);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            line = head.lines().next().unwrap().to_owned();
            let host = head.lines().find(|line| line.to_ascii_lowercase().starts_with("host:"));
            line += &format!(" {}", host.unwrap().to_ascii_lowercase());
            expected = Some(body.to_owned());
            let chunked = head.contains("chunked");
            if !chunked || body.ends_with("0\r\n\r\n") {
                break;
            }
        }
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            break;
        }
    }
    let body = format!("{line} {} bytes", expected.unwrap_or_default().len());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
}

/// A server that answers each request.
async fn http_server() -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_http(stream));
        }
    });
    address
}

/// A server that sends back what it gets.
async fn echo_server() -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_outside_is_closed_and_the_log_says_what_to_do() {
    let host = open(&[], |_| {}, |builder| builder).await;
    let target = host.address;
    for path in [
        format!("/outgoing?url=http://{target}/"),
        format!("/outgoing?url=http://{target}/"),
        "/outgoing?url=https://example.com/".to_owned(),
        "/tcp?addr=93.184.215.14:443".to_owned(),
        "/tcp?addr=10.0.0.1:22".to_owned(),
        "/talk?to=db.example.com:5432&text=x".to_owned(),
    ] {
        let text = host.get(&path).await.ok();
        assert!(text.starts_with("refused: "), "{path}: {text}");
    }
    for line in [
        format!(
            "heroku[web.1]: Connection to {target} denied: no rule of this release allows it; open it \
             with `wpaas egress:allow {target}`"
        ),
        "heroku[web.1]: Connection to example.com:443 denied".to_owned(),
        "heroku[web.1]: Connection to 93.184.215.14:443 denied".to_owned(),
        "heroku[web.1]: Connection to 10.0.0.1:22 denied".to_owned(),
        "heroku[web.1]: Connection to db.example.com:5432 denied".to_owned(),
    ] {
        host.log.line(&line).await;
    }
    let of_target = |line: &&String| line.contains(&format!("Connection to {target} denied"));
    assert_eq!(host.log.lines().iter().filter(of_target).count(), 1, "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_loopback_is_not_the_dynos() {
    let echo = echo_server().await;
    let host = open(&[("*", None)], |_| {}, |builder| builder).await;
    for to in [format!("127.0.0.1:{}", echo.port()), format!("localhost:{}", echo.port())] {
        let text = host.get(&format!("/talk?to={to}&text=hello")).await.ok();
        assert_eq!(text, "refused: \"connection-refused\"", "{to}");
    }
    assert_eq!(host.get("/listen?addr=127.0.0.1:0").await.ok(), "listening");
    assert_eq!(host.get("/listen?addr=0.0.0.0:8080").await.ok(), "listening");
    let elsewhere = host.get("/listen?addr=192.168.0.1:80").await.ok();
    assert_eq!(elsewhere, "refused: \"address-not-bindable\"");
    assert!(TcpStream::connect("127.0.0.1:8080").await.is_err(), "no port of the host is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_talks_to_itself() {
    let host = open(&[], |limits| limits.dyno_socket_bytes = 0, |builder| builder).await;
    for (what, bytes) in [("text=hello", 5), ("text=", 0), ("bytes=1000000", 1_000_000)] {
        let text = host.get(&format!("/self?{what}")).await.ok();
        assert_eq!(text, format!("{bytes} bytes, same address true, clean end true"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_an_address_opens_http_and_tcp_to_it() {
    let (http, echo) = (http_server().await, echo_server().await);
    let rules = [("127.0.0.1", Some(http.port())), ("127.0.0.0/8", Some(echo.port()))];
    let names = Names::of(&[("echo.lan", &[&["127.0.0.1"]])]);
    let host = open(&rules, |_| {}, |builder| builder.resolver(names)).await;
    let text = host.get(&format!("/outgoing?url=http://{http}/path%3Fq")).await.ok();
    assert_eq!(text, format!("200\nGET /path?q HTTP/1.1 host: {http} 0 bytes"));
    // Over TCP by a name, and where nobody in the dyno listens.
    for name in ["echo.lan", "localhost", "127.0.0.1"] {
        let to = format!("/talk?to={name}:{}&text=hello", echo.port());
        assert_eq!(host.get(&to).await.ok(), "hello", "{name}");
    }
    let elsewhere = format!("/talk?to=echo.lan:{}&text=hello", http.port() ^ 1);
    assert_eq!(host.get(&elsewhere).await.ok(), "refused: \"access-denied\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_streams_through() {
    let http = http_server().await;
    let host = open(&[("127.0.0.1", None)], |_| {}, |builder| builder).await;
    let request = Request::post(format!("/outgoing?url=http://{http}/up"))
        .header("host", "app.localhost")
        .body(Full::new(Bytes::from(vec![b'u'; 300_000])))
        .unwrap();
    let text = host.send(request).await.ok();
    assert!(text.starts_with("200\nPOST /up HTTP/1.1"), "{text}");
    let bytes = text.split(' ').rev().nth(1).unwrap().parse::<usize>().unwrap();
    assert!(bytes >= 300_000, "chunks and all: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_inside_are_refused() {
    let http = http_server().await;
    let port = http.port();
    let names = Names::of(&[
        ("inside.example", &[&["127.0.0.1", "::1"]]),
        ("metadata.example", &[&["169.254.169.254"]]),
        // The first answer is public, the second is not.
        ("rebinds.example", &[&["192.0.2.1"], &["127.0.0.1"]]),
    ]);
    let rules = [("*", None), ("rebinds.example", None)];
    let change = |limits: &mut Limits| limits.egress_connect_ms = 100;
    let outside = vec!["192.0.2.0/24".parse().unwrap()];
    let host =
        open(&rules, change, |builder| builder.resolver(names).egress_networks(outside)).await;
    for (name, kind) in [("inside", "a loopback address"), ("metadata", "a cloud metadata address")]
    {
        let text = host.get(&format!("/outgoing?url=http://{name}.example:{port}/")).await.ok();
        assert_eq!(text, "refused: ErrorCode::DestinationIpProhibited");
        let text = host.get(&format!("/talk?to={name}.example:{port}&text=x")).await.ok();
        assert_eq!(text, "refused: \"access-denied\"");
        host.log.line(&format!("Connection to {name}.example:{port} denied: its address")).await;
        host.log.line(kind).await;
    }
    let first = host.get(&format!("/outgoing?url=http://rebinds.example:{port}/")).await.ok();
    assert!(!first.contains("Prohibited") && first.starts_with("refused"), "{first}");
    let second = host.get(&format!("/outgoing?url=http://rebinds.example:{port}/")).await.ok();
    assert_eq!(second, "refused: ErrorCode::DestinationIpProhibited");
    // Literally, and in forms that resolvers understand.
    for ip in
        ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "0xa9fea9fe", "127.1"]
    {
        let text = host.get(&format!("/outgoing?url=http://{ip}:{port}/")).await.ok();
        assert_eq!(text, "refused: ErrorCode::DestinationIpProhibited", "{ip}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_the_guests_to_follow() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let head =
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
    });
    let host = open(&[("127.0.0.1", None)], |_| {}, |builder| builder).await;
    let text = host.get(&format!("/outgoing?url=http://{address}/")).await.ok();
    assert_eq!(text, "302\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_open_inner_addresses_only_in_the_operators_networks() {
    use wpaas_slug::feed::NodeLink;
    let http = http_server().await;
    let url = format!("/outgoing?url=http://{http}/");
    let rules = [("127.0.0.1", None), ("localhost", None)];
    let host = open(&rules, |_| {}, |builder| builder.egress_networks(vec![])).await;
    assert_eq!(host.get(&url).await.ok(), "refused: ErrorCode::DestinationIpProhibited");
    host.log.line("it is a loopback address; the operator of this node has not opened it").await;
    let talk = format!("/talk?to=localhost:{}&text=x", http.port());
    assert_eq!(host.get(&talk).await.ok(), "refused: \"connection-refused\"");
    let rule = EgressRule { host: "127.0.0.1".into(), port: Some(80), tls: None, ca: None };
    let error = host.node.check_egress(std::slice::from_ref(&rule)).await.unwrap_err();
    assert!(error.message.contains("--egress-network 127.0.0.1/32"), "{error}");
    let host = open(&[], |_| {}, |builder| builder).await;
    assert!(host.node.check_egress(&[rule]).await.is_ok());
    // What the operator allows is not open by itself.
    assert_eq!(host.get(&url).await.ok(), "refused: ErrorCode::HttpRequestDenied");
}

/// A certificate for `localhost.example`, its key, and the authority's PEM.
fn certificates() -> (rustls::ServerConfig, String) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["secure.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (config, authority_pem)
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_verified_against_trusted_authorities() {
    let (config, authority) = certificates();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer_http(stream).await;
                }
            });
        }
    });
    let port = address.port();
    let names = || {
        let inside: &[&[&str]] = &[&["127.0.0.1"]];
        Names::of(&[("secure.example", inside), ("other.example", inside)])
    };
    let rules = [("127.0.0.1", None)];
    let trusting =
        open(&rules, |_| {}, |builder| builder.resolver(names()).trusted_certificates(authority))
            .await;
    let url = format!("/outgoing?url=https://secure.example:{port}/");
    let text = trusting.get(&url).await.ok();
    assert_eq!(text, format!("200\nGET / HTTP/1.1 host: secure.example:{port} 0 bytes"));
    let wrong_name = format!("/outgoing?url=https://other.example:{port}/");
    let text = trusting.get(&wrong_name).await.ok();
    assert_eq!(text, "refused: ErrorCode::TlsCertificateError");
    trusting
        .log
        .line(&format!("Connection to other.example:{port} failed in its TLS handshake"))
        .await;
    let wary = open(&rules, |_| {}, |builder| builder.resolver(names())).await;
    assert_eq!(wary.get(&url).await.ok(), "refused: ErrorCode::TlsCertificateError");
    // It sends the client's own words back.
    let plain = echo_server().await.port();
    let text = wary.get(&format!("/outgoing?url=https://secure.example:{plain}/")).await.ok();
    assert!(text.starts_with("refused: ErrorCode::Tls"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_by_the_guests_times_and_by_the_operators() {
    // Accepts by its backlog and says nothing.
    let (_silent, address) = listener().await;
    let (slow, half) = listener().await;
    tokio::spawn(async move {
        let mut streams = vec![];
        while let Ok((mut stream, _)) = slow.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
            stream.write_all(head.as_bytes()).await.unwrap();
            streams.push(stream);
        }
    });
    let rules = [("127.0.0.1", None), ("192.0.2.1", None)];
    let change = |limits: &mut Limits| {
        limits.egress_first_byte_ms = 300;
        limits.egress_idle_ms = 300;
        limits.egress_connect_ms = 300;
    };
    let host = open(&rules, change, |builder| builder).await;
    for path in [
        format!("/outgoing?url=http://{address}/&first_byte_ms=50"),
        format!("/outgoing?url=http://{address}/&first_byte_ms=600000"),
        format!("/outgoing?url=http://{address}/"),
        // TLS that the server never begins counts as connecting.
        format!("/outgoing?url=https://{address}/&connect_ms=50"),
        format!("/outgoing?url=http://{half}/&idle_ms=50"),
        format!("/outgoing?url=http://{half}/"),
    ] {
        let text = host.get(&path).await.ok();
        assert!(text.starts_with("refused: ") && text.contains("imeout"), "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_servers_are_errors_and_no_short_answers() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        for head in [
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
            "not HTTP at all\r\n\r\n",
            "",
            &format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "h".repeat(200_000)),
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    let host = open(&[("127.0.0.1", None)], |_| {}, |builder| builder).await;
    for attempt in 0..5 {
        let text = host.get(&format!("/outgoing?url=http://{address}/")).await.ok();
        assert!(text.starts_with("refused: "), "{attempt}: {text}");
    }
    // Nobody listens any more.
    let text = host.get(&format!("/outgoing?url=http://{address}/")).await.ok();
    assert_eq!(text, "refused: ErrorCode::ConnectionRefused");
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_connections_without_end_meet_their_limits() {
    let echo = echo_server().await;
    let names = Names::of(&[("echo.lan", &[&["127.0.0.1"]])]);
    let change = |limits: &mut Limits| {
        limits.dyno_sockets = 50;
        limits.dyno_connections = 3;
    };
    let host = open(&[("127.0.0.1", None)], change, |builder| builder.resolver(names)).await;
    let keep = format!("/keep?to=echo.lan:{}&text=x", echo.port());
    for _ in 0..3 {
        assert_eq!(host.get(&keep).await.ok(), "kept");
    }
    assert_eq!(host.get(&keep).await.ok(), "refused: \"new-socket-limit\"");
    host.log.line("this dyno has 3 outgoing connections, which is the limit").await;
    let text = host.get("/sockets").await.ok();
    assert_eq!(text, "refused: new-socket-limit with 47 sockets");
    assert_eq!(host.get("/ok").await.ok(), "ok");
    // Over HTTP, the connections that are kept count too.
    let text = host.get(&format!("/outgoing?url=http://{echo}/")).await.ok();
    assert_eq!(text, "refused: ErrorCode::ConnectionLimitReached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_stops_the_guest_at_its_window() {
    let (_silent, address) = listener().await;
    let names = Names::of(&[("silent.lan", &[&["127.0.0.1"]])]);
    let change = |limits: &mut Limits| limits.socket_window_bytes = 8 * 1024;
    let host = open(&[("127.0.0.1", None)], change, |builder| builder.resolver(names)).await;
    let text = host.get(&format!("/flood?to=silent.lan:{}", address.port())).await.ok();
    // How much the kernel took is chance; that there is an end to it is the point.
    assert!(text.ends_with(" bytes written"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_whose_peer_does_not_read_ends_too() {
    let (_silent, address) = listener().await;
    let names = Names::of(&[("silent.lan", &[&["127.0.0.1"]])]);
    let change = |limits: &mut Limits| {
        limits.egress_linger_ms = 50;
        limits.dyno_connections = 1;
    };
    let host = open(&[("127.0.0.1", None)], change, |builder| builder.resolver(names)).await;
    let to = format!("to=silent.lan:{}", address.port());
    assert!(host.get(&format!("/flood?{to}&close=1")).await.ok().ends_with(" bytes written"));
    // Its place becomes free, which nothing announces.
    soon(async {
        while host.get(&format!("/keep?{to}&text=x")).await.ok() != "kept" {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynos_end_resets_what_it_was_sending() {
    let (listener, address) = listener().await;
    let names = Names::of(&[("sink.lan", &[&["127.0.0.1"]])]);
    let host = open(&[("127.0.0.1", None)], |_| {}, |builder| builder.resolver(names)).await;
    let keep = format!("/keep?to=sink.lan:{}&text=half", address.port());
    assert_eq!(host.get(&keep).await.ok(), "kept");
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let mut half = [0; 4];
    soon(stream.read_exact(&mut half)).await.unwrap();
    assert_eq!(&half, b"half");
    host.get("/trap").await;
    let error = soon(stream.read(&mut half)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_a_rule_that_means_nothing_is_refused() {
    use wpaas_slug::feed::{Change, NodeLink};
    let host = open(&[], |_| {}, |builder| builder).await;
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let mut app = app("other", Some(slug));
    app.release.as_mut().unwrap().egress =
        vec![EgressRule { host: "http://example.com".into(), port: None, tls: None, ca: None }];
    let app = Arc::new(app);
    for result in
        [host.node.prepare(app.clone()).await, host.node.apply(Change::App(app.clone())).await]
    {
        let error = result.unwrap_err();
        assert!(error.permanent && error.message.contains("http://example.com"), "{error:?}");
    }
}

/// Echoes what comes over TLS. `preamble` is what has to come before it, and is answered by `S`.
async fn secure_echo(config: rustls::ServerConfig, preamble: &'static [u8]) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut first = vec![0; preamble.len()];
                stream.read_exact(&mut first).await.unwrap();
                if first != preamble {
                    return;
                }
                if !preamble.is_empty() {
                    stream.write_all(b"S").await.unwrap();
                }
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

/// A node whose app reaches `secure.example` and `other.example`, which are this machine, in this way.
async fn secured(how: EgressTls, authority: String) -> Host {
    let inside: &[&[&str]] = &[&["127.0.0.1"]];
    let names = Names::of(&[("secure.example", inside), ("other.example", inside)]);
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let build = |builder: Builder| {
        builder.resolver(names).trusted_certificates(authority).egress_networks(networks)
    };
    let host = host_with(|_| {}, build).await;
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let mut app = app("app", Some(slug));
    let rule = |host: &str, tls| EgressRule { host: host.into(), port: None, tls, ca: None };
    app.release.as_mut().unwrap().egress = vec![
        rule("127.0.0.1", None),
        rule("secure.example", Some(how)),
        rule("other.example", Some(how)),
    ];
    host.apply(&app).await;
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_does_tls_for_guests_where_a_rule_says_so() {
    const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
    for (how, preamble) in [(EgressTls::Tls, &b""[..]), (EgressTls::Pgtls, SSL_REQUEST)] {
        let (config, authority) = certificates();
        let port = secure_echo(config, preamble).await.port();
        let host = secured(how, authority).await;
        let text = host.get(&format!("/talk?to=secure.example:{port}&text=plain")).await.ok();
        assert_eq!(text, "plain", "{how:?}");
        let text = host.get(&format!("/talk?to=other.example:{port}&text=plain")).await.ok();
        assert!(text.contains("refused"), "{how:?}: {text}");
        let line = format!("Connection to other.example:{port} failed in its TLS handshake");
        host.log.line(&line).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_without_tls_is_not_spoken_to() {
    let (listener, address) = listener().await;
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
        stream.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        rest
    });
    let (_, authority) = certificates();
    let host = secured(EgressTls::Pgtls, authority).await;
    let port = address.port();
    let text = host.get(&format!("/talk?to=secure.example:{port}&text=secret")).await.ok();
    assert!(text.starts_with("refused"), "{text}");
    host.log.line("failed in its TLS handshake: the server does not do TLS").await;
    assert_eq!(soon(heard).await.unwrap(), b"", "the guest's words stay here");
}
