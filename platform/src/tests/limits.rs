//! Attacks on limits that belong to nothing else that is tested here.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use wpaas_slug::Limits;

use super::harness::Server;

const PATIENCE: Duration = Duration::from_secs(30);

async fn server(directory: &std::path::Path, limits: Limits) -> Server {
    let server = Server::with(directory, limits).await;
    server.api.create("demo").await;
    server
}

/// An HTTP server that answers each request with a status and a body without end, if with anything.
async fn endless(answers: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !answers {
                kept.push(stream);
                continue;
            }
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            });
        }
    });
    port
}

#[tokio::test]
async fn an_app_has_so_many_domains_and_dynos() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { domains_per_app: 2, dynos_per_process_type: 3, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let api = &server.api;
    let domain = |n: u32| json!({"hostname": format!("{n}.example.org")});
    for n in 0..2 {
        api.call("POST", "/apps/demo/domains", Some(domain(n)), (201, "domain")).await;
    }
    let said = api.refused("POST", "/apps/demo/domains", domain(2), 422).await;
    assert!(said.contains("at most 2 domains"), "{said}");
    api.deploy("demo", "one").await;
    for quantity in [json!(4), json!("4"), json!("0..4"), json!("+9"), json!(u64::MAX)] {
        let body = json!({"quantity": quantity});
        api.refused("PATCH", "/apps/demo/formation/web", body, 422).await;
    }
    let body = json!({"quantity": 3});
    api.call("PATCH", "/apps/demo/formation/web", Some(body), (200, "formation")).await;
}

#[tokio::test]
async fn outputs_are_bounded_in_length_and_number() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        build_output_bytes: 100,
        release_output_bytes: 3,
        release_outputs_per_app: 2,
        manifest_bytes: 1_000,
        ..Limits::default()
    };
    let server = server(directory.path(), limits).await;
    let api = &server.api;
    server.node.ends.add_permits(4);
    for n in 0..4 {
        let (output, build) = api.build("demo", &[("app.wasm", &format!("migrates {n}"))]).await;
        assert_eq!(build["status"], "succeeded", "{output}");
        // What comes last is said in any case.
        assert!(output.len() < 400, "{output}");
    }
    let releases = api.get("/apps/demo/releases", "[release]").await;
    let last = releases.as_array().unwrap().last().unwrap();
    let url = last["output_stream_url"].as_str().unwrap();
    let text = api.request("GET", url).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("hello\nbye"), "{text}");
    let kept = std::fs::read_dir(directory.path().join("data/releases")).unwrap().count();
    assert_eq!(kept, 2);
    let digests = vec![wpaas_slug::Digest::of(b"x"); 100];
    let body = json!({"digests": digests});
    let said = api.refused("POST", "/blobs/missing", body, 413).await;
    assert!(said.contains("1000 bytes"), "{said}");
}

#[tokio::test]
async fn lists_come_in_pages_of_so_many() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { list_items: 3, list_items_default: 2, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    for n in 0..5 {
        server.api.create(&format!("app-{n}")).await;
    }
    for (range, items) in
        [("", 2), ("name ..; max=1000", 3), ("name ..; max=99999999999999999999", 2)]
    {
        let page = server.api.ranged("/apps", range, (206, "[app]")).await;
        assert_eq!(page.body.as_array().unwrap().len(), items, "{range}");
    }
}

#[tokio::test]
async fn the_url_of_a_source_works_for_so_long() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { source_ttl_ms: 1, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let source = server.api.call("POST", "/sources", None, (201, "source")).await;
    let url = source.body["source_blob"]["put_url"].as_str().unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    server.api.send(server.api.request("PUT", url).body("x"), (404, "error")).await;
}

