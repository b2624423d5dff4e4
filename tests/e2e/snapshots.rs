//! Apps with `snapshot = true` are evaluated at their build, and every dyno starts from there.

use super::support::{Project, Server};

/// Tells what is of the build and what of the dyno.
const SERVER: &str = "
const express = require('express');
const crypto = require('node:crypto');
const fs = require('node:fs');
const evaluated = { greeting: process.env.GREETING, mode: process.env.MODE, env: process.env.NODE_ENV };
const random = Math.random;
let ticks = 0;
setInterval(() => { ticks += 1; }, 5).unref();
const page = fs.readFileSync(__dirname + '/page.txt', 'utf8');
const app = express();
app.use(express.json());
app.get('/', (req, res) => res.send(page));
app.get('/evaluated', (req, res) => res.json(evaluated));
app.get('/env', (req, res) => res.json({ greeting: process.env.GREETING, dyno: /^web\\.\\d+$/.test(process.env.DYNO), keys: 'PORT' in process.env }));
app.get('/random', (req, res) => res.json([Math.random(), random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex')]));
app.get('/ticks', (req, res) => setTimeout(() => res.json(ticks > 0), 50));
app.get('/file', (req, res) => res.sendFile(__dirname + '/page.txt'));
app.listen(process.env.PORT, () => console.log('listening'));
";

fn express(settings: &str) -> Project {
    let project = Project::copy_of("node-express");
    project.write("server.js", SERVER);
    project.write("page.txt", "a page");
    // Not in the slug, and so not in the snapshot either.
    project.write(".env", "GREETING=secret");
    project.write("wpaas.toml", settings);
    project
}

#[tokio::test]
async fn an_evaluated_app_is_what_every_dyno_starts_from() {
    let server = Server::start().await;
    server.run(&["create", "app"]).await.ok();
    server.run(&["config:set", "GREETING=first", "MODE=quiet", "-a", "app"]).await.ok();
    let project = express("snapshot = true\nsnapshot_env = [\"MODE\"]\n");
    let path = project.path().to_str().unwrap();
    let deploy = server.run(&["deploy", path, "-a", "app"]).await.ok();
    assert!(
        deploy.stdout.contains("listening"),
        "the app's output is the build's: {}",
        deploy.stdout
    );
    // Express and its packages read some too.
    let says = "Read from process.env while it was evaluated, so kept as it is now: ";
    let read = deploy.stdout.lines().find_map(|line| line.trim().strip_prefix(says));
    let read: Vec<&str> = read.unwrap_or_default().split(", ").collect();
    for name in ["GREETING", "MODE", "NODE_ENV"] {
        assert!(read.contains(&name), "no {name} in {}", deploy.stdout);
    }

    let get = async |path| server.get("app", path).await;
    assert_eq!(get("/").await, (200, "a page".into()));
    assert_eq!(get("/evaluated").await.1, r#"{"mode":"quiet","env":"production"}"#);
    assert_eq!(get("/env").await.1, r#"{"greeting":"first","dyno":true,"keys":true}"#);
    assert_eq!(get("/ticks").await.1, "true", "timers of the evaluation go on");
    assert_eq!(get("/file").await, (200, "a page".into()));
    let first = get("/random").await.1;

    // Other config vars, and other randomness, for dynos that start from the same snapshot.
    server.run(&["config:set", "GREETING=second", "-a", "app"]).await.ok();
    assert_eq!(get("/env").await.1, r#"{"greeting":"second","dyno":true,"keys":true}"#);
    let second = get("/random").await.1;
    let numbers = |text: &str| serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap();
    for (one, other) in numbers(&first).iter().zip(&numbers(&second)) {
        assert_ne!(one, other);
    }
    server.log_has("app", "start=fresh").await;

    // The same source gives the component that is there, another one another.
    let again = server.run(&["deploy", path, "-a", "app"]).await.ok();
    assert!(again.stdout.contains("The last build's: the app did not change"), "{}", again.stdout);
    project.write("page.txt", "another page");
    server.deploy(project.path(), "app").await;
    assert_eq!(get("/").await, (200, "another page".into()));
}

#[tokio::test]
async fn what_cannot_be_in_a_snapshot_ends_the_build() {
    let server = Server::start().await;
    server.run(&["create", "app"]).await.ok();
    let listen = "require('http').createServer((q, r) => r.end()).listen(process.env.PORT);";
    for (source, says) in [
        (
            "require('net').connect(5432, 'db.example.com').on('error', () => {});",
            "it connects to db.example.com:5432",
        ),
        ("fetch('https://example.com/').catch(() => {});", "it fetches https://example.com/"),
        (
            "require('http').get('http://example.com/x').on('error', () => {});",
            "it requests http://example.com:80/x",
        ),
        (
            "try { require('crypto').randomBytes(16) } catch {}",
            "getRandomValues or crypto.randomUUID), at /app/server.js:1:",
        ),
        ("require('fs').openSync(__filename);", "it has left /app/server.js open"),
        ("process.exit(0);", "the app ended while it was evaluated"),
        ("throw new Error('no such thing');", "no such thing"),
    ] {
        let project = Project::new([("package.json", "{}"), ("Procfile", "web: node server.js")]);
        project.write("server.js", &format!("{source}\n{listen}"));
        project.write("wpaas.toml", "snapshot = true\n");
        server.run(&["deploy", project.path().to_str().unwrap(), "-a", "app"]).await.fails(1, says);
    }
    let rust = Project::copy_of("rust-hello");
    rust.write("wpaas.toml", "\nsnapshot = true\n");
    let says = "wpaas.toml line 2: there are no snapshots of Rust apps";
    server.run(&["deploy", rust.path().to_str().unwrap(), "-a", "app"]).await.fails(1, says);
}
