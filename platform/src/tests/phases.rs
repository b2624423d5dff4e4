use serde_json::{Value, json};
use wpaas_slug::Limits;

use super::harness::{Api, Reply, Server};

/// A build whose release has a release phase.
async fn start(server: &Server, content: &str) -> Reply {
    server.api.start_build("demo", &[("app.wasm", content)]).await
}

async fn release(api: &Api, version: u64) -> Value {
    api.get(&format!("/apps/demo/releases/{version}"), "release").await
}

/// Waits until a release phase runs.
async fn running(server: &Server, count: usize) {
    while server.node.ran.lock().len() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_release_goes_live_when_its_phase_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.deploy("demo", "one").await;
    let build = start(&server, "migrates").await;
    running(&server, 1).await;
    let ran = server.node.ran.lock()[0].clone();
    assert_eq!((ran.release, ran.shown.as_str()), (Some(3), "migrate.wasm --all"));
    assert_eq!(ran.command, ["release"]);
    let pending = release(api, 3).await;
    assert_eq!((&pending["status"], &pending["current"]), (&json!("pending"), &json!(false)));
    assert_eq!(pending["eligible_for_rollback"], false);
    assert_eq!(release(api, 2).await["current"], true);
    assert_eq!(server.node.versions(id), [2]);
    assert_eq!(
        server.platform.snapshot().await.unwrap().apps[0].release.as_ref().unwrap().version,
        2
    );

    // No other release meanwhile, but everything else.
    let message = api.refused("PATCH", "/apps/demo/config-vars", json!({"A": "1"}), 409).await;
    assert!(message.contains("v3 is running"), "{message}");
    let scale = json!({"updates": [{"type": "web", "quantity": "1..3"}]});
    api.call("PATCH", "/apps/demo/formation", Some(scale), (200, "[formation]")).await;
    let scale = json!({"updates": [{"type": "worker", "quantity": "+1"}]});
    api.call("PATCH", "/apps/demo/formation", Some(scale), (200, "[formation]")).await;

    server.node.ends.add_permits(1);
    let output = api.output(&build).await;
    assert!(output.contains("Running release v3 command...\nhello\nbye\n"), "{output}");
    assert!(output.contains("Released v3"), "{output}");
    let live = release(api, 3).await;
    assert_eq!((&live["status"], &live["current"]), (&json!("succeeded"), &json!(true)));
    let url = live["output_stream_url"].as_str().unwrap();
    let kept = api.request("GET", url).send().await.unwrap().text().await.unwrap();
    assert_eq!(kept, "hello\nbye\n");
    assert_eq!(server.node.versions(id), [2, 3]);
    let spec = server.node.app(id).unwrap();
    assert_eq!((spec.formation["web"].min, spec.formation["worker"].max), (1, 1));
    assert_eq!(api.verification("demo").await["valid"], true);
    let scale = json!({"updates": [{"type": "release", "quantity": 1}]});
    api.refused("PATCH", "/apps/demo/formation", scale, 422).await;
}

