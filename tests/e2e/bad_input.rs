//! Bad input: a clear message, an exit status, and nothing half-made.

use super::support::{Project, Server, run_alone};

/// Deploys a project that cannot be built; it must fail with `message` and leave no release.
async fn refused(server: &Server, files: &[(&str, &str)], message: &str) {
    let project = Project::new(files.iter().copied());
    let directory = project.path().to_str().unwrap();
    let before = server.run(&["releases", "-a", "refused", "--json"]).await.ok().stdout;
    server.run(&["deploy", directory, "-a", "refused"]).await.fails(1, message);
    let after = server.run(&["releases", "-a", "refused", "--json"]).await.ok().stdout;
    assert_eq!(before, after, "{message}");
}

#[tokio::test]
async fn sources_that_cannot_be_built() {
    let server = Server::start().await;
    server.run(&["create", "refused"]).await.ok();
    let page = "require('http').createServer((q, s) => s.end('x')).listen(process.env.PORT)";

    server.run(&["deploy", "/no/such/dir", "-a", "refused"]).await.fails(1, "/no/such/dir");
    refused(&server, &[("readme.md", "x")], "looked for").await;
    refused(&server, &[("readme.md", "x")], "package.json").await;
    refused(
        &server,
        &[("package.json", "{}"), ("Procfile", "worker: node x.js\n")],
        "there is no file",
    )
    .await;
    let malformed = [("package.json", "{}"), ("Procfile", "web: node x.js\nnonsense\n")];
    refused(&server, &malformed, "line 2").await;
    refused(&server, &[("package.json", "{\n  \"name\": oops\n}"), ("x.js", page)], "line 2").await;
    let lockless = r#"{"dependencies":{"express":"5"},"scripts":{"start":"node x.js"}}"#;
    refused(&server, &[("package.json", lockless), ("x.js", page)], "package-lock.json").await;
    let failing = r#"{"scripts":{"start":"node x.js","build":"echo my own output; exit 3"}}"#;
    refused(&server, &[("package.json", failing), ("x.js", page)], "my own output").await;
    let absent = r#"{"scripts":{"start":"node absent.js"}}"#;
    refused(&server, &[("package.json", absent)], "absent.js").await;
    refused(&server, &[("Procfile", "web: app.wasm\n")], "app.wasm").await;
    refused(&server, &[("Procfile", "web: app.wasm\n"), ("app.wasm", "no")], "app.wasm").await;
    let syntax = [("package.json", r#"{"scripts":{"start":"node x.js"}}"#), ("x.js", "let = ;")];
    refused(&server, &syntax, "x.js").await;
    // Nothing was released, so the app is still blank.
    assert_eq!(server.get("refused", "/").await.0, 503);
    server.log_has("refused", "code=H81").await;
}

#[tokio::test]
async fn apps_that_do_not_start() {
    let server = Server::start_with(&[], &[("WPAAS_LIMIT_BOOT_MS", "1500")]).await;
    let start = r#"{"scripts":{"start":"node server.js"}}"#;
    let throws = Project::new([
        ("package.json", start),
        ("server.js", "function boom() { throw new Error('no database') }\nboom()\n"),
    ]);
    server.deploy(throws.path(), "throws").await;
    let (status, page) = server.get("throws", "/").await;
    assert_eq!(status, 503);
    assert!(page.contains("H10") || page.contains("Application error"), "{page}");
    server.log_has("throws", "Error: no database").await;
    server.log_has("throws", "server.js").await;
    server.log_has("throws", "code=H10 desc=\"App crashed\"").await;

    let silent =
        Project::new([("package.json", start), ("server.js", "setInterval(() => {}, 1000)\n")]);
    server.deploy(silent.path(), "silent").await;
    assert_eq!(server.get("silent", "/").await.0, 503);
    server.log_has("silent", "Error R10 (Boot timeout)").await;
}

#[tokio::test]
async fn hostile_and_oversized_uploads() {
    let server = Server::start_with(&[], &[("WPAAS_LIMIT_SOURCE_BYTES", "100000")]).await;
    server.run(&["create", "app"]).await.ok();
    let project = Project::copy_of("component-hello");
    project.write("big.bin", &"x".repeat(100_001));
    let directory = project.path().to_str().unwrap();
    let run = server.run(&["deploy", directory, "-a", "app"]).await;
    run.fails(1, "100000");

    for (name, link) in [("../evil", None), ("evil", Some("/etc/passwd")), ("evil", Some("../x"))] {
        let status = build_of(&server, &archive(name, link)).await;
        assert_eq!(status["status"], "failed", "{name} {link:?}: {status}");
    }
    let status = build_of(&server, b"this is no archive").await;
    assert_eq!(status["status"], "failed", "{status}");
}

/// A gzipped tar with one entry, written by hand since libraries refuse such names.
fn archive(name: &str, link: Option<&str>) -> Vec<u8> {
    use std::io::Write as _;
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(b"00000000000");
    header[156] = b'0';
    if let Some(link) = link {
        header[156] = b'2';
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    }
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    header[154] = 0;
    let gzip = flate2::Compression::fast();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), gzip);
    encoder.write_all(&header).unwrap();
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

/// Uploads an archive as any Heroku client would and waits for its build's end.
async fn build_of(server: &Server, archive: &[u8]) -> serde_json::Value {
    let client = reqwest::Client::new();
    let call = async |method: reqwest::Method, path: &str, body: serde_json::Value| {
        let request = client
            .request(method, format!("{}{path}", server.api()))
            .header("accept", "application/vnd.heroku+json; version=3")
            .bearer_auth(server.token())
            .json(&body);
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    let nothing = serde_json::json!({});
    let source = call(reqwest::Method::POST, "/apps/app/sources", nothing.clone()).await;
    let put = source["source_blob"]["put_url"].as_str().unwrap();
    let put = client.put(put).body(archive.to_vec()).send().await.unwrap();
    assert!(put.status().is_success(), "{put:?}");
    let get = &source["source_blob"]["get_url"];
    let body = serde_json::json!({"source_blob": {"url": get}});
    let build = call(reqwest::Method::POST, "/apps/app/builds", body).await;
    // The output ends when the build does.
    let output = build["output_stream_url"].as_str().unwrap();
    client.get(output).send().await.unwrap().bytes().await.unwrap();
    let path = format!("/apps/app/builds/{}", build["id"].as_str().unwrap());
    call(reqwest::Method::GET, &path, nothing).await
}

#[tokio::test]
async fn names_tokens_and_servers() {
    let server = Server::start().await;
    server.run(&["create", "taken"]).await.ok();
    server.run(&["create", "taken"]).await.fails(1, "taken");
    for invalid in ["Upper", "1digit", "under_score", "dash-"] {
        let run = server.run(&["create", "--", invalid]).await;
        assert_ne!(run.code, Some(0), "{invalid}");
        assert!(run.stderr.contains("lowercase letters"), "{run:?}");
    }
    server.run(&["config:set", "novalue", "-a", "taken"]).await.fails(2, "NAME=VALUE");
    server.run(&["info", "-a", "absent"]).await.fails(1, "find that app");

    let mut wrong = server.command(&["apps"]);
    let output = wrong.env("WPAAS_API_KEY", "wrong").output().await.unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");

    let home = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = format!("http://{closed}");
    run_alone(home.path(), &["apps", "--api", &api]).await.fails(3, "wpaas serve");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = std::net::TcpListener::bind(taken).unwrap();
    let data = home.path().join("data");
    let address = taken.to_string();
    let arguments = ["serve", "--http", &address, "--data", data.to_str().unwrap()];
    run_alone(home.path(), &arguments).await.fails(1, "--http");
    drop(listener);

    let again = server.data();
    let arguments = [
        "serve",
        "--http",
        "127.0.0.1:0",
        "--api",
        "127.0.0.1:0",
        "--data",
        again.to_str().unwrap(),
    ];
    run_alone(home.path(), &arguments).await.fails(1, "another wpaas");
}

#[tokio::test]
async fn the_token_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start().await;
    server.deploy(Project::copy_of("component-hello").path(), "app").await;
    let config = server.data().parent().unwrap().join("config/credentials.json");
    for path in [config, server.data().join("owner.json")] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    assert_eq!(std::fs::metadata(server.data()).unwrap().permissions().mode() & 0o777, 0o700);
}
