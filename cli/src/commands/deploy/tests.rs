use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::*;
use crate::{
    commands::{apps, releases, testing::context},
    exit,
    testing::{Answer, Seen, Server},
};

const BUILD: &str = "00000000-0000-0000-0000-0000000000b1";
const RELEASE: &str = "00000000-0000-0000-0000-000000000001";

fn args(app: Option<&str>, dir: &str, json: bool) -> Args {
    let target = Target { app: app.map(str::to_owned), ..crate::commands::testing::target() };
    Args { dir: dir.into(), local: false, json, target }
}

/// A platform whose builds end with `status`, and that has an app `taken` of somebody else.
async fn platform(status: &'static str) -> Server {
    let exists = Arc::new(AtomicBool::new(false));
    Server::start(move |seen| answer(seen, status, &exists)).await
}

fn answer(seen: &Seen, status: &'static str, exists: &AtomicBool) -> Answer {
    let missing =
        || Answer::json(404, json!({"id": "not_found", "message": "Couldn't find that app."}));
    let build = |status: &str| {
        let done = status == "succeeded";
        json!({
            "id": BUILD, "status": status, "output_stream_url": "/output/1",
            "release": done.then(|| json!({"id": RELEASE})), "slug": null,
            "slug_digest": null, "uploaded_blobs": 4, "steps": [{"name": "npm ci", "ms": 12}]
        })
    };
    let last = match status {
        "failed" => " !     No language found\n !     Build failed\n",
        // Recorded, and the node did not take it: a success for the platform, not for the user.
        "refused" => " !     The node did not take it\n",
        _ => "       Released v1\n       http://x.localhost:8080/ deployed to wpaas\n",
    };
    let status = if status == "refused" { "succeeded" } else { status };
    let (method, path) = seen.line.split_once(' ').unwrap();
    let path: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method, path.as_slice()) {
        ("GET", ["account"]) => Answer::json(200, json!({"email": "me@example.org"})),
        ("POST", ["apps"]) => match seen.json()["name"].as_str() {
            Some("taken") => {
                let message = "Name taken is already taken";
                Answer::json(422, json!({"id": "invalid_params", "message": message}))
            }
            name => {
                exists.store(true, Ordering::SeqCst);
                Answer::json(201, apps::sample(name.unwrap_or("calm-river-7")))
            }
        },
        ("GET", ["apps", name]) if exists.load(Ordering::SeqCst) => {
            Answer::json(200, apps::sample(name))
        }
        ("GET", ["apps", _]) => missing(),
        ("DELETE", ["apps", _]) => {
            exists.store(false, Ordering::SeqCst);
            Answer::json(200, json!({}))
        }
        ("POST", ["apps", _, "sources"]) => Answer::json(
            201,
            json!({"source_blob": {"get_url": "http://platform/s/1", "put_url": "/sources/1"}}),
        ),
        ("PUT", ["sources", "1"]) => Answer::empty(200),
        ("POST", ["apps", _, "builds"]) => Answer::json(201, build("pending")),
        ("GET", ["output", "1"]) => Answer::text(200, &format!("-----> Building\n\0\0{last}")),
        ("GET", ["apps", _, "builds", BUILD]) => Answer::json(200, build(status)),
        ("GET", ["apps", _, "releases", RELEASE]) => Answer::json(200, releases::sample(1, true)),
        other => panic!("{other:?}"),
    }
}

fn project(parent: &Path, name: &str) -> PathBuf {
    let directory = parent.join(name);
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("Procfile"), "web: app.wasm\n").unwrap();
    directory
}

#[tokio::test]
async fn a_first_deploy_creates_the_app_and_the_next_one_finds_it() {
    let server = platform("succeeded").await;
    let (context, streams, parent) = context(&server);
    let directory = project(parent.path(), "my-project");
    run(&context, &args(None, "my-project", false)).await.unwrap();
    let expected = "-----> Building\n       Released v1\n       \
                    http://x.localhost:8080/ deployed to wpaas\n";
    assert_eq!(streams.out(), expected, "what the platform announces is not said twice");
    let remembered = app_context::recall(&directory).unwrap().unwrap();
    assert_eq!(remembered.app, "my-project");
    let build = server.seen().into_iter().find(|seen| seen.line.ends_with("/builds")).unwrap();
    assert_eq!(build.json(), json!({"source_blob": {"url": "http://platform/s/1"}}));
    let upload = server.seen().into_iter().find(|seen| seen.line.starts_with("PUT")).unwrap();
    assert_ne!(upload.header("content-length"), "0");

    run(&context, &args(None, "my-project", false)).await.unwrap();
    let created = server.lines().into_iter().filter(|line| line == "POST /apps").count();
    assert_eq!(created, 1);
    assert!(server.lines().contains(&"GET /apps/my-project".to_owned()));
}

