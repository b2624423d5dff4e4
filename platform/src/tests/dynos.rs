use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use wpaas_slug::Limits;

use super::harness::Server;

async fn server(directory: &std::path::Path, limits: Limits) -> Server {
    let server = Server::with(directory, limits).await;
    server.api.create("demo").await;
    server.api.set("demo", json!({"NAME": "my file"})).await;
    server.api.deploy("demo", "one").await;
    server
}

async fn start(server: &Server, body: Value) -> Value {
    server.api.call("POST", "/apps/demo/dynos", Some(body), (201, "dyno")).await.body
}

/// Connects as a client does and says the secret of the dyno.
async fn connect(server: &Server, dyno: &Value) -> DuplexStream {
    let url = dyno["attach_url"].as_str().unwrap();
    let secret = url.strip_prefix("rendezvous://localhost:5000/").unwrap().to_owned();
    attach(server, &secret).await
}

async fn attach(server: &Server, secret: &str) -> DuplexStream {
    let (mut client, stream) = duplex(8192);
    let (platform, hello) = (server.platform.clone(), format!("{secret}\r\n"));
    tokio::spawn(async move { platform.attach(stream).await });
    client.write_all(hello.as_bytes()).await.unwrap();
    client
}

async fn rest(mut client: DuplexStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_client_meets_its_dyno_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), Limits::default()).await;
    let command = "cat \"$NAME\" ${OWN:-x}; echo \"\u{FFFF} heroku-command-exit-status: $?\"";
    *server.node.status.lock() = 3;
    let body = json!({
        "attach": true, "command": command, "env": {"OWN": "1", "TERM": null}, "force_no_tty": null,
        "type": "run", "size": "basic", "time_to_live": 60,
    });
    let dyno = start(&server, body).await;
    assert_eq!(
        (&dyno["name"], &dyno["command"]),
        (&json!("run.1000"), &json!("cat \"$NAME\" ${OWN:-x}"))
    );
    let ran = server.node.ran.lock()[0].clone();
    assert_eq!(ran.command, ["cat", "my file", "1"]);
    assert_eq!(ran.env, [("OWN".to_owned(), "1".to_owned())]);
    assert_eq!((ran.terminal, ran.longest), (false, Duration::from_secs(60)));
    let mut client = connect(&server, &dyno).await;
    client.write_all(b"some input").await.unwrap();
    client.write_all(b"\x04").await.unwrap();
    let expected = "rendezvous\r\nhello\nsome inputbye\n\u{FFFF} heroku-command-exit-status: 3\n";
    assert_eq!(rest(client).await, expected);
    // The secret is used up, and others are none.
    assert_eq!(rest(connect(&server, &dyno).await).await, "");
    assert_eq!(rest(attach(&server, &"0".repeat(64)).await).await, "");
    assert_eq!(rest(attach(&server, &"x".repeat(5000)).await).await, "");
}

#[tokio::test]
async fn clients_with_a_terminal_and_ours_end_their_input_in_their_own_ways() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), Limits::default()).await;
    let env = json!({"COLUMNS": 80, "LINES": "24"});
    for (body, terminal) in [
        (json!({"command": "a", "attach": true, "env": env}), true),
        (json!({"command": "a", "attach": true, "env": env, "force_no_tty": true}), false),
        (json!({"command": "a", "attach": true, "input_end": "direction"}), false),
    ] {
        let dyno = start(&server, body.clone()).await;
        assert_eq!(server.node.ran.lock().last().unwrap().terminal, terminal, "{body}");
        let mut client = connect(&server, &dyno).await;
        client.write_all(b"a\x04b").await.unwrap();
        let mut seen = vec![0; "rendezvous\r\nhello\na\x04b".len()];
        client.read_exact(&mut seen).await.unwrap();
        if body.get("input_end").is_some() {
            client.shutdown().await.unwrap();
            assert_eq!(rest(client).await, "bye\n");
        }
    }
}

#[tokio::test]
async fn detached_dynos_and_bad_requests() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { one_off_command_bytes: 100, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let dyno = start(&server, json!({"command": "worker --once", "attach": false})).await;
    assert_eq!(dyno["attach_url"], Value::Null);
    assert_eq!(server.node.ran.lock()[0].command, ["worker", "--once"]);
    let path = "/apps/demo/dynos";
    for (body, says) in [
        (json!({"command": "bash"}), "no shell"),
        (json!({"command": ""}), "which command"),
        (json!({"command": "a | b"}), "'|'"),
        (json!({"command": "a", "size": "Performance-XL"}), "Performance-XL"),
        (json!({"command": "a", "env": {"A B": "1"}}), "A B"),
        (json!({"command": "x".repeat(101)}), "limit of 100 bytes"),
    ] {
        let message = server.api.refused("POST", path, body.clone(), 422).await;
        assert!(message.contains(says), "{body}: {message}");
    }
    server.api.refused("POST", path, json!({}), 422).await;
    server.api.create("empty").await;
    let other = server.other_account().await;
    other.refused("POST", path, json!({"command": "a"}), 404).await;
}

#[tokio::test]
async fn dynos_whose_client_does_not_come_are_bounded_in_number_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { attach_waiting: 2, attach_ms: 300, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let body = json!({"command": "a", "attach": true});
    let (first, _second) = (start(&server, body.clone()).await, start(&server, body.clone()).await);
    server.api.refused("POST", "/apps/demo/dynos", body.clone(), 429).await;
    loop {
        let log = server.api.log("demo").await.join("\n");
        if log.contains("heroku[run.1000]: Error R13 (Attach error) -> Failed to attach to process")
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(rest(connect(&server, &first).await).await, "");
    start(&server, body).await;
}
