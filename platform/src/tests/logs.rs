use futures::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wpaas_slug::{
    Limits,
    log::{LogLine, LogSink, Source},
};

use super::harness::Server;

#[tokio::test]
async fn a_session_shows_the_history_as_plain_lines_or_events() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    let write = |source, dyno: &str, text: &str| {
        server.platform.inner.logplex.write(LogLine::now(id, source, dyno.to_owned(), text));
    };
    write(Source::App, "web.1", "hello");
    write(Source::Heroku, "router", "at=info");
    write(Source::App, "worker.1", "work");
    let open = async |body: serde_json::Value, accept: &str| {
        let reply =
            api.call("POST", "/apps/demo/log-sessions", Some(body), (201, "log-session")).await;
        let url = reply.text("logplex_url");
        let response = api.request("GET", &url).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.text().await.unwrap()
    };
    let texts = |text: &str| {
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let plain = open(json!({"lines": 2}), "*/*").await;
    assert_eq!(texts(&plain), ["heroku[router]: at=info", "app[worker.1]: work"]);
    let plain = open(json!({"source": "app", "dyno": "web.1"}), "*/*").await;
    assert_eq!(texts(&plain), ["app[web.1]: hello"]);
    let plain = open(json!({"dyno": "worker", "lines": "5"}), "*/*").await;
    assert_eq!(texts(&plain), ["app[worker.1]: work"]);
    let events = open(json!({"source": "heroku"}), "text/event-stream").await;
    let line = events.strip_prefix("retry: 20\n\ndata: ").unwrap();
    assert!(line.ends_with(" heroku[router]: at=info\n\n"), "{events}");
    api.refused("POST", "/apps/demo/log-sessions", json!({"source": "x"}), 422).await;
}

#[tokio::test]
async fn a_tail_goes_on_until_the_app_or_the_platform_ends() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    for app in ["demo", "other"] {
        api.create(app).await;
    }
    let open = async |app: &str| {
        let path = format!("/apps/{app}/log-sessions");
        let body = json!({"lines": 0, "tail": true});
        let reply = api.call("POST", &path, Some(body), (201, "log-session")).await;
        let url = reply.text("logplex_url");
        let request = api.request("GET", &url).header("accept", "text/event-stream");
        let mut stream = request.send().await.unwrap().bytes_stream();
        assert_eq!(stream.next().await.unwrap().unwrap(), "retry: 20\n\n");
        stream
    };
    let (mut demo, mut other) = (open("demo").await, open("other").await);
    api.set("demo", json!({"A": "1"})).await;
    let mut seen = String::new();
    while !seen.contains("Release v2 created by user") {
        seen.push_str(std::str::from_utf8(&demo.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(seen.contains("app[api]: Set A config vars by user"), "{seen}");
    api.call("DELETE", "/apps/demo", None, (200, "app")).await;
    while demo.next().await.is_some() {}
    server.platform.begin_shutdown();
    while other.next().await.is_some() {}
}

#[tokio::test]
async fn a_reader_that_stalls_is_dropped_and_slows_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { log_tails: 2, log_stall_ms: 100, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    let app = api.create("demo").await;
    let session = async || {
        let body = json!({"lines": 0, "tail": true});
        api.call("POST", "/apps/demo/log-sessions", Some(body), (201, "log-session")).await
    };
    // It asks, and reads nothing.
    let url = session().await.text("logplex_url");
    let (place, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stalled = socket.connect(place.parse().unwrap()).await.unwrap();
    let request = format!("GET /{path} HTTP/1.0\r\n\r\n");
    stalled.write_all(request.as_bytes()).await.unwrap();
    stalled.readable().await.unwrap();
    // Another one reads, and gets every line meanwhile.
    let url = session().await.text("logplex_url");
    let mut reader = api.request("GET", &url).send().await.unwrap().bytes_stream();
    let long = "x".repeat(9_000);
    let mut written = 0;
    let third = loop {
        for _ in 0..100 {
            let text = format!("line-{written} {long}");
            server.platform.inner.logplex.write(LogLine::now(app, Source::App, "web.1", text));
            written += 1;
        }
        let mut seen = String::new();
        while !seen.contains(&format!("line-{} ", written - 1)) {
            seen.push_str(std::str::from_utf8(&reader.next().await.unwrap().unwrap()).unwrap());
        }
        assert!(!seen.contains("Error L1"), "the reader lost lines");
        // Two tails are the limit: a third is let in when the stalled one has been dropped.
        let url = session().await.text("logplex_url");
        let third = api.request("GET", &url).send().await.unwrap();
        if third.status() == 200 {
            break third;
        }
        assert_eq!(third.status(), 429);
    };
    drop(third);
    let mut said = Vec::new();
    stalled.read_to_end(&mut said).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    let last = said.trim_end().lines().last().unwrap();
    assert!(
        last.contains("heroku[logplex]: Error L11 (tail buffer overflow): the tail ended"),
        "{last}"
    );
}
