use futures::StreamExt;
use serde_json::json;
use wpaas_slug::log::{LogLine, LogSink, Source};

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
