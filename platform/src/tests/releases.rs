use serde_json::json;
use wpaas_slug::Digest;

use super::{fakes, harness::Server};

#[tokio::test]
async fn rollback_brings_code_and_config_back_together() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.set("demo", json!({"A": "1"})).await;
    api.deploy("demo", "one").await;
    api.set("demo", json!({"A": "2"})).await;
    api.deploy("demo", "two").await;
    let third = api.get("/apps/demo/releases/3", "release").await;

    let path = "/apps/demo/releases";
    let body = json!({"release": third["id"]});
    let back = api.call("POST", path, Some(body), (201, "release")).await;
    assert_eq!(back.body["description"], "Rollback to v3");
    assert_eq!((&back.body["version"], &back.body["current"]), (&json!(6), &json!(true)));
    assert_eq!(back.body["slug"], third["slug"]);
    let release = server.node.app(id).unwrap().release.clone().unwrap();
    assert_eq!(release.slug, fakes::slug(b"one", None).digest);
    assert_eq!(json!(release.config), json!({"A": "1"}));
    let extended = api.extended("/apps/demo/releases/v6").await;
    assert_eq!(extended["rollback_of"], 3);
    let before = api.extended("/apps/demo/releases/5").await;
    assert_eq!(extended["previous_hash"], before["hash"]);

    for version in [json!(5), json!("v5")] {
        api.call("POST", path, Some(json!({"release": version})), (201, "release")).await;
        let release = server.node.app(id).unwrap().release.clone().unwrap();
        assert_eq!(release.slug, fakes::slug(b"two", None).digest);
    }
    let message = api.refused("POST", path, json!({"release": 1}), 422).await;
    assert!(message.contains("v1"), "{message}");
    api.refused("POST", path, json!({"release": 99}), 404).await;
    api.refused("POST", path, json!({}), 422).await;
    let log = api.log("demo").await.join("\n");
    assert!(log.contains("Rollback to v3 by user"), "{log}");
    assert_eq!(api.verification("demo").await["valid"], true);
}

#[tokio::test]
async fn what_the_node_refuses_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.deploy("demo", "one").await;
    *server.node.refuse_prepare.lock() = true;
    let message = api.refused("PATCH", "/apps/demo/config-vars", json!({"A": "1"}), 422).await;
    assert_eq!(message, "the component has no start");
    let (output, build) = api.build("demo", &[("app.wasm", "two")]).await;
    assert_eq!(build["status"], "failed");
    assert!(
        output.contains(" !     the component has no start\n !     Build failed\n"),
        "{output}"
    );
    assert_eq!(server.node.versions(id), [2]);
    assert_eq!(api.get("/apps/demo/releases", "[release]").await.as_array().unwrap().len(), 2);
    *server.node.refuse_prepare.lock() = false;
    api.deploy("demo", "two").await;
    assert_eq!(server.node.versions(id), [2, 3]);
}

#[tokio::test]
async fn a_node_that_does_not_follow_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.deploy("demo", "one").await;
    *server.node.refuse_apply.lock() = true;
    let body = Some(json!({"A": "1"}));
    let reply = api.call("PATCH", "/apps/demo/config-vars", body, (502, "error")).await;
    assert!(reply.text("message").contains("recorded"), "{:?}", reply.body);
    *server.node.refuse_apply.lock() = false;
    // It is in the ledger, and so in the snapshot that a node starts with.
    let snapshot = server.platform.snapshot().await.unwrap();
    assert_eq!(snapshot.apps[0].release.as_ref().unwrap().version, 3);
    api.set("demo", json!({"A": "2"})).await;
    assert_eq!(server.node.versions(id), [2, 4]);
}

#[tokio::test]
async fn the_snapshot_is_what_the_node_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.create("empty").await;
    let (_, build) = api.build("demo", &[("app.wasm", "one"), ("stack", "")]).await;
    assert_eq!(build["stack"], "node-20");
    api.set("demo", json!({"A": "1"})).await;
    let body = json!({"hostname": "www.example.org"});
    api.call("POST", "/apps/demo/domains", Some(body), (201, "domain")).await;
    let snapshot = server.platform.snapshot().await.unwrap();
    assert_eq!(snapshot.apps.len(), 2);
    for app in &snapshot.apps {
        assert_eq!(Some(app), server.node.app(app.id).as_ref());
    }
    assert_eq!(snapshot.stacks, [("node-20".to_owned(), Digest::of(b"node-20"))].into());
    let changes = server.node.changes.lock();
    let stack =
        changes.iter().position(|change| matches!(change, wpaas_slug::feed::Change::Stack { .. }));
    let first = changes.iter().position(
        |change| matches!(change, wpaas_slug::feed::Change::App(spec) if spec.id == id && spec.release.is_some()),
    );
    assert!(stack.unwrap() < first.unwrap(), "the stack comes before the app that needs it");
    assert!(snapshot.revision >= 5);
}

#[tokio::test]
async fn a_tampered_release_is_not_served_and_does_not_stop_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    for app in ["demo", "other"] {
        api.create(app).await;
        api.set(app, json!({"NAME": app})).await;
        api.deploy(app, "one").await;
    }
    server
        .tamper("UPDATE config_sets SET vars = '{\"NAME\":\"evil\"}' WHERE vars LIKE '%demo%'")
        .await;
    let snapshot = server.platform.snapshot().await.unwrap();
    let release = |name: &str| {
        snapshot
            .apps
            .iter()
            .find(|app| app.name == name)
            .unwrap()
            .release
            .as_ref()
            .map(|one| one.version)
    };
    assert_eq!((release("demo"), release("other")), (None, Some(3)));
    let reply = api.call("GET", "/apps/demo/config-vars", None, (500, "error")).await;
    assert_eq!(reply.text("id"), "damaged_data");

    // A damaged app can be seen and deleted.
    for app in ["demo", "other"] {
        server.tamper("UPDATE ledger SET payload = '{}' WHERE version = 3").await;
        api.get("/apps", "[app]").await;
        api.call("DELETE", &format!("/apps/{app}"), None, (200, "app")).await;
    }
    assert!(server.node.apps().is_empty());
}
