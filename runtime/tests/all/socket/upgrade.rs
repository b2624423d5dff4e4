//! Connections that change their protocol.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        handshake::client::Response,
        protocol::{WebSocketConfig, frame::coding::CloseCode},
    },
};
use wpaas_slug::feed::{Change, NodeLink, Scale};

use super::{socket, socket_app};
use crate::{
    raw::Raw,
    support::{Host, configure, host, soon},
};

const UPGRADE: &str = "GET /upgrade HTTP/1.1\r\nhost: app.localhost\r\nconnection: upgrade\r\nupgrade: shout/1\r\n\r\n";

/// A websocket of the app at `path`.
pub async fn open(
    host: &Host,
    path: &str,
    protocol: Option<&str>,
) -> (WebSocketStream<TcpStream>, Response) {
    let stream = TcpStream::connect(host.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = format!("ws://app.localhost{path}").into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    let config = WebSocketConfig::default();
    let (socket, response) =
        soon(client_async_with_config(request, stream, Some(config))).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["via"], "1.1 wpaas");
    (socket, response)
}

async fn websocket(host: &Host) -> WebSocketStream<TcpStream> {
    let (socket, response) = open(host, "/ws", Some("chat")).await;
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    socket
}

pub async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    soon(socket.next()).await.map(|message| message.unwrap())
}

