//! Instances of `wasi:http/handler@0.3`, which serve many requests at once.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::OnceCell,
};
use wpaas_runtime::{Builder, Node};
use wpaas_slug::{
    Limits, Store, World,
    feed::{AppSpec, Change, EgressRule, NodeLink, Scale},
};

use crate::support::{Client, Host, app, guest, host, host_in, process_type, slug, slug_of, soon};

/// Compiled code that all tests of this file share.
async fn code() -> &'static Path {
    static SHARED: OnceCell<tempfile::TempDir> = OnceCell::const_new();
    let shared = SHARED.get_or_init(|| async {
        let shared = tempfile::tempdir().unwrap();
        let store = Store::local(&shared.path().join("store")).unwrap();
        let node = Node::builder(store.clone(), shared.path().join("cache"))
            .code_dir(shared.path().join("code"))
            .wasi_http_p3(true)
            .build()
            .unwrap();
        for name in ["p3", "component-hello"] {
            let slug = slug(&store, guest(name), &[], false).await;
            node.prepare(Arc::new(app("warm", Some(slug)))).await.unwrap();
        }
        shared
    });
    shared.await.path()
}

/// A node that serves components of WASI 0.3.
async fn node(change: impl FnOnce(&mut Limits)) -> Host {
    let code = code().await.join("code");
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("cache")).unwrap();
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let build =
        |builder: Builder| builder.code_dir(code).wasi_http_p3(true).egress_networks(networks);
    host_in(directory, change, build).await
}

/// The app `app` with at most `max` dynos.
async fn deploy(host: &Host, max: u32) -> AppSpec {
    let slug = slug(&host.store, guest("p3"), &[("note", "from the slug")], false).await;
    let mut app = app("app", Some(slug));
    app.formation.insert("web".into(), Scale { min: 0, max });
    host.apply(&app).await;
    app
}

/// Such a node with the app `app`, which has one dyno.
async fn served(change: impl FnOnce(&mut Limits)) -> Host {
    let host = node(change).await;
    deploy(&host, 1).await;
    host
}

