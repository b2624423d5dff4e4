//! Dynos of Python apps: what goes wrong in one, snapshots, one-off dynos.

use std::cell::Cell;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    run::types_to_wpaas,
    support::{PATIENCE, Project, Server, apps::apps},
};

/// The shop, as the app `app`.
async fn shop(server: &Server) {
    server.run(&["create", "app"]).await.ok();
    server.run(&["config:set", "-a", "app", "GREETING=hello", "SECRET_KEY=s3cret"]).await.ok();
    server.deploy(&apps("python").join("flask"), "app").await;
}

#[tokio::test]
async fn what_goes_wrong_ends_with_its_request() {
    let server = Server::start_with(&["--metrics", "127.0.0.1:0"], &[]).await;
    shop(&server).await;
    let left = Cell::new(false);
    let others = async {
        let mut asked = 0;
        while !left.get() {
            assert_eq!(server.get("app", "/items/1").await.0, 200, "after {asked}");
            asked += 1;
        }
        asked
    };
    let leaving = async {
        leave(&server).await;
        left.set(true);
    };
    let (asked, ()) = tokio::join!(others, leaving);
    assert!(asked > 0);
    let log = server.log_has("app", "Client left during GET /events").await;
    assert!(!log.contains("crashed"), "{log}");
    // Nothing is left of those who left.
    gone(&server, r#"wpaas_dynos{state="busy"}"#).await;
    gone(&server, "wpaas_queued_requests").await;

    // One that traps takes nobody else's request with it.
    let mut stream = server.request("app", "/events").send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    assert_eq!(server.get("app", "/trap").await.0, 503);
    let log = server.log_has("app", "State changed from up to crashed").await;
    assert_eq!(log.matches("to crashed").count(), 1, "{log}");
    // More than what was under way by then.
    for _ in 0..100 {
        stream.chunk().await.unwrap().unwrap();
    }
    assert_eq!(server.get("app", "/items/1").await.0, 200);
}

/// A thousand clients go away in the middle of what they ask.
async fn leave(server: &Server) {
    let mut state = 1_u64;
    // Below `end`; the same each time.
    let mut random = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % end
    };
    let address = server.http().strip_prefix("http://").unwrap().to_owned();
    for _ in 0..1_000 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let path = ["/", "/events", "/boom", "/half", "/worse", "/echo"][random(6)];
        let (method, length, body) =
            if path == "/echo" { ("POST", 9, "abc") } else { ("GET", 0, "") };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let until = if random(3) == 0 { 1 + random(head.len() - 1) } else { head.len() };
        stream.write_all(head.get(..until).unwrap().as_bytes()).await.unwrap();
        if until == head.len() && path != "/echo" && random(3) == 0 {
            stream.readable().await.unwrap();
        }
    }
}

/// Waits until a gauge of the node is at 0.
async fn gone(server: &Server, gauge: &str) {
    let zero = format!("{gauge} 0");
    let waiting = async {
        loop {
            let metrics =
                reqwest::get(server.said("metrics ")).await.unwrap().text().await.unwrap();
            if metrics.lines().any(|line| line == zero) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{gauge} is not 0");
}

#[tokio::test]
async fn python_is_interactive_at_a_terminal_and_reads_its_input_elsewhere() {
    let server = Server::start().await;
    shop(&server).await;
    let keys = [&b"6*7\r"[..], b"import shop; shop.GREETING\r", b"\x04"];
    types_to_wpaas(&server, "python", &keys, &["\n42\r\n", "'hello'\r\n", ""], 0).await;
    let mut child = server
        .command(&["run", "-a", "app", "--", "python", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"print(6*7)\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n");
    // The platform fills variables in, and nobody does so again.
    let run = server.run(&["run", "-a", "app", "python -c 'print(\"$GREETING\")'"]).await.ok();
    assert_eq!(run.stdout, "$GREETING\n");
}

/// Tells what is of the snapshot and what of the dyno.
const SNAPSHOT: &str = "
import sys
loaded = 'flask' in sys.modules
import os, random, uuid
from flask import Flask, jsonify
app = Flask(__name__)
# Read when the module is imported, as settings are.
greeting = os.environ['GREETING']
at_import = random.random()
@app.get('/')
def index():
    numbers = [at_import, random.random(), uuid.uuid4().hex]
    return jsonify(loaded=loaded, greeting=greeting, file=sys.modules['flask'].__file__, numbers=numbers)
";

#[tokio::test]
async fn a_snapshot_has_the_libraries_and_nothing_of_the_app() {
    let server = Server::start().await;
    server.run(&["create", "app"]).await.ok();
    server.run(&["config:set", "GREETING=first", "-a", "app"]).await.ok();
    let project = Project::new([
        ("requirements.txt", "Flask==3.1.3\n"),
        ("Procfile", "web: gunicorn app:app\n"),
        ("app.py", SNAPSHOT),
        ("wpaas.toml", "snapshot = true\n"),
    ]);
    let path = project.path().to_str().unwrap();
    let deploy = server.run(&["deploy", path, "-a", "app"]).await.ok();
    assert!(deploy.stdout.contains("web starts with its libraries loaded"), "{}", deploy.stdout);
    let get = async || {
        let text = server.get("app", "/").await.1;
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    let first = get().await;
    let file = "/app/.heroku/python/lib/python3.14/site-packages/flask/__init__.py";
    assert_eq!((&first["loaded"], &first["greeting"]), (&true.into(), &"first".into()));
    assert_eq!(first["file"], file);

    // Another dyno of the same snapshot has the config vars and randomness of its own.
    server.run(&["config:set", "GREETING=second", "-a", "app"]).await.ok();
    let second = get().await;
    assert_eq!((&second["loaded"], &second["greeting"]), (&true.into(), &"second".into()));
    for at in 0..3 {
        assert_ne!(first["numbers"][at], second["numbers"][at], "{at}");
    }

    // A change of the app makes no other component.
    project.edit("app.py", "loaded=loaded", "loaded=loaded, changed=True");
    let again = server.run(&["deploy", path, "-a", "app"]).await.ok();
    assert!(again.stdout.contains("The last build's: the libraries did not change"), "{again:#?}");
    assert_eq!(get().await["changed"], true);

    // What the app would say of its snapshot is for Node.js.
    project.write("wpaas.toml", "snapshot = true\nsnapshot_env = [\"GREETING\"]\n");
    server.run(&["deploy", path, "-a", "app"]).await.fails(1, "snapshot_env is not for Python");
}
