use futures::future::join_all;
use serde_json::json;

use super::harness::Server;

#[tokio::test]
async fn a_change_is_a_release_that_the_node_has() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    assert_eq!(
        api.set("demo", json!({"A": "1", "B": "x=\"ü\"\n"})).await,
        json!({"A": "1", "B": "x=\"ü\"\n"})
    );
    api.deploy("demo", "one").await;
    let vars = api.set("demo", json!({"A": null, "C": 3, "D": true})).await;
    assert_eq!(vars, json!({"B": "x=\"ü\"\n", "C": "3", "D": "true"}));
    let release = server.node.app(id).unwrap().release.clone().unwrap();
    assert_eq!(release.version, 4);
    assert_eq!(json!(release.config), vars);
    assert_eq!(api.get("/apps/demo/config-vars", "config-vars").await, vars);
    // The release of the deploy still has its own.
    let of_v3 = api.get("/apps/demo/releases/3/config-vars", "config-vars").await;
    assert_eq!(of_v3, json!({"A": "1", "B": "x=\"ü\"\n"}));
    let releases = api.get("/apps/demo/releases", "[release]").await;
    let described: Vec<_> = releases
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["description"].as_str().unwrap())
        .collect();
    assert_eq!(
        described,
        [
            "Initial release",
            "Set A, B config vars",
            "Deploy 1a2b3c4d",
            "Set C, D and remove A config vars"
        ]
    );
    assert_eq!(releases[3]["slug"], releases[2]["slug"], "no build");

    // Nothing changes, nothing happens.
    api.set("demo", json!({"C": "3", "GONE": null})).await;
    assert_eq!(server.node.versions(id), [3, 4]);
    let log = api.log("demo").await.join("\n");
    assert!(log.contains("app[api]: Set A, B config vars by user"), "{log}");
    assert!(log.contains("app[api]: Release v4 created by user"), "{log}");
    assert!(!log.contains("v5"), "{log}");
}

#[tokio::test]
async fn limits_and_rules() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    let path = "/apps/demo/config-vars";
    let message = api.refused("PATCH", path, json!({"A": "x".repeat(65_536)}), 422).await;
    assert!(message.contains("65536"), "{message}");
    api.set("demo", json!({"A": "x".repeat(65_535)})).await;
    for name in ["", "1A", "A-B", "__A", "HEROKU_X"] {
        api.refused("PATCH", path, json!({name: "1"}), 422).await;
    }
    api.refused("PATCH", path, json!({"A": {}}), 422).await;
    api.refused("PATCH", path, json!({"A": "\u{0}"}), 422).await;
    api.refused("PATCH", path, json!(["A"]), 422).await;
    let releases = api.get("/apps/demo/releases", "[release]").await;
    assert_eq!(releases.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_are_serialised() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.deploy("demo", "one").await;
    join_all((0..30).map(|n| api.set("demo", json!({format!("V{n}"): "1"})))).await;
    let vars = api.get("/apps/demo/config-vars", "config-vars").await;
    assert_eq!(vars.as_object().unwrap().len(), 30, "no change is lost");
    let expected: Vec<u64> = (2..=32).collect();
    assert_eq!(server.node.versions(id), expected, "the feed has the ledger's order");
    let release = server.node.app(id).unwrap().release.clone().unwrap();
    assert_eq!(json!(release.config), vars);
    assert_eq!(
        api.verification("demo").await,
        json!({"valid": true, "entries": 33, "error": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_apps_change_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    // More than there are connections to the database.
    let names: Vec<String> = (0..24).map(|n| format!("app-{n}")).collect();
    join_all(names.iter().map(|name| api.create(name))).await;
    join_all(names.iter().map(|name| api.set(name, json!({"A": name})))).await;
    join_all(names.iter().map(|name| api.deploy(name, name))).await;
    for name in &names {
        assert_eq!(api.verification(name).await["valid"], true);
    }
    assert_eq!(server.platform.snapshot().await.unwrap().apps.len(), 24);
}
