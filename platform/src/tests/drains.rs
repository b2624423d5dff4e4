use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{TcpListener, TcpStream},
};
use wpaas_slug::{
    Limits,
    log::{LogLine, LogSink, Source},
};

use super::harness::Server;

const DRAINS: &str = "/apps/demo/log-drains";

/// The texts of `count` frames after the token.
async fn frames(stream: &mut BufReader<TcpStream>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let mut length = Vec::new();
        stream.read_until(b' ', &mut length).await.unwrap();
        let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await.unwrap();
        let text = String::from_utf8(frame).unwrap();
        texts.push(text.splitn(4, ' ').last().unwrap().trim_end().to_owned());
    }
    texts
}

#[tokio::test]
async fn drains_are_added_listed_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let limits =
        Limits { drains_per_app: 3, drains: 4, drain_url_bytes: 2_000, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    for app in ["demo", "more"] {
        api.create(app).await;
    }
    let url = |n: u32| format!("https://user:secret@logs.example.com/{n}?key=hidden");
    let add = async |n: u32| {
        let body = json!({"url": url(n)});
        api.call("POST", DRAINS, Some(body), (201, "log-drain")).await
    };
    let (first, second, third) = (add(1).await, add(2).await, add(3).await);
    assert!(first.text("token").strip_prefix("d.").unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!((first.text("url"), &first.body["addon"]), (url(1), &json!(null)));
    let listed = api.get(DRAINS, "[log-drain]").await;
    assert_eq!(listed, json!([first.body, second.body, third.body]));

    let said = api.refused("POST", DRAINS, json!({"url": url(4)}), 422).await;
    assert!(said.contains("limit of 3 drains"), "{said}");
    let more = "/apps/more/log-drains";
    api.call("POST", more, Some(json!({"url": url(1)})), (201, "log-drain")).await;
    let said = api.refused("POST", more, json!({"url": url(1)}), 422).await;
    assert!(said.contains("at most 4"), "{said}");

    // By id, by token, and by URL as the heroku command writes it.
    let by_url =
        format!("{DRAINS}/https%3A%2F%2Fuser%3Asecret%40logs.example.com%2F3%3Fkey%3Dhidden");
    assert_eq!(api.get(&by_url, "log-drain").await, third.body);
    for path in [
        format!("{DRAINS}/{}", first.text("id")),
        format!("{DRAINS}/{}", second.text("token")),
        by_url.clone(),
    ] {
        api.call("DELETE", &path, None, (200, "log-drain")).await;
        api.call("DELETE", &path, None, (404, "error")).await;
    }
    assert_eq!(api.get(DRAINS, "[log-drain]").await, json!([]));

    add(1).await;
    for (bad, text) in [
        (url(1), "already been taken"),
        ("ftp://a.b".to_owned(), "syslog://HOST:PORT"),
        ("syslog://10.0.0.7:514".to_owned(), "10.0.0.7 is private"),
        (format!("https://a.b/{}", "x".repeat(3_000)), "limit of 2000 bytes"),
    ] {
        let said = api.refused("POST", DRAINS, json!({"url": bad}), 422).await;
        assert!(said.contains(text), "{said}");
    }
    let log = api.log("demo").await.join("\n");
    assert!(log.contains("to https://logs.example.com:443 added by user"), "{log}");
    assert!(!log.contains("secret") && !log.contains("hidden"), "{log}");
    assert_eq!(api.verification("demo").await["valid"], json!(true));
}

#[tokio::test]
async fn lines_follow_renames_and_restarts_and_end_with_the_app() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let accept = async || BufReader::new(receiver.accept().await.unwrap().0);
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    let body = json!({"url": format!("syslog://{}", receiver.local_addr().unwrap())});
    let drain = api.call("POST", DRAINS, Some(body), (201, "log-drain")).await;
    let token = drain.text("token");
    let mut stream = accept().await;
    let added = frames(&mut stream, 1).await;
    assert!(added[0].starts_with("app api - - Log drain"), "{added:?}");
    api.call("PATCH", "/apps/demo", Some(json!({"name": "night"})), (200, "app")).await;
    assert!(frames(&mut stream, 1).await[0].contains("Renamed to night"));
    // What was written before the end is sent.
    let app = api.get("/apps/night", "app").await["id"].as_str().unwrap().parse().unwrap();
    for n in 0..100 {
        let line = LogLine::now(app, Source::App, "web.1", format!("line {n}"));
        server.platform.inner.logplex.write(line);
    }
    server.platform.shutdown().await;
    let last = frames(&mut stream, 100).await;
    assert_eq!(last[99], "app web.1 - - line 99");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the connection ends");
    drop(server);

    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let listed = api.get("/apps/night/log-drains", "[log-drain]").await;
    assert_eq!(listed[0]["token"], json!(token));
    api.set("night", json!({"A": "1"})).await;
    let mut stream = accept().await;
    assert!(frames(&mut stream, 1).await[0].contains("Set A config vars"));
    api.call("DELETE", "/apps/night", None, (200, "app")).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
}

#[tokio::test]
async fn what_the_buffer_cannot_hold_is_counted_in_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        drain_buffer_lines: 10,
        drain_batch_lines: 5,
        drain_rest_ms: 1,
        drain_rest_max_ms: 10,
        ..Limits::default()
    };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    let app = api.create("demo").await;
    // Nobody listens there yet.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("syslog://{}", socket.local_addr().unwrap());
    api.call("POST", DRAINS, Some(json!({"url": url})), (201, "log-drain")).await;
    api.logged("takes no lines, they wait: ").await;
    for n in 0..50 {
        let line = LogLine::now(app, Source::App, "web.1", format!("line {n}"));
        server.platform.inner.logplex.write(line);
    }
    server.platform.inner.logplex.flush().await;
    let receiver = socket.listen(1).unwrap();
    let mut stream = BufReader::new(receiver.accept().await.unwrap().0);
    let mut got = Vec::new();
    while got.last().is_none_or(|last: &String| !last.ends_with("line 49")) {
        got.extend(frames(&mut stream, 1).await);
    }
    let lost: Vec<usize> = got
        .iter()
        .filter_map(|text| text.split_once("L10 (output buffer overflow): "))
        .map(|(_, rest)| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let numbers: Vec<usize> =
        got.iter().filter_map(|text| text.split_once("line ")?.1.parse().ok()).collect();
    assert!(numbers.is_sorted(), "{got:?}");
    // The line of the drain's own beginning counts as well.
    let lines = got.len() - lost.len();
    assert_eq!(lost.iter().sum::<usize>() + lines, 51, "{got:?}");
    assert!((35..=41).contains(&lost.iter().sum::<usize>()), "{got:?}");
    // The app's log says so too, and why lines waited.
    let log = api.logged("takes lines again").await;
    assert!(log.contains("heroku[logplex]: Error L10 (output buffer overflow): "), "{log}");
}