#[tokio::test]
async fn a_silent_tail_is_kept_alive() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { log_keepalive_ms: 5, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let body = json!({"lines": 0, "tail": true});
    let path = "/apps/demo/log-sessions";
    let session = server.api.call("POST", path, Some(body), (201, "log-session")).await;
    let url = session.text("logplex_url");
    let request = server.api.request("GET", &url).header("accept", "text/event-stream");
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut seen = String::new();
    while !seen.ends_with(":\n\n:\n\n") {
        let chunk = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
        seen.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn a_drain_that_takes_and_never_answers_is_given_up_and_holds_up_no_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { drain_send_ms: 20, drain_flush_ms: 20, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let url = format!("http://127.0.0.1:{}/", endless(false).await);
    let body = json!({"url": url});
    server.api.call("POST", "/apps/demo/log-drains", Some(body), (201, "log-drain")).await;
    server.api.logged("takes no lines, they wait: no answer within 0.02 s").await;
    tokio::time::timeout(PATIENCE, server.platform.shutdown()).await.unwrap();
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { outgoing_answer_bytes: 10_000, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let (api, url) = (&server.api, format!("http://127.0.0.1:{}/", endless(true).await));
    let body = json!({"include": ["api:release"], "level": "notify", "url": url});
    api.call("POST", "/apps/demo/webhooks", Some(body), (201, "any")).await;
    api.set("demo", json!({"A": "1"})).await;
    let delivered = async {
        loop {
            let all = api.get("/apps/demo/webhook-deliveries", "[app-webhook-delivery]").await;
            if all[0]["status"] != "pending" {
                return all[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let delivery = tokio::time::timeout(PATIENCE, delivered).await.unwrap();
    assert_eq!(delivery["status"], "succeeded", "{delivery}");
}

#[tokio::test]
async fn what_neither_side_of_an_attachment_reads_waits() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { attach_buffer_bytes: 16, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    server.api.deploy("demo", "one").await;
    let body = json!({"command": "cat", "attach": true});
    let dyno = server.api.call("POST", "/apps/demo/dynos", Some(body), (201, "dyno")).await;
    let url = dyno.text("attach_url");
    let secret = url.rsplit('/').next().unwrap();
    let (mut client, stream) = tokio::io::duplex(64);
    let platform = server.platform.clone();
    tokio::spawn(async move { platform.attach(stream).await });
    client.write_all(format!("{secret}\r\n").as_bytes()).await.unwrap();
    // The dyno repeats what it gets, and its client reads none of it.
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(200), client.write(&[b'x'; 64])).await
    {
        sent += written.unwrap();
        assert!(sent < 64 * 1024, "nothing stops it");
    }
    // All of it is there for a client that reads at last: `cat` of the node has a buffer of its own.
    let mut seen = vec![0; "rendezvous\r\nhello\n".len() + sent.min(64)];
    let read = tokio::time::timeout(PATIENCE, client.read_exact(&mut seen)).await;
    read.unwrap().unwrap();
    assert!(seen.ends_with(b"x"), "{}", String::from_utf8_lossy(&seen));
}

#[tokio::test]
async fn blobs_wait_for_their_turn_to_be_held_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { concurrent_blob_writes: 1, idle_ms: 100, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let api = &server.api;
    let digest = wpaas_slug::Digest::of(b"blob");
    let put = || api.request("PUT", &format!("/blobs/{digest}")).bearer_auth(api.token());
    // One that stalls has the place until it is given up; then the next one is taken.
    let some = futures::stream::iter([Ok::<_, std::io::Error>("bl")]);
    let stalled = reqwest::Body::wrap_stream(some.chain(futures::stream::pending()));
    let (stalled, good) = tokio::join!(put().body(stalled).send(), put().body("blob").send());
    assert_eq!(stalled.unwrap().status(), 400);
    let good = good.unwrap();
    assert!(good.status().is_success(), "{}", good.status());
    let missing = json!({"digests": [digest]});
    let missing = api.call("POST", "/blobs/missing", Some(missing), (200, "any")).await;
    assert_eq!(missing.body["missing"], Value::Array(Vec::new()));
}
