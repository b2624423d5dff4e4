//! Every limit that a guest or a client can run into.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wpaas_slug::feed::DynoState;

use crate::support::{attacked, host, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_first_byte_is_h12() {
    let host = attacked(|limits| limits.first_byte_ms = 300).await;
    host.get("/slow?ms=60000").await.is_page("H12");
    host.log.line("at=error code=H12 desc=\"Request timeout\"").await;
    host.get("/spin").await.is_page("H12");
    host.log.line("heroku[web.1]: error while executing at wasm backtrace").await;
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn spinning_guests_do_not_stop_others() {
    let host = host(|limits| limits.first_byte_ms = 3_000).await;
    host.deploy("app", "attack").await;
    host.deploy("other", "attack").await;
    let spinning = (0..4).map(|_| host.get("/spin"));
    let spinning = futures::future::join_all(spinning);
    let others = async {
        for _ in 0..5 {
            assert_eq!(host.get_from("other.localhost", "/ok").await.ok(), "ok");
        }
    };
    let (spun, ()) = tokio::join!(spinning, others);
    spun.iter().for_each(|reply| reply.is_page("H12"));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_the_limit_is_refused() {
    let host = attacked(|limits| limits.dyno_memory_bytes = 16 << 20).await;
    let instance = host.get("/instance").await.ok();
    assert!(host.get("/alloc?bytes=100000000").await.ok().starts_with("refused: memory"));
    host.log.line("heroku[web.1]: Error R14 (Memory quota exceeded)").await;
    assert_ne!(host.get("/instance").await.ok(), instance, "a full instance is replaced");
    host.get("/alloc").await.is_page("H13");
    host.log.line("heroku[web.1]: Error R15 (Memory quota vastly exceeded)").await;
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_beyond_the_limit_end_the_dyno() {
    let host = attacked(|limits| limits.dyno_handles = 1_000).await;
    assert_eq!(host.get("/handles?n=100").await.ok(), "100 handles kept");
    host.get("/handles").await.is_page("H13");
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_reused_up_to_their_number_of_requests() {
    let host = attacked(|limits| limits.requests_per_instance = 2).await;
    for expected in ["1", "2", "1"] {
        assert_eq!(host.get("/count").await.ok(), expected);
    }
    let lines: Vec<_> =
        host.log.lines().into_iter().filter(|line| line.contains("at=info")).collect();
    assert!(lines[0].contains(" start=fresh cpu="), "{}", lines[0]);
    assert!(lines[1].contains(" start=warm cpu="), "{}", lines[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_h11() {
    let host = host(|limits| limits.queued_requests = 0).await;
    let app = host.deploy_alone().await;
    let slow = host.get("/sse?n=2&ms=60000");
    let refused = async {
        host.dyno_is(&app, DynoState::Up).await;
        host.get("/ok").await.is_page("H11");
        host.log.line("at=error code=H11 desc=\"Backlog too deep\"").await;
    };
    tokio::select! {
        () = refused => {}
        reply = slow => panic!("it should take a minute: {reply:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_the_only_dyno() {
    let host = attacked(|_| {}).await;
    let replies = futures::future::join_all((0..10).map(|_| host.get("/slow?ms=10"))).await;
    assert!(replies.iter().all(|reply| reply.ok() == "slow"));
    assert_eq!(host.get("/count").await.ok(), "11");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_takes_places_from_idle_dynos() {
    let host = host(|limits| limits.dynos_per_node = 1).await;
    for name in ["one", "two", "one"] {
        host.deploy(name, "attack").await;
        assert_eq!(host.get_from(&format!("{name}.localhost"), "/count").await.ok(), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_instances_end() {
    let host = host(|limits| limits.instance_idle_ms = 100).await;
    let app = host.deploy_alone().await;
    host.get("/write-tmp").await.ok();
    let written = || {
        let nodes = std::fs::read_dir(host.directory.path().join("cache/tmp")).unwrap();
        let nodes = nodes.map(|node| node.unwrap().path()).filter(|path| path.is_dir());
        let dynos = nodes.flat_map(|node| std::fs::read_dir(node).unwrap());
        dynos.filter(|dyno| dyno.as_ref().unwrap().path().is_dir()).count()
    };
    assert_eq!(written(), 1);
    host.dyno_is(&app, DynoState::Idle).await;
    soon(async {
        while written() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_after_the_response_is_allowed_for_a_while() {
    let host = attacked(|limits| limits.after_response_ms = 400).await;
    assert_eq!(host.get("/after?ms=10").await.ok(), "answered");
    host.log.line("app[web.1]: after done").await;
    for how in ["ms=60000", "spin=1"] {
        let before = host.log.lines().len();
        assert_eq!(host.get(&format!("/after?{how}")).await.ok(), "answered");
        let stopped = "heroku[web.1]: Stopping dyno: it went on for more than";
        host.log.line_from(before, stopped).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_a_limit_of_cpu_time() {
    let host = attacked(|limits| limits.request_cpu_ms = 50).await;
    host.get("/spin").await.is_page("H13");
    let stopped = "heroku[web.1]: Stopping dyno: a request used more than";
    host.log.line(stopped).await;
    // A client that reads on does not make a response endless.
    let before = host.log.lines().len();
    let mut stream = tokio::net::TcpStream::connect(host.address).await.unwrap();
    let head = "GET /big?bytes=1000000000000 HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).await.unwrap() > 0 {}
    host.log.line_from(before, stopped).await;
    host.log.line_from(before, "code=H18").await;
    host.get("/ok").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stops_is_h28() {
    let host = attacked(|limits| {
        limits.first_byte_ms = 200;
        limits.idle_ms = 400;
    })
    .await;
    let mut stream = tokio::net::TcpStream::connect(host.address).await.unwrap();
    let head = "POST /upload HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 10\r\n\r\n12345";
    stream.write_all(head.as_bytes()).await.unwrap();
    host.log.line("at=error code=H28 desc=\"Client Connection Idle\"").await;
}