#[tokio::test]
async fn a_failing_phase_leaves_the_release_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    server.node.ends.add_permits(1);
    let build = start(&server, "migrates").await;
    assert!(api.output(&build).await.contains("Released v2"));
    server.node.ends.add_permits(1);
    *server.node.status.lock() = 1;
    let changed = api.set("demo", json!({"A": "1"})).await;
    assert_eq!(changed, json!({"A": "1"}), "that is what v3 is to have");
    let failed = loop {
        let failed = release(api, 3).await;
        if failed["status"] != "pending" {
            break failed;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&failed["status"], &failed["current"]), (&json!("failed"), &json!(false)));
    let url = failed["output_stream_url"].as_str().unwrap();
    let kept = api.request("GET", url).send().await.unwrap().text().await.unwrap();
    assert!(
        kept.ends_with("bye\n !     Release command failed: it exited with status 1\n"),
        "{kept}"
    );
    assert_eq!(api.get("/apps/demo/config-vars", "config-vars").await, json!({}));
    assert_eq!(server.node.versions(id), [2]);
    let message = api.refused("POST", "/apps/demo/releases", json!({"release": 3}), 422).await;
    assert!(message.contains("never live"), "{message}");

    // A build that fails in its phase says so in its output, and its number is used up.
    server.node.ends.add_permits(1);
    let build = start(&server, "migrates again").await;
    let output = api.output(&build).await;
    assert!(output.ends_with("status 1\n !     Release v4 failed\n"), "{output}");
    *server.node.status.lock() = 0;
    server.node.ends.add_permits(1);
    // Rollbacks and releases by the API have one, too.
    let back =
        api.call("POST", "/apps/demo/releases", Some(json!({"release": 2})), (201, "release"));
    let back = back.await;
    assert_eq!((&back.body["version"], back.text("status")), (&json!(5), "pending".to_owned()));
    let url = back.text("output_stream_url");
    let streamed = api.request("GET", &url).send().await.unwrap().text().await.unwrap();
    assert_eq!(streamed, "hello\nbye\n");
    while release(api, 5).await["current"] == false {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.node.versions(id), [2, 5]);
    let log = api.log("demo").await.join("\n");
    for line in ["Running release v4 commands by user", "Release v4 command failed"] {
        assert!(log.contains(line), "{log}");
    }
    assert_eq!(api.verification("demo").await["valid"], true);

    // Whoever writes another outcome into the database is found out.
    server.tamper("UPDATE release_phases SET status = 'succeeded' WHERE version = 4").await;
    let found = api.verification("demo").await;
    assert!(found["error"]["reason"].as_str().unwrap().contains("phase of v4"), "{found}");
    server.tamper("UPDATE release_phases SET status = 'failed' WHERE version = 4").await;
    server.tamper("DELETE FROM release_phases WHERE version = 3").await;
    assert_eq!(api.verification("demo").await["valid"], false);

    // Deleting the app removes everything of its phases.
    api.call("DELETE", "/apps/demo", None, (200, "app")).await;
    let kept = std::fs::read_dir(directory.path().join("data/releases")).unwrap().count();
    assert_eq!(kept, 1, "only that of v3, which was tampered away");
}

#[tokio::test]
async fn a_phase_that_the_platforms_end_cut_short_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    api.deploy("demo", "one").await;
    // As a process that is killed leaves it: nobody wrote down how it ended.
    start(&server, "migrates").await;
    running(&server, 1).await;
    server.platform.inner.fail_interrupted_phases().await.unwrap();
    let failed = release(api, 3).await;
    assert_eq!(failed["status"], "failed");
    let log = std::fs::read_dir(directory.path().join("data/releases")).unwrap().next();
    let log = std::fs::read_to_string(log.unwrap().unwrap().path()).unwrap();
    assert!(log.ends_with("Release command interrupted: the platform stopped\n"), "{log}");
    assert_eq!(release(api, 2).await["current"], true);
    assert_eq!(api.verification("demo").await["valid"], true);
}

#[tokio::test]
async fn a_platform_that_stops_fails_the_phases_that_run() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    let build = start(&server, "migrates").await;
    running(&server, 1).await;
    server.platform.begin_shutdown();
    while release(api, 2).await["status"] == "pending" {
        tokio::task::yield_now().await;
    }
    assert_eq!(release(api, 2).await["status"], "failed");
    let path = format!("/apps/demo/builds/{}", build.text("id"));
    assert_eq!(api.get(&path, "build").await["status"], "succeeded");
    assert_eq!(api.verification("demo").await["valid"], true);
}

#[tokio::test]
async fn what_a_phase_prints_and_how_long_it_may_run_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { release_output_bytes: 8, release_phase_ms: 1_234, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    api.create("demo").await;
    let build = start(&server, "migrates").await;
    running(&server, 1).await;
    // The node ends it then (R12); it is told when.
    assert_eq!(server.node.ran.lock()[0].longest, std::time::Duration::from_millis(1_234));
    server.node.ends.add_permits(1);
    let output = api.output(&build).await;
    assert!(output.contains("Released v2"), "what is not kept does not stop it: {output}");
    let live = release(api, 2).await;
    let url = live["output_stream_url"].as_str().unwrap();
    let kept = api.request("GET", url).send().await.unwrap().text().await.unwrap();
    assert!(kept.starts_with("hello\n") && !kept.contains("bye"), "{kept}");
}