pub async fn echoes(socket: &mut WebSocketStream<TcpStream>, message: Message) {
    soon(socket.send(message.clone())).await.unwrap();
    assert!(next(socket).await == Some(message), "echo differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_echo_text_and_a_megabyte() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut socket = websocket(&host).await;
    echoes(&mut socket, Message::text("hällo")).await;
    let mut bytes = vec![0_u8; 1024 * 1024];
    StdRng::seed_from_u64(1).fill(&mut bytes[..]);
    echoes(&mut socket, Message::binary(bytes)).await;
    echoes(&mut socket, Message::text("")).await;
    soon(socket.close(None)).await.unwrap();
    while next(&mut socket).await.is_some() {}
    let line = host.log.line("path=\"/ws\"").await;
    assert!(line.contains("at=info") && line.contains("status=101 bytes=10"), "{line}");
    assert_eq!(host.get("/").await.ok(), "hello from web.1");
}

/// What Autobahn's cases 1 to 7 and 9 do to a connection, as far as a router can get it wrong: sizes around each
/// length's encoding, fragments with control frames in between, pieces of single bytes, both directions at once.
#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_as_they_were_sent_however_they_are_cut() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut socket = websocket(&host).await;
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 262_144] {
        echoes(&mut socket, Message::binary(vec![7_u8; length])).await;
        echoes(&mut socket, Message::text("x".repeat(length))).await;
    }
    soon(socket.send(Message::Ping(vec![1, 2, 3].into()))).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::Pong(vec![1, 2, 3].into())));
    // Many at once, without waiting for their echoes.
    let (mut sink, mut stream) = socket.split();
    let send = async {
        for number in 0..2_000 {
            sink.send(Message::text(number.to_string())).await.unwrap();
        }
        sink
    };
    let receive = async {
        for number in 0..2_000 {
            let message = stream.next().await.unwrap().unwrap();
            assert_eq!(message.to_text().unwrap(), number.to_string());
        }
    };
    let (_sink, ()) = soon(async { tokio::join!(send, receive) }).await;

    // By hand: two fragments with a ping between them, byte by byte.
    let mut raw = Raw::connect(host.address).await;
    raw.send("GET /ws HTTP/1.1\r\nhost: app.localhost\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").await;
    let response = raw.response("GET").await.unwrap();
    assert!(response.head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
    let mask = [0; 4];
    let parts: [(u8, &[u8]); 3] = [(0x01, b"fragm"), (0x89, b"p"), (0x80, b"ented")];
    for (kind, payload) in parts {
        let mut frame = vec![kind, 0x80 | payload.len() as u8];
        frame.extend(mask);
        frame.extend(payload);
        for byte in frame {
            raw.send([byte]).await;
        }
    }
    let wanted = b"\x8a\x01p\x81\x0afragmented";
    while raw.unread.len() < wanted.len() {
        assert!(raw.more().await);
    }
    assert_eq!(raw.unread, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_can_close() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut socket = websocket(&host).await;
    soon(socket.send(Message::text("bye"))).await.unwrap();
    let Some(Message::Close(Some(frame))) = next(&mut socket).await else { panic!("no close") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "as you wish"));
    // A client that vanishes.
    let mut socket = websocket(&host).await;
    echoes(&mut socket, Message::text("here")).await;
    let from = host.log.lines().len();
    drop(socket);
    host.log.line_from(from, "app[web.1]: websocket").await;
    host.log.line_from(from, "path=\"/ws\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_protocol_can_be_changed_to() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send(UPGRADE).await;
    let response = raw.response("GET").await.unwrap();
    assert_eq!(response.status, 101);
    assert!(response.head.contains("\r\nupgrade: shout/1\r\n"), "{response:?}");
    // Nothing of this is HTTP, and some of it looks like bad HTTP.
    raw.send("content-length: 1\ncontent-length: 2\r\n\r\n\0\0").await;
    raw.until("CONTENT-LENGTH: 1\nCONTENT-LENGTH: 2\r\n\r\n\0\0").await.unwrap();
    // The end of one direction is not the end of the other.
    let (mut half, mut rest) = (Raw::connect(host.address).await, Vec::new());
    half.send(UPGRADE).await;
    half.response("GET").await.unwrap();
    half.send("last words").await;
    tokio::io::AsyncWriteExt::shutdown(&mut half.stream).await.unwrap();
    rest.append(&mut half.unread);
    while half.more().await {}
    rest.append(&mut half.unread);
    assert_eq!(rest, b"LAST WORDS");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_upgraded_who_has_not_asked() {
    let (host, _) = socket(&[], |_| {}).await;
    assert_eq!(host.get("/upgrade").await.status, 426);
    let mut raw = Raw::connect(host.address).await;
    raw.send(UPGRADE.replace("shout/1", "h2c")).await;
    assert_eq!(raw.response("GET").await.unwrap().status, 426);
    // The field without its option is the sender's mistake.
    let mut raw = Raw::connect(host.address).await;
    raw.send(UPGRADE.replace("connection: upgrade", "connection: keep-alive")).await;
    assert_eq!(raw.response("GET").await.unwrap().status, 426);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_moves_is_h15() {
    let (host, _) = socket(&[], |limits| limits.idle_ms = 300).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send(UPGRADE).await;
    raw.response("GET").await.unwrap();
    while raw.more().await {}
    let line = host.log.line("path=\"/upgrade\"").await;
    assert!(line.contains("code=H15") && line.contains("status=101"), "{line}");
    host.log.line("app[web.1]: upgraded connection done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_that_ends_ends_its_connections_unclean() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut socket = websocket(&host).await;
    echoes(&mut socket, Message::text("here")).await;
    host.get("/exit").await.is_page("H13");
    let end = soon(socket.next()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert!(host.log.line("path=\"/ws\"").await.contains("code=H18"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_change_says_goodbye() {
    let (host, mut app) = socket(&[], |limits| limits.upgrade_quiet_ms = 100).await;
    let mut socket = websocket(&host).await;
    echoes(&mut socket, Message::text("here")).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send(UPGRADE).await;
    raw.response("GET").await.unwrap();
    configure(&mut app, &[("A", "1")]);
    host.apply(&app).await;
    let Some(Message::Close(Some(frame))) = next(&mut socket).await else { panic!("no close") };
    assert_eq!(frame.code, CloseCode::Away);
    host.log.line("app[web.1]: websocket closed by its client: Some(Away)").await;
    assert!(host.log.line("path=\"/ws\"").await.contains("at=info"));
    while raw.more().await {}
    assert!(host.log.line("path=\"/upgrade\"").await.contains("at=info"));
    host.log.line("heroku[web.1]: State changed from up to down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_says_goodbye() {
    let (mut host, _) = socket(&[], |limits| limits.upgrade_quiet_ms = 50).await;
    let mut socket = websocket(&host).await;
    host.shutdown.take().unwrap().send(()).unwrap();
    let Some(Message::Close(Some(frame))) = next(&mut socket).await else { panic!("no close") };
    assert_eq!(frame.code, CloseCode::Away);
    while next(&mut socket).await.is_some() {}
    soon(&mut host.server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_open_as_long_as_it_is() {
    let (host, app) = socket(&[], |limits| limits.instance_idle_ms = 100).await;
    let mut socket = websocket(&host).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        echoes(&mut socket, Message::text("still here")).await;
    }
    drop(socket);
    host.log.line("heroku[web.1]: State changed from up to down").await;
    assert_eq!(host.node_dynos(&app).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_under_load_lose_no_request_and_tell_every_websocket() {
    let host = host(|limits| limits.upgrade_quiet_ms = 20).await;
    let mut app = socket_app(&host, &[]).await;
    app.formation.insert("web".into(), Scale { min: 0, max: 3 });
    host.apply(&app).await;
    let id = app.id;
    let (done, ended) = tokio::sync::watch::channel(false);
    let requests = async {
        let mut count = 0;
        while !*ended.borrow() {
            host.get("/").await.ok();
            count += 1;
        }
        count
    };
    let sockets = async {
        let mut told = 0;
        while !*ended.borrow() {
            let mut socket = websocket(&host).await;
            soon(socket.send(Message::text("hello"))).await.unwrap();
            // Its echo, then the goodbye; or the goodbye at once.
            while let Some(message) = soon(socket.next()).await {
                let lines = || host.log.lines();
                let message = message.unwrap_or_else(|error| panic!("{error} in {:#?}", lines()));
                if matches!(message, Message::Close(Some(frame)) if frame.code == CloseCode::Away) {
                    told += 1;
                    break;
                }
            }
        }
        told
    };
    let releases = async {
        let mut from = 0;
        for release in 0..20 {
            host.log.line_from(from, "app[web.1]: websocket open").await;
            from = host.log.lines().len();
            configure(&mut app, &[("RELEASE", &release.to_string())]);
            host.apply(&app).await;
            host.log.line_from(from, "path=\"/ws\"").await;
        }
        // One is open and is to be the last: a request that is on its way when the app goes is a 404, as it should.
        host.log.line_from(from, "app[web.1]: websocket open").await;
        done.send(true).unwrap();
    };
    let work = async {
        let (requests, ()) = tokio::join!(requests, releases);
        // The last one of those who listen is told as well.
        host.node.apply(Change::AppRemoved { id }).await.unwrap();
        requests
    };
    let (requests, told) = tokio::join!(work, sockets);
    assert!(requests > 20 && told >= 20, "{requests} requests, {told} told");
}
