//! Ordinary Node apps, deployed with their usual source and lockfile, answer as they do on Node.js. Each is a directory
//! in `tests/apps/node`, the table of its requests the JSON file beside it; the stack's own tests compare the same
//! answers with Node's.

use std::{collections::BTreeMap, path::PathBuf};

use futures::StreamExt;
use serde::Deserialize;

use super::support::{MariaDb, Postgres, Project, Redis, Server, Upstream, checkout};

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    services: Vec<String>,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(rename = "type")]
    content_type: Option<String>,
    accept: Option<String>,
    #[serde(rename = "accept-encoding")]
    accept_encoding: Option<String>,
    cookie: Option<String>,
    authorization: Option<String>,
    send: Option<String>,
    /// So many bytes are sent, and the same must come back.
    random: Option<usize>,
    /// The client leaves when it has read this.
    #[serde(rename = "leave-after")]
    leave_after: Option<String>,
    status: u16,
    body: Option<String>,
    json: Option<serde_json::Value>,
    contains: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    log: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

fn apps() -> PathBuf {
    checkout().join("tests/apps/node")
}

fn table(name: &str) -> Table {
    let file = apps().join(format!("{name}.json"));
    let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// `len` bytes without a pattern, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..len).map(next).collect()
}

async fn answers_as_told(server: &Server, app: &str, wanted: &Request) {
    let what = format!("{app}: {} {}", wanted.method, wanted.path);
    let mut request = server.request(app, &wanted.path);
    let sent = [
        ("content-type", &wanted.content_type),
        ("accept", &wanted.accept),
        ("accept-encoding", &wanted.accept_encoding),
        ("cookie", &wanted.cookie),
        ("authorization", &wanted.authorization),
    ];
    for (name, value) in sent {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    if let Some(send) = &wanted.send {
        request = request.body(send.clone());
    }
    let random = wanted.random.map(noise);
    if let Some(random) = &random {
        request = request.body(random.clone());
    }
    let (client, request) = request.build_split();
    let mut request = request.unwrap();
    *request.method_mut() = wanted.method.parse().unwrap();
    let mut answer =
        client.execute(request).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    if let Some(part) = &wanted.leave_after {
        let mut text = String::new();
        while !text.contains(part) {
            let chunk = answer.chunk().await.unwrap().unwrap_or_else(|| panic!("{what}: {text}"));
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        drop(answer);
        if let Some(line) = &wanted.log {
            server.log_has(app, line).await;
        }
        return;
    }
    let bytes = answer.bytes().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    if let Some(random) = random {
        assert!(bytes == random, "{what}: {} bytes came back changed", bytes.len());
    }
    let zipped = headers.get("content-encoding").is_some_and(|value| value == "gzip");
    let text = if zipped {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*bytes), &mut text)
            .unwrap();
        text
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert_eq!(status, wanted.status, "{what}: {text}");
    if let Some(body) = &wanted.body {
        assert_eq!(&text, body, "{what}");
    }
    if let Some(json) = &wanted.json {
        let got: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(&got, json, "{what}");
    }
    if let Some(part) = &wanted.contains {
        assert!(text.contains(part), "{what}: no {part:?} in {text}");
    }
    for (name, value) in &wanted.headers {
        let got = headers.get(name).map(|got| got.to_str().unwrap());
        assert_eq!(got, Some(value.as_str()), "{what}: {name}");
    }
    if !wanted.cookies.is_empty() {
        let got: Vec<&str> =
            headers.get_all("set-cookie").iter().map(|got| got.to_str().unwrap()).collect();
        assert_eq!(got, wanted.cookies, "{what}");
    }
    if let Some(line) = &wanted.log {
        server.log_has(app, line).await;
    }
}

/// Deploys the app and asks it everything in its table.
async fn works(name: &str) {
    let table = table(name);
    let needs = |service| table.services.iter().any(|needed| needed == service);
    let postgres = if needs("postgres") { Some(Postgres::start().await) } else { None };
    let redis = if needs("redis") { Some(Redis::start().await) } else { None };
    let mysql = if needs("mysql") { Some(MariaDb::start().await) } else { None };
    let upstream = if needs("upstream") { Some(Upstream::start().await) } else { None };
    let server = Server::start_with(&["--egress-network", "127.0.0.1/32"], &[]).await;

    let mut variables: Vec<String> =
        table.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    variables.extend(postgres.iter().map(|postgres| format!("DATABASE_URL={}", postgres.url)));
    variables.extend(redis.iter().map(|redis| format!("REDIS_URL={}", redis.url)));
    variables.extend(mysql.iter().map(|mysql| format!("DATABASE_URL={}", mysql.url)));
    variables.extend(upstream.iter().map(|upstream| format!("UPSTREAM_URL={}", upstream.url)));
    if !variables.is_empty() {
        server.run(&["create", name]).await.ok();
        if !table.services.is_empty() {
            // Every port: one app asks where nobody listens.
            server.run(&["egress:allow", "localhost:*", "-a", name]).await.ok();
        }
        let mut arguments = vec!["config:set", "-a", name];
        arguments.extend(variables.iter().map(String::as_str));
        server.run(&arguments).await.ok();
    }
    let project = Project::new([]);
    project.copy_from(&apps().join(name));
    server.deploy(project.path(), name).await;
    for request in &table.requests {
        answers_as_told(&server, name, request).await;
    }
}

macro_rules! apps {
    ($($test:ident: $name:literal,)*) => {
        $(#[tokio::test]
        async fn $test() {
            works($name).await;
        })*

        const TESTED: &[&str] = &[$($name),*];
    };
}

apps! {
    node_http: "node-http",
    express_5: "express5",
    express_4_with_its_middleware: "express4",
    koa: "koa",
    fastify: "fastify",
    hono_in_typescript: "hono-ts",
    hono_as_fetch_handler: "hono-fetch",
    graphql_yoga: "graphql-yoga",
    trpc: "trpc",
    nestjs: "nest",
    squint: "squint",
    cherry: "cherry",
    express_with_postgres_and_redis: "pg-redis",
    express_with_mysql: "mysql",
}

#[test]
fn every_app_is_tested() {
    let mut names: Vec<String> = std::fs::read_dir(apps())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut tested = TESTED.to_vec();
    names.sort();
    tested.sort_unstable();
    assert_eq!(names, tested);
}

/// Requests to one app whose instances may use little memory: several times what an instance takes.
const REQUESTS: usize = 4_000;
const AT_A_TIME: usize = 4;

#[tokio::test]
async fn instances_are_replaced_before_their_memory_is_used_up_and_no_request_fails() {
    // An instance of this app begins with some 40 MB and keeps about 9 KB of each request.
    let limits = [
        ("WPAAS_LIMIT_INSTANCE_RECYCLE_MEMORY_BYTES", "54000000"),
        ("WPAAS_LIMIT_DYNO_MEMORY_BYTES", "80000000"),
    ];
    let server = Server::start_with(&[], &limits).await;
    let project = Project::new([]);
    project.copy_from(&apps().join("express5"));
    let file = project.path().join("server.js");
    let source = std::fs::read_to_string(&file).unwrap();
    // Before the app listens, and so before its last handlers.
    let source = source.replace(
        "const app = express();",
        "const app = express();\nconst instance = Math.random();\n\
         app.get('/instance', (req, res) => res.send(String(instance)));",
    );
    std::fs::write(&file, source).unwrap();
    server.deploy(project.path(), "app").await;
    let instances = futures::stream::iter(0..REQUESTS)
        .map(|_| async {
            let (status, text) = server.get("app", "/instance").await;
            assert_eq!(status, 200, "{text}");
            text
        })
        .buffer_unordered(AT_A_TIME)
        .collect::<std::collections::BTreeSet<String>>()
        .await;
    assert!(instances.len() > AT_A_TIME, "only {} instances answered", instances.len());
    let log = server.run(&["logs", "-a", "app", "-n", "1500"]).await.ok().stdout;
    assert!(!log.contains("Error R14") && !log.contains("at=error"), "{log}");
}

#[tokio::test]
async fn a_worker_runs_without_requests_and_is_asked_to_end() {
    let server = Server::start().await;
    let project = Project::new([
        ("package.json", "{}"),
        ("Procfile", "web: node web.js\nworker: node worker.js --every 5\n"),
        (
            "web.js",
            "require('http').createServer((q, r) => r.end('web')).listen(process.env.PORT);",
        ),
        (
            "worker.js",
            "let count = 0;
             const timer = setInterval(() => console.log('job', ++count, process.argv[3]), 5);
             process.on('SIGTERM', () => { console.log('asked to end'); clearInterval(timer); });
             process.on('exit', (code) => console.log('exit', code));",
        ),
    ]);
    server.deploy(project.path(), "app").await;
    server.run(&["ps:scale", "worker=1", "-a", "app"]).await.ok();
    server.log_has("app", "app[worker.1]: job 3 5").await;
    server.run(&["ps:scale", "worker=0", "-a", "app"]).await.ok();
    server.log_has("app", "app[worker.1]: asked to end").await;
    server.log_has("app", "app[worker.1]: exit 0").await;
    server.log_has("app", "Process exited with status 0").await;
    assert_eq!(server.get("app", "/").await, (200, "web".into()));
}
