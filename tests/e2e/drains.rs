//! Log drains into real receivers: rsyslog by TCP and by TLS, and an HTTPS server.

use std::sync::Arc;

use super::support::{HttpReceiver, Identity, PATIENCE, Rsyslog, Server};

/// Asks for `/line-FROM` and further: the router writes a line for each, although the app has nothing to answer with.
async fn lines(server: &Server, numbers: std::ops::Range<usize>) {
    for n in numbers {
        server.get("demo", &format!("/line-{n}")).await;
    }
}

/// The numbers of those lines in a log.
fn numbers(log: &str) -> Vec<usize> {
    let number = |line: &str| {
        let (_, rest) = line.split_once("path=\"/line-")?;
        rest.split('"').next()?.parse().ok()
    };
    log.lines().filter_map(number).collect()
}

/// Waits until the receiver has line `n`.
async fn has(log: impl Fn() -> String, n: usize) {
    let waiting = async {
        while numbers(&log()).last() != Some(&n) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "no line {n} in {}", log());
}

async fn server(identity: &Identity) -> Server {
    let options = ["--egress-network", "127.0.0.1/32", "--egress-ca", identity.authority()];
    let variables = [
        ("WPAAS_LIMIT_DRAIN_BUFFER_LINES", "30"),
        ("WPAAS_LIMIT_DRAIN_GATHER_MS", "20"),
        ("WPAAS_LIMIT_DRAIN_REST_MS", "20"),
        ("WPAAS_LIMIT_DRAIN_REST_MAX_MS", "200"),
    ];
    let server = Server::start_with(&options, &variables).await;
    server.run(&["create", "demo"]).await.ok();
    server
}

#[tokio::test]
async fn rsyslog_gets_every_line_in_order_over_its_restart() {
    let identity = Identity::of("localhost");
    let server = server(&identity).await;
    let (mut plain, mut secure) =
        tokio::join!(Rsyslog::start(None), Rsyslog::start(Some(&identity)));
    let urls = [
        format!("syslog://localhost:{}", plain.port()),
        format!("syslog+tls://localhost:{}", secure.port()),
    ];
    for url in &urls {
        let run = server.run(&["drains:add", url, "-a", "demo"]).await.ok();
        assert!(run.stdout.contains(&format!("Successfully added drain {url} (d.")), "{run:?}");
    }
    lines(&server, 0..20).await;
    tokio::join!(has(|| plain.log(), 19), has(|| secure.log(), 19));
    tokio::join!(plain.stop(), secure.stop());
    lines(&server, 20..40).await;
    tokio::join!(plain.start_again(), secure.start_again());
    lines(&server, 40..60).await;
    tokio::join!(has(|| plain.log(), 59), has(|| secure.log(), 59));
    let listed = server.run(&["drains", "-a", "demo", "--json"]).await.ok().json();
    for (n, log) in [plain.log(), secure.log()].iter().enumerate() {
        assert_eq!(numbers(log), (0..60).collect::<Vec<_>>(), "{log}");
        let token = listed[n]["token"].as_str().unwrap();
        let router = format!("158 {token} heroku router");
        assert!(log.lines().any(|line| line.starts_with(&router)), "no {router:?} in {log}");
    }
    server.run(&["drains:remove", &urls[0], "-a", "demo"]).await.ok();
    lines(&server, 60..61).await;
    has(|| secure.log(), 60).await;
    assert!(!numbers(&plain.log()).contains(&60));
}

#[tokio::test]
async fn an_https_drain_gets_batches_and_is_told_what_overflowed() {
    let identity = Identity::of("localhost");
    let server = server(&identity).await;
    let mut receiver = HttpReceiver::start(&identity).await;
    let url = format!("https://user:pass@localhost:{}/in?key=1", receiver.port);
    server.run(&["drains:add", &url, "-a", "demo"]).await.ok();
    let received = Arc::clone(&receiver.received);
    let log = || received.lock().iter().map(|one| one.body.clone()).collect::<String>();
    lines(&server, 0..4).await;
    has(log, 3).await;
    receiver.stop().await;
    lines(&server, 4..8).await;
    receiver.start_again().await;
    lines(&server, 8..10).await;
    has(log, 9).await;
    *receiver.down.lock() = true;
    lines(&server, 10..80).await;
    server.log_has("demo", "takes no lines, they wait: it answered with status 503").await;
    *receiver.down.lock() = false;
    has(log, 79).await;

    let all = log();
    let told = all.lines().filter_map(|line| line.split_once("L10 (output buffer overflow): "));
    let told: usize =
        told.map(|(_, rest)| rest.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    let got = numbers(&all);
    assert!(got.is_sorted() && got.starts_with(&(0..10).collect::<Vec<_>>()), "{all}");
    assert!(told >= 30 && got.len() + told == 80, "{told} lost: {all}");
    server.log_has("demo", "Error L10 (output buffer overflow): ").await;

    let token = server.run(&["drains", "-a", "demo", "--json"]).await.ok().json();
    let token = token[0]["token"].as_str().unwrap().to_owned();
    let mut ids = std::collections::HashSet::new();
    for one in receiver.received.lock().iter() {
        let head = &one.head;
        let header = |name: &str| {
            let found = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            found.unwrap_or_else(|| panic!("no {name}: {head}")).to_owned()
        };
        assert!(head.starts_with("POST /in?key=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header("content-type"), "application/logplex-1");
        assert_eq!(header("authorization"), "Basic dXNlcjpwYXNz");
        assert_eq!(header("logplex-drain-token"), token);
        assert!(header("user-agent").starts_with("Logplex/"));
        assert_eq!(header("logplex-msg-count").parse::<usize>().unwrap(), one.body.lines().count());
        assert!(ids.insert(header("logplex-frame-id")), "a frame came twice");
    }
}

#[tokio::test]
async fn drains_reach_what_the_operator_opens_and_trusts() {
    let server = Server::start().await;
    server.run(&["create", "demo"]).await.ok();
    let add = async |url: &str| server.run(&["drains:add", url, "-a", "demo"]).await;
    for (url, said) in [
        ("syslog://127.0.0.1:514", "--egress-network 127.0.0.1/32"),
        ("https://localhost:5080/", "--egress-network"),
        ("https://169.254.169.254/latest", "a cloud metadata address"),
        ("syslog://[::ffff:10.0.0.1]:514", "a private address"),
        ("logs.example.com:514", "syslog://HOST:PORT"),
    ] {
        let run = add(url).await;
        assert!(run.code != Some(0) && run.stderr.contains(said), "{url}: {run:?}");
    }
}