/// A client of a response that does not end, when it has begun.
async fn half(host: &Host) -> TcpStream {
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(b"GET /half HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await.unwrap();
    soon(stream.read_exact(&mut [0; 12])).await.unwrap();
    stream
}

/// The client must see that the response is not complete.
async fn is_cut(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_answers_requests_that_wait_for_each_other() {
    let host = served(|_| {}).await;
    assert_eq!(host.get("/").await.ok(), "Hello from 0.3!\n");
    let all = join_all((0..20).map(|_| host.get("/together?20"))).await;
    all.iter().for_each(|reply| assert_eq!(reply.ok(), "20"));
    assert_eq!(host.get("/served").await.ok(), "22", "it was one instance all the time");
    let lines = host.log.lines();
    let of = |path: &str| lines.iter().find(|line| line.contains(path)).cloned().unwrap();
    assert!(of("path=\"/\"").contains(" start=fresh cpu="), "{lines:#?}");
    assert!(of("path=\"/served\"").contains(" dyno=web.1 "), "{lines:#?}");
    assert!(of("path=\"/served\"").contains(" start=warm cpu="), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrency_and_scale_bound_what_runs_at_once() {
    let host = node(|limits| limits.queued_requests = 1).await;
    let mut web = process_type(&host.store, "p3", World::Http).await;
    web.concurrency = Some(2);
    let mut app = app("app", Some(slug_of(&host.store, vec![("web", web)]).await));
    app.formation.insert("web".into(), Scale { min: 0, max: 2 });
    host.apply(&app).await;
    // Three to each instance would be needed.
    let waiting = join_all((0..4).map(|_| host.get("/together?3")));
    let full = async {
        soon(async {
            while host.node.dynos(app.id).len() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let dynos = host.node.dynos(app.id);
        assert!(dynos.iter().all(|dyno| dyno.concurrency.unwrap().get() == 2), "{dynos:?}");
    };
    tokio::select! {
        () = full => {}
        replies = waiting => panic!("no instance may have three: {replies:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways_with_trailers() {
    let host = served(|_| {}).await;
    let stream = TcpStream::connect(host.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (upload, mut parts) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, hyper::Error>>(1);
    let body = StreamBody::new(futures::stream::poll_fn(move |cx| parts.poll_recv(cx)));
    let request = Request::post("/echo")
        .header("host", "app.localhost")
        .header("te", "trailers")
        .header("trailer", "x-sum")
        .body(body)
        .unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let mut echo = response.into_body();
    for part in ["one", "two", "three"] {
        upload.send(Ok(Frame::data(part.into()))).await.unwrap();
        let frame = soon(echo.frame()).await.unwrap().unwrap();
        assert_eq!(
            frame.into_data().unwrap(),
            part,
            "each part comes back before the next is sent"
        );
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "3".parse().unwrap());
    upload.send(Ok(Frame::trailers(trailers))).await.unwrap();
    drop(upload);
    // HTTP/1.1 sends trailers only where the response has announced them; the body ends well all the same.
    let rest = soon(echo.collect()).await.unwrap();
    assert_eq!(rest.to_bytes(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_ends_the_instance_and_only_that() {
    let host = node(|_| {}).await;
    deploy(&host, 2).await;
    host.deploy("other", "component-hello").await;
    let half = half(&host).await;
    let trap = async {
        host.log.line("app[web.1]: waiting").await;
        host.get("/trap").await
    };
    let (never, trap) = tokio::join!(host.get("/never"), trap);
    trap.is_page("H13");
    never.is_page("H13");
    is_cut(half).await;
    host.log.line("heroku[web.1]: error while executing at wasm backtrace").await;
    host.log.line("heroku[web.1]: State changed from up to crashed").await;
    let line = host.log.line("path=\"/half\"").await;
    assert!(line.contains("at=error code=H18 "), "{line}");
    assert_eq!(host.get("/served").await.ok(), "1", "the next request has a new instance");
    let other = host.get_from("other.localhost", "/").await.ok();
    assert_eq!(other, "Hello from a component!\n", "0.2 is served beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_request_is_h12_and_its_instance_is_replaced() {
    let host = served(|limits| limits.first_byte_ms = 300).await;
    assert_eq!(host.get("/served").await.ok(), "1");
    host.get("/never").await.is_page("H12");
    assert_eq!(host.get("/served").await.ok(), "1");
    assert!(!host.log.lines().iter().any(|line| line.contains("crashed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_spins_is_ended_with_what_else_it_has() {
    let host = node(|limits| {
        limits.first_byte_ms = 1_000;
        limits.shared_compute_ms = 50;
    })
    .await;
    deploy(&host, 2).await;
    let half = half(&host).await;
    let (spin, ok) = tokio::join!(host.get("/spin"), async {
        // It takes requests until it is found out; then another instance does.
        loop {
            let reply = host.get("/served").await;
            if reply.body.as_deref().is_ok_and(|body| body == b"1") {
                return reply;
            }
        }
    });
    spin.is_page("H12");
    ok.ok();
    host.log
        .line("heroku[web.1]: Stopping dyno: it computes for a request whose time is over")
        .await;
    is_cut(half).await;
    let line = host.log.line("path=\"/half\"").await;
    assert!(line.contains("at=error code=H18 "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_sleeps_does_not_get_new_requests_for_long() {
    let host = node(|limits| {
        limits.first_byte_ms = 5_000;
        limits.shared_compute_ms = 50;
    })
    .await;
    deploy(&host, 2).await;
    let others = async {
        host.log.line("app[web.1]: sleeping").await;
        let (address, mut waiting) = (host.address, tokio::task::JoinSet::new());
        // Those that it still gets wait in vain; the first answer is another instance's.
        loop {
            let ask = async move {
                let request = Request::get("/env").header("host", "app.localhost");
                let mut client = Client::connect(address).await;
                client.send(request.body(Full::default()).unwrap()).await
            };
            waiting.spawn(ask);
            tokio::select! {
                Some(answered) = waiting.join_next() => return answered.unwrap().ok(),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    };
    let (slept, answer) = tokio::join!(host.get("/sleep"), others);
    slept.is_page("H12");
    assert_ne!(answer, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn computing_after_the_response_is_ended_too() {
    let host = served(|limits| {
        limits.after_response_ms = 100;
        limits.shared_compute_ms = 50;
    })
    .await;
    assert_eq!(host.get("/after").await.ok(), "done");
    host.log.line("heroku[web.1]: Stopping dyno: it computes").await;
    assert_eq!(host.get("/served").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_the_limit_ends_the_instance() {
    let host = served(|limits| limits.dyno_memory_bytes = 16 << 20).await;
    host.get("/grow").await.is_page("H13");
    host.log.line("heroku[web.1]: Error R15 (Memory quota vastly exceeded)").await;
    assert_eq!(host.get("/served").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_time_beyond_the_limit_is_that_of_the_request_that_used_it() {
    let host = served(|limits| limits.request_cpu_ms = 300).await;
    let mut half = half(&host).await;
    host.get("/busy").await.is_page("H13");
    host.log.line("heroku[web.1]: Replacing dyno: a request used more than 0 seconds of CPU").await;
    assert_eq!(host.get("/served").await.ok(), "1");
    soon(half.read_exact(&mut [0; 1000])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_without_end_end_the_instance() {
    let host = served(|_| {}).await;
    host.get("/handles").await.is_page("H13");
    assert_eq!(host.get("/served").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_replaced_after_their_number_of_requests() {
    let host = served(|limits| limits.requests_per_instance = 2).await;
    for expected in ["1", "2", "1"] {
        assert_eq!(host.get("/served").await.ok(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_seen_by_the_guest() {
    let host = served(|_| {}).await;
    drop(half(&host).await);
    soon(async { while host.get("/gone").await.ok() != "1" {} }).await;
    let line = host.log.line("path=\"/half\"").await;
    assert!(line.contains("at=error code=H27 "), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_leaves_the_instance_alone() {
    let host = served(|_| {}).await;
    host.get("/fail").await.is_page("H13");
    host.log.line("heroku[web.1]: Request failed without a response: ").await;
    assert_eq!(host.get("/served").await.ok(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guest_has_the_dynos_world_and_no_other() {
    let host = served(|_| {}).await;
    assert_eq!(host.get("/env").await.ok(), "web.1");
    assert_eq!(host.get("/env3").await.ok(), "web.1");
    host.get("/log?a-line").await.ok();
    host.log.line("app[web.1]: a-line").await;
    // The standard library's files are those of the dyno.
    assert_eq!(host.get("/write?mine").await.ok(), "Ok(\"mine\")");
    assert_eq!(host.get("/preopens").await.ok(), "0", "0.3 shows no files");
    let socket = host.get("/socket").await.ok();
    assert!(socket.contains("AccessDenied"), "{socket}");
}

#[tokio::test(flavor = "multi_thread")]
async fn outgoing_requests_pass_the_egress_rules() {
    let host = node(|_| {}).await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        }
    });
    let mut app = deploy(&host, 1).await;
    let refused = host.get(&format!("/fetch?{address}/x")).await.ok();
    assert!(refused.contains("DestinationIpProhibited") || refused.contains("Denied"), "{refused}");
    host.log.line("heroku[web.1]: Connection to ").await;
    let release = app.release.as_mut().unwrap();
    release.version = 2;
    release.egress = vec![EgressRule {
        host: "127.0.0.1".into(),
        port: Some(address.port()),
        tls: None,
        ca: None,
    }];
    host.apply(&app).await;
    assert_eq!(host.get(&format!("/fetch?{address}/x")).await.ok(), "200 hi");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_switch_such_components_are_refused() {
    let host = host(|_| {}).await;
    let slug = slug(&host.store, guest("p3"), &[], false).await;
    let change = Change::App(Arc::new(app("app", Some(slug))));
    let error = host.node.apply(change).await.unwrap_err();
    assert!(error.permanent);
    assert!(error.message.contains("wpaas serve --wasi-p3"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_release_takes_over_and_the_old_one_finishes() {
    let host = served(|limits| limits.drain_ms = 300).await;
    let mut app = deploy(&host, 1).await;
    let replaced = async {
        host.log.line("app[web.1]: waiting").await;
        app.release.as_mut().unwrap().version = 2;
        host.apply(&app).await;
        assert_eq!(host.get("/served").await.ok(), "1", "a new instance");
    };
    let (never, ()) = tokio::join!(host.get("/never"), replaced);
    never.is_page("H13");
    host.log.line("heroku[web.1]: Stopping remaining requests").await;
}