#[tokio::test]
async fn json_has_standard_output_for_itself() {
    let server = platform("succeeded").await;
    let (context, streams, parent) = context(&server);
    project(parent.path(), "demo");
    run(&context, &args(None, "demo", true)).await.unwrap();
    let value: Value = serde_json::from_str(&streams.out()).unwrap();
    assert_eq!((&value["app"], &value["release"]), (&json!("demo"), &json!("v1")));
    assert_eq!(value["url"], "http://demo.localhost:8080/");
    assert_eq!(value["uploaded_blobs"], 4);
    let names: Vec<_> =
        value["steps"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["check", "pack", "create", "upload", "build"]);
    assert!(streams.err().contains("-----> Building\n       Released"), "{}", streams.err());
}

#[tokio::test]
async fn a_failed_build_leaves_nothing_of_a_first_deploy() {
    let server = platform("failed").await;
    let (context, streams, parent) = context(&server);
    let directory = project(parent.path(), "demo");
    let error = run(&context, &args(None, "demo", false)).await.unwrap_err();
    assert_eq!(error.to_string(), "the build failed: No language found");
    assert_eq!(exit::code(&error), exit::FAILED);
    assert_eq!(server.lines().last().unwrap(), "DELETE /apps/demo");
    assert_eq!(app_context::recall(&directory).unwrap(), None);
    assert!(streams.out().starts_with("-----> Building\n !     No language"), "{}", streams.out());
    assert!(!streams.err().contains("may go on"), "{}", streams.err());
}

#[tokio::test]
async fn a_failed_build_of_an_app_that_was_there_keeps_it() {
    let server = platform("failed").await;
    let (context, _streams, parent) = context(&server);
    project(parent.path(), "demo");
    context.client.post(&["apps"], &json!({"name": "demo"})).await.unwrap();
    assert!(run(&context, &args(Some("demo"), "demo", false)).await.is_err());
    assert!(!server.lines().iter().any(|line| line.starts_with("DELETE")));
}

#[tokio::test]
async fn a_release_that_the_node_refuses_is_a_failure_and_stays_on_record() {
    let server = platform("refused").await;
    let (context, _streams, parent) = context(&server);
    let directory = project(parent.path(), "demo");
    let error = run(&context, &args(None, "demo", false)).await.unwrap_err();
    assert_eq!(error.to_string(), "v1 is recorded and not live: The node did not take it");
    assert_eq!(exit::code(&error), exit::FAILED);
    assert!(app_context::recall(&directory).unwrap().is_some());
    assert!(!server.lines().iter().any(|line| line.starts_with("DELETE")));
}

#[tokio::test]
async fn a_taken_name_gets_a_random_ending() {
    let server = platform("succeeded").await;
    let (context, _streams, parent) = context(&server);
    let directory = project(parent.path(), "taken");
    run(&context, &args(None, "taken", false)).await.unwrap();
    let name = app_context::recall(&directory).unwrap().unwrap().app;
    assert!(name.starts_with("taken-") && name.len() == "taken-".len() + 5, "{name}");
}

#[tokio::test]
async fn a_named_app_that_is_not_there_is_created_with_that_name() {
    let server = platform("succeeded").await;
    let (context, _streams, parent) = context(&server);
    let directory = project(parent.path(), "demo");
    run(&context, &args(Some("other"), "demo", false)).await.unwrap();
    assert_eq!(app_context::recall(&directory).unwrap().unwrap().app, "other");
}

#[tokio::test]
async fn a_remembered_app_that_is_gone_is_created_again() {
    let server = platform("succeeded").await;
    let (context, streams, parent) = context(&server);
    let directory = project(parent.path(), "demo");
    app_context::remember(&directory, "gone", server.url()).unwrap();
    run(&context, &args(None, "demo", false)).await.unwrap();
    assert_eq!(app_context::recall(&directory).unwrap().unwrap().app, "gone");
    assert!(streams.err().contains("gone is remembered"), "{}", streams.err());
}

#[tokio::test]
async fn a_bad_directory_asks_nothing_and_makes_nothing() {
    let server = platform("succeeded").await;
    let (context, _streams, parent) = context(&server);
    std::fs::write(parent.path().join("file"), "x").unwrap();
    for (dir, expected) in [("nowhere", "No such file"), ("file", "not a directory")] {
        let error = format!("{:#}", run(&context, &args(None, dir, false)).await.unwrap_err());
        assert!(error.contains("cannot deploy") && error.contains(expected), "{error}");
    }
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn a_source_over_the_limit_makes_no_app() {
    let server = platform("succeeded").await;
    let (mut context, _streams, parent) = context(&server);
    project(parent.path(), "demo");
    context.limits.source_bytes = 3;
    let error = run(&context, &args(None, "demo", false)).await.unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
    assert_eq!(server.lines(), ["GET /account"]);
}
