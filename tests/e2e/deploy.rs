//! From a project directory to a served request.

use super::support::{Project, Server, example};

/// Deploys the four examples and checks what each one answers and logs. Also run with an S3 store.
pub(crate) async fn examples_answer(server: &Server) {
    // (example, what `/` answers, what it logs for it)
    let expected = [
        ("node-express", "Hello from Express", "Saying hello"),
        ("node-http", "Hello from node:http", "GET /"),
        ("rust-hello", "Hello from Rust", "level=info"),
        ("component-hello", "Hello from a component", "GET /"),
    ];
    for (app, body, line) in expected {
        let deployed = server.deploy(Project::copy_of(app).path(), app).await;
        assert_eq!(deployed["app"], app, "{deployed}");
        assert_eq!(deployed["release"], "v2", "{deployed}");
        let (status, text) = server.get(app, "/").await;
        assert_eq!(status, 200, "{app}: {text}");
        assert!(text.contains(body), "{app}: {text}");
        let log = server.log_has(app, &format!("app[web.1]: {line}")).await;
        assert!(log.contains("app[api]: Release v2 created by user"), "{log}");
        let log = server.log_has(app, "heroku[router]: at=info method=GET path=\"/\"").await;
        assert!(log.contains("status=200"), "{log}");
    }
}

#[tokio::test]
async fn the_four_examples_answer() {
    let server = Server::start().await;
    examples_answer(&server).await;

    // The same source again: same slug, nothing uploaded.
    for app in ["node-express", "node-http", "component-hello", "rust-hello"] {
        let source = Project::copy_of(app);
        let again = server.deploy(source.path(), app).await;
        assert_eq!(again["uploaded_blobs"], 0, "{app}: {again}");
        let info = server.run(&["releases:info", "v2", "-a", app, "--json"]).await.ok().json();
        assert_eq!(info["slug_digest"], again["slug_digest"], "{app}: {info}");
        if app != "rust-hello" {
            // For another app as well. (Not for Rust, whose standard library takes minutes to compile.)
            let other = server.deploy(source.path(), &format!("{app}-2")).await;
            assert_eq!(other["slug_digest"], again["slug_digest"], "{app}");
            assert_eq!(other["uploaded_blobs"], 0, "{app}: {other}");
        }
    }

    // No engine in the slug: it is small, and names its stack.
    let info = server.run(&["info", "-a", "node-express", "--json"]).await.ok().json();
    let size = info["app"]["slug_size"].as_u64().unwrap();
    assert!((1..2_000_000).contains(&size), "{info}");
}

#[tokio::test]
async fn express_works_as_on_node() {
    let server = Server::start().await;
    server.deploy(Project::copy_of("node-express").path(), "express").await;
    let (status, text) = server.get("express", "/no/such/page").await;
    assert_eq!(status, 404, "{text}");
    let (status, text) = server.get("express", "/public/style.css").await;
    assert_eq!(status, 200, "{text}");
    let posted = server
        .request("express", "/json")
        .header("content-type", "application/json")
        .body(r#"{"name":"wpaas","n":[1,2,3]}"#);
    let (client, request) = posted.build_split();
    let mut request = request.unwrap();
    *request.method_mut() = reqwest::Method::POST;
    let answer = client.execute(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert!(answer.to_string().contains(r#""n":[1,2,3]"#), "{answer}");
    // An error in a handler is Express's to answer, and the next request is served.
    let (status, text) = server.get("express", "/error").await;
    assert_eq!(status, 500, "{text}");
    assert_eq!(server.get("express", "/").await.0, 200);
}

#[tokio::test]
async fn deploy_remembers_the_app_of_a_directory() {
    let server = Server::start().await;
    let project = Project::copy_of("component-hello");
    let directory = project.path().to_str().unwrap();
    let first = server.run(&["deploy", directory, "--json"]).await.ok().json();
    let second = server.run(&["deploy", directory, "--json"]).await.ok().json();
    assert_eq!(first["app"], second["app"]);
    assert_eq!(second["release"], "v3");
    let apps = server.run(&["apps", "--json"]).await.ok().json();
    assert_eq!(apps.as_array().unwrap().len(), 1, "{apps}");
}

#[tokio::test]
async fn a_slug_built_locally_is_the_same_slug() {
    let server = Server::start().await;
    let project = Project::copy_of("component-hello");
    let remote = server.deploy(project.path(), "remote").await;
    let directory = project.path().to_str().unwrap();
    let arguments = ["deploy", directory, "-a", "local", "--local", "--json"];
    let local = server.run(&arguments).await.ok().json();
    assert_eq!(local["slug_digest"], remote["slug_digest"]);
    assert_eq!(local["uploaded_blobs"], 0, "the platform had every blob: {local}");
    assert_eq!(server.get("local", "/").await.0, 200);
}

#[tokio::test]
async fn an_external_buildpack_builds_its_own_way() {
    let buildpack = Project::new([
        ("bin/detect", "#!/bin/sh\ntest -f \"$1/hello.txt\" && echo Greeting\n"),
        (
            "bin/compile",
            "#!/bin/sh\nset -e\necho '-----> Copying a component'\ncp \"$(dirname \"$0\")/../app.wasm\" \"$1/out.wasm\"\n",
        ),
        (
            "bin/release",
            "#!/bin/sh\nprintf -- '---\\ndefault_process_types:\\n  web: out.wasm\\n'\n",
        ),
    ]);
    let server =
        Server::start_with(&["--buildpack-dir", buildpack.path().to_str().unwrap()], &[]).await;
    for script in ["detect", "compile", "release"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = buildpack.path().join("bin").join(script);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::copy(example("component-hello").join("app.wasm"), buildpack.path().join("app.wasm"))
        .unwrap();
    let project = Project::new([("hello.txt", "hello")]);
    server.run(&["create", "external"]).await.ok();
    let variable = format!("BUILDPACK_URL={}", buildpack.path().display());
    server.run(&["config:set", &variable, "-a", "external"]).await.ok();
    let directory = project.path().to_str().unwrap();
    let run = server.run(&["deploy", directory, "-a", "external"]).await.ok();
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("-----> Greeting app detected"), "{said}");
    assert!(said.contains("-----> Copying a component"), "{said}");
    assert_eq!(server.get("external", "/").await.0, 200);
}
