//! Apps with a table of requests: a directory in `tests/apps/LANGUAGE`, and the JSON file beside it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{MariaDb, Postgres, Project, Redis, Server, Upstream, checkout};

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

fn table(apps: &Path, name: &str) -> Table {
    let file = apps.join(format!("{name}.json"));
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

/// The apps of a language.
pub(crate) fn apps(language: &str) -> PathBuf {
    checkout().join("tests/apps").join(language)
}

/// The names of those that have a table.
pub(crate) fn with_tables(language: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(apps(language))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Deploys the app and asks it everything in its table. Returns the server that it runs on.
pub(crate) async fn works(language: &str, name: &str) -> Server {
    works_with(language, name, &[], &[]).await
}

/// As [`works`], with further options of the server and config vars of the app.
pub(crate) async fn works_with(
    language: &str,
    name: &str,
    options: &[&str],
    config_vars: &[&str],
) -> Server {
    let apps = apps(language);
    let table = table(&apps, name);
    let needs = |service| table.services.iter().any(|needed| needed == service);
    let postgres = if needs("postgres") { Some(Postgres::start().await) } else { None };
    let redis = if needs("redis") { Some(Redis::start().await) } else { None };
    let mysql = if needs("mysql") { Some(MariaDb::start().await) } else { None };
    let upstream = if needs("upstream") { Some(Upstream::start().await) } else { None };
    let options = [&["--egress-network", "127.0.0.1/32"], options].concat();
    let server = Server::start_with(&options, &[]).await;

    let mut variables: Vec<String> =
        table.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    variables.extend(config_vars.iter().map(|&variable| variable.to_owned()));
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
    project.copy_from(&apps.join(name));
    server.deploy(project.path(), name).await;
    for request in &table.requests {
        answers_as_told(&server, name, request).await;
    }
    server
}
