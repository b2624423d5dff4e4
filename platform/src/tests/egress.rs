use serde_json::{Value, json};
use wpaas_slug::Limits;

use super::harness::{Api, Server};

const PATH: &str = "/apps/demo/egress";

async fn change(api: &Api, body: Value) -> Value {
    api.call("PATCH", PATH, Some(body), (200, "any")).await.body
}

fn rule(host: &str, port: u16) -> Value {
    json!({"host": host, "port": port})
}

#[tokio::test]
async fn a_change_is_a_release_that_the_node_has() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    assert_eq!(api.get(PATH, "any").await, json!([]));
    let first = change(api, json!({"allow": [rule("API.Example.com.", 443)]})).await;
    assert_eq!(first, json!([rule("api.example.com", 443)]));
    api.deploy("demo", "one").await;
    api.set("demo", json!({"A": "1"})).await;
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let database = json!({"host": "db.example.com", "port": 5432, "tls": "pgtls", "ca": pem});
    let both = change(api, json!({"allow": [database], "deny": ["api.example.com:443"]})).await;
    assert_eq!(both, json!([database]));
    let spec = server.node.app(id).unwrap();
    assert_eq!(json!(spec.owner), api.get("/account", "account").await["id"]);
    let release = spec.release.clone().unwrap();
    assert_eq!(release.version, 5);
    assert_eq!(json!(release.egress), both);
    assert_eq!(json!(release.config), json!({"A": "1"}), "the config vars stay");
    let prepared = server.node.prepared.lock().last().cloned().unwrap();
    assert_eq!(prepared.release.as_ref().unwrap().egress, release.egress);
    // Earlier releases have their own.
    assert_eq!(api.get("/apps/demo/releases/4/egress", "any").await, first);
    assert_eq!(api.get("/apps/demo/releases/v1/egress", "any").await, json!([]));
    let releases = api.get("/apps/demo/releases", "[release]").await;
    assert_eq!(releases[1]["description"], "Allow egress to api.example.com:443");
    let last = "Allow egress to db.example.com:5432 and deny egress to api.example.com:443";
    assert_eq!(releases[4]["description"], last);

    // Nothing changes, nothing happens.
    change(api, json!({"allow": [database]})).await;
    change(api, json!({})).await;
    assert_eq!(server.node.versions(id), [3, 4, 5]);
    let log = api.log("demo").await.join("\n");
    assert!(log.contains(&format!("app[api]: {last} by user")), "{log}");
    assert_eq!(api.verification("demo").await["valid"], true);
}

#[tokio::test]
async fn rules_belong_to_the_release_that_a_rollback_brings_back() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.deploy("demo", "one").await;
    change(api, json!({"allow": [rule("a.com", 1)]})).await;
    change(api, json!({"allow": [rule("b.com", 2)], "deny": ["a.com:1"]})).await;
    api.deploy("demo", "two").await;
    let rules = |server: &Server| {
        let release = server.node.app(id).unwrap().release.clone().unwrap();
        release.egress.iter().map(|rule| rule.destination()).collect::<Vec<_>>()
    };
    assert_eq!(rules(&server), ["b.com:2"], "a deploy keeps them");
    for (to, expected) in [(3, vec!["a.com:1"]), (2, vec![]), (5, vec!["b.com:2"])] {
        let body = json!({"release": to});
        api.call("POST", "/apps/demo/releases", Some(body), (201, "release")).await;
        assert_eq!(rules(&server), expected);
    }
    // What a starting node is told.
    let snapshot = server.platform.snapshot().await.unwrap();
    let release = snapshot.apps[0].release.as_ref().unwrap();
    assert_eq!(release.egress[0].destination(), "b.com:2");
    let extended = api.extended("/apps/demo/releases/v8").await;
    assert_eq!(
        extended["egress_digest"],
        api.extended("/apps/demo/releases/v4").await["egress_digest"]
    );
}

#[tokio::test]
async fn bad_rules_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { egress_rules: 2, egress_rules_bytes: 280, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    api.create("demo").await;
    for (body, says) in [
        (json!({"allow": [rule("a b", 80)]}), "is not a host name"),
        (json!({"allow": [rule("http://a", 80)]}), "is not a host name"),
        (json!({"allow": [rule("a", 0)]}), "is not a port"),
        (json!({"allow": [{"host": "a", "port": 65_536}]}), "Unexpected value"),
        (json!({"allow": [{"host": "a", "port": 1, "tls": "ssl"}]}), "Unexpected value"),
        (json!({"allow": "a:1"}), "Unexpected value"),
        (json!({"open": []}), "Unexpected value"),
        (json!({"allow": [rule("web.internal", 80)]}), "needs no rule"),
        (json!({"allow": [{"host": "a", "port": 1, "ca": "x"}]}), "certificates in PEM"),
        (json!({"allow": [rule("10.0.0.7", 80)]}), "10.0.0.7 is private"),
        (json!({"allow": [rule("a", 1), rule("b", 1), rule("c", 1)]}), "the limit of 2"),
        (
            json!({"allow": [rule(&format!("{0}.{0}.{0}.{0}", "a".repeat(61)), 1), rule("b", 1)]}),
            "limit of 280",
        ),
        (json!({"deny": ["a:1"]}), "No egress rule for a:1"),
        (json!({"deny": ["a"]}), "does not name a port"),
    ] {
        let message = api.refused("PATCH", PATH, body.clone(), 422).await;
        assert!(message.contains(says), "{body}: {message}");
    }
    assert_eq!(api.get("/apps/demo/releases", "[release]").await.as_array().unwrap().len(), 1);
    let other = server.other_account().await;
    other.refused("PATCH", PATH, json!({"allow": [rule("a", 1)]}), 404).await;
    other.call("GET", PATH, None, (404, "error")).await;
}

#[tokio::test]
async fn changed_rules_are_never_served() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    api.deploy("demo", "one").await;
    change(api, json!({"allow": [rule("a.com", 1)]})).await;
    server.tamper("UPDATE egress_sets SET rules = replace(rules, 'a.com', 'evil.com')").await;
    let verified = api.verification("demo").await;
    assert_eq!(verified["error"]["entry"], "v3", "{verified}");
    assert!(verified["error"]["reason"].as_str().unwrap().contains("egress rules"), "{verified}");
    let snapshot = server.platform.snapshot().await.unwrap();
    assert!(snapshot.apps[0].release.is_none(), "not with other rules than the ledger's");
    api.call("GET", PATH, None, (500, "error")).await;
    server.tamper("DELETE FROM egress_sets").await;
    let verified = api.verification("demo").await;
    assert!(verified["error"]["reason"].as_str().unwrap().contains("missing"), "{verified}");
}

#[tokio::test]
async fn a_destroyed_app_leaves_no_rules() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    change(api, json!({"allow": [rule("a.com", 1)]})).await;
    api.call("DELETE", "/apps/demo", None, (200, "app")).await;
    let mut db = server.platform.inner.db.read().await.unwrap();
    let left: (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM egress_sets").fetch_one(&mut *db).await.unwrap();
    assert_eq!(left.0, 0);
}
