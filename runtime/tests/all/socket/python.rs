//! Python's own servers, unmodified, on the stack `python-3.14` (builder/stacks/python-3.14).

use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request};
use http_body_util::Full;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::OnceCell;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};
use wpaas_slug::{
    Limits, ProcessType, World,
    feed::{AppSpec, NodeLink, Scale},
};

use super::upgrade::{echoes, next, open};
use crate::{
    raw::Raw,
    support::{Client, Host, app, configure, files, host, own, slug_with, soon, test_cache},
};

const UVICORN: &[&str] =
    &["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8080"];
pub const WEBSOCKETS: &[&str] = &["python", "server.py"];

/// A node with the app of tests/apps/python in `directory`, begun by `command`.
pub async fn python(
    directory: &str,
    command: &[&str],
    change: impl FnOnce(&mut Limits),
) -> (Host, AppSpec) {
    static COMPILED: OnceCell<()> = OnceCell::const_new();
    let host = host(change).await;
    let stack = test_cache().join("python-3.14");
    let wasm = std::fs::read(stack.join("python.wasm"));
    let component = own(&host.store, wasm.expect("run tests/setup/python.sh")).await;
    let args = command.iter().map(ToString::to_string).collect();
    let web = ProcessType::new(command.join(" "), component, World::Cli, args);
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/apps/python");
    let mut all = files(&host.store, &apps.join(directory), "").await;
    let packages = ".heroku/python/lib/python3.14/site-packages/";
    all.extend(files(&host.store, &stack.join("site-packages"), packages).await);
    let slug = slug_with(&host.store, vec![("web", web)], all).await;
    let mut app = app("app", Some(slug));
    app.formation.insert("web".into(), Scale { min: 0, max: 1 });
    // Once, however many tests begin at the same time.
    COMPILED.get_or_init(|| async { host.node.prepare(app.clone().into()).await.unwrap() }).await;
    host.apply(&app).await;
    (host, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn uvicorn_serves_starlette() {
    let (host, _) = python("starlette", UVICORN, |_| {}).await;
    assert_eq!(host.get("/").await.ok(), "hello from web.1 for 127.0.0.1");
    host.log.line("app[web.1]: lifespan began").await;
    host.log.line("Uvicorn running on http://0.0.0.0:8080").await;
    // What Python hands to threads elsewhere.
    assert_eq!(host.get("/blocking").await.ok(), "blocking");
    assert_eq!(host.get("/names").await.ok(), "127.0.0.1");
    assert_eq!(host.get("/nowhere").await.status, 404);

    let mut body = vec![0_u8; 3_000_000];
    StdRng::seed_from_u64(1).fill(&mut body[..]);
    let request = Request::builder().method(Method::POST).uri("/echo");
    let request = request.header("host", "app.localhost").body(Full::from(body.clone())).unwrap();
    assert!(host.send(request).await.body.unwrap() == body, "echo differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn uvicorn_keeps_connections() {
    let command = [UVICORN, &["--no-proxy-headers"]].concat();
    let (host, _) = python("starlette", &command, |_| {}).await;
    let mut client = Client::connect(host.address).await;
    let mut ports = Vec::new();
    for _ in 0..20 {
        let request = Request::get("/port").header("host", "app.localhost");
        let request: Request<Full<Bytes>> = request.body(Full::default()).unwrap();
        ports.push(client.send(request).await.ok());
    }
    ports.dedup();
    assert_eq!(ports.len(), 1, "one connection to the dyno: {ports:?}");
    // And each has another port, or this would show nothing.
    let (one, other) = tokio::join!(host.get("/port?pair"), host.get("/port?pair"));
    assert_ne!(one.ok(), other.ok());
}

/// Nobody wakes before all are asleep, so one after the other they would never end.
#[tokio::test(flavor = "multi_thread")]
async fn eight_requests_sleep_at_once() {
    let (host, _) = python("starlette", UVICORN, |_| {}).await;
    let requests: Vec<_> = (0..8).map(|_| host.get("/sleep")).collect();
    for reply in soon(futures::future::join_all(requests)).await {
        assert_eq!(reply.ok(), "slept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stream_until_their_listener_leaves() {
    let (host, _) = python("starlette", UVICORN, |_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send("GET /events HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    raw.until("data: 5\n\n").await.unwrap();
    drop(raw);
    host.log.line("app[web.1]: nobody listens any more").await;
    assert!(host.log.line("path=\"/events\"").await.contains("code=H27"));
    assert_eq!(host.get("/blocking").await.ok(), "blocking", "it goes on");
}

/// What both apps have to do with a websocket.
async fn websockets(host: &Host, path: &str, vanished: &str) {
    let (mut socket, _) = open(host, path, None).await;
    echoes(&mut socket, Message::text("hällo")).await;
    let mut bytes = vec![0_u8; 1024 * 1024];
    StdRng::seed_from_u64(1).fill(&mut bytes[..]);
    echoes(&mut socket, Message::binary(bytes)).await;
    echoes(&mut socket, Message::text("")).await;
    soon(socket.close(None)).await.unwrap();
    while soon(socket.next()).await.is_some() {}
    host.log.line("app[web.1]: websocket closed: 1005").await;
    // One that vanishes.
    let (mut socket, _) = open(host, path, None).await;
    echoes(&mut socket, Message::text("here")).await;
    let from = host.log.lines().len();
    drop(socket);
    host.log.line_from(from, &format!("app[web.1]: websocket closed: {vanished}")).await;
    // Many of them.
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(open(host, path, None).await.0);
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        echoes(socket, Message::text(number.to_string())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uvicorn_serves_websockets() {
    let (host, _) = python("starlette", UVICORN, |_| {}).await;
    // It does not tell a client that vanished from one that says no code.
    websockets(&host, "/ws", "1005").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_websockets_serves() {
    let (host, _) = python("websockets", WEBSOCKETS, |_| {}).await;
    websockets(&host, "/", "1006").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_says_goodbye_to_python_too() {
    let (host, mut app) =
        python("websockets", WEBSOCKETS, |limits| limits.upgrade_quiet_ms = 50).await;
    let (mut socket, _) = open(&host, "/", None).await;
    echoes(&mut socket, Message::text("here")).await;
    configure(&mut app, &[("A", "1")]);
    host.apply(&app).await;
    let Some(Message::Close(Some(frame))) = next(&mut socket).await else { panic!("no close") };
    assert_eq!(frame.code, CloseCode::Away);
    host.log.line("app[web.1]: websocket closed: 1001").await;
    host.log.line("heroku[web.1]: State changed from up to down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_cannot_be_imported_is_h10() {
    let command = ["python", "-m", "uvicorn", "nothing:app", "--port", "8080"];
    let (host, _) = python("starlette", &command, |_| {}).await;
    host.get("/").await.is_page("H10");
    host.log.line("Could not import module \"nothing\"").await;
    host.log.line("heroku[web.1]: Process exited with status 1").await;
}
