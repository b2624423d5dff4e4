use serde_json::{Value, json};

use super::*;
use crate::tests::harness::Server;

/// An app with every kind of entry: created, v1, v2 (config), v3 (deploy), scaled, domain added, v4 (config),
/// maintenance, renamed.
async fn server(directory: &std::path::Path) -> Server {
    let server = Server::start(directory).await;
    let api = &server.api;
    api.create("first").await;
    api.set("first", json!({"A": "1"})).await;
    api.deploy("first", "one").await;
    let scale = json!({"updates": [{"type": "web", "quantity": "1..3"}]});
    api.call("PATCH", "/apps/first/formation", Some(scale), (200, "[formation]")).await;
    let domain = json!({"hostname": "www.example.org"});
    api.call("POST", "/apps/first/domains", Some(domain), (201, "domain")).await;
    api.set("first", json!({"A": "2"})).await;
    api.call("PATCH", "/apps/first", Some(json!({"maintenance": true})), (200, "app")).await;
    api.call("PATCH", "/apps/first", Some(json!({"name": "demo"})), (200, "app")).await;
    server
}

#[tokio::test]
async fn an_untouched_ledger_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path()).await;
    let verified = server.api.verification("demo").await;
    assert_eq!(verified, json!({"valid": true, "entries": 9, "error": null}));
}

#[tokio::test]
async fn tampering_is_noticed_and_named() {
    for (sql, entry) in [
        // Any field of an entry.
        ("UPDATE ledger SET payload = replace(payload, 'Set A', 'Set B') WHERE version = 4", "v4"),
        ("UPDATE ledger SET payload = payload || ' ' WHERE version = 4", "v4"),
        ("UPDATE ledger SET actor_email = 'nobody@example.org' WHERE version = 2", "v2"),
        (
            "UPDATE ledger SET created_at = '2020-01-01T00:00:00.000000Z' WHERE seq = 5",
            "entry 5 (scaled)",
        ),
        ("UPDATE ledger SET kind = 'maintenance' WHERE version = 2", "entry 3 (maintenance)"),
        ("UPDATE ledger SET version = 40 WHERE version = 4", "v40"),
        ("UPDATE ledger SET hash = 'x' WHERE seq = 6", "entry 6 (domain added)"),
        ("UPDATE ledger SET prev_hash = 'x' WHERE seq = 6", "entry 6 (domain added)"),
        // Entries that are gone.
        ("DELETE FROM ledger WHERE seq = 9", "entry 9"),
        ("DELETE FROM ledger WHERE version = 3", "entry 4"),
        ("DELETE FROM ledger WHERE seq = 1", "entry 1"),
        ("DELETE FROM ledger", "entry 1"),
        // The head.
        ("UPDATE apps SET head_hash = 'x'", "entry 9 (renamed)"),
        ("UPDATE apps SET head_seq = 8", "entry 9 (renamed)"),
        ("UPDATE apps SET head_seq = 10", "entry 10"),
        // What releases name.
        ("UPDATE config_sets SET vars = '{\"A\":\"9\"}' WHERE vars = '{\"A\":\"1\"}'", "v2"),
        ("DELETE FROM config_sets WHERE vars = '{\"A\":\"2\"}'", "v4"),
        ("UPDATE slugs SET digest = replace(digest, 'sha256:', 'sha256:0')", "v3"),
        ("DELETE FROM slugs", "v3"),
        // What the app's tables say.
        ("UPDATE apps SET name = 'other'", "entry 9 (renamed)"),
        ("UPDATE apps SET maintenance = 0", "entry 8 (maintenance)"),
        ("UPDATE domains SET hostname = 'evil.example.org'", "entry 6 (domain added)"),
        ("DELETE FROM domains", "entry 6 (domain added)"),
        ("UPDATE formation SET max = 99", "entry 5 (scaled)"),
        ("DELETE FROM formation", "entry 5 (scaled)"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let server = server(directory.path()).await;
        let app = server.api.get("/apps/demo", "app").await["id"].as_str().unwrap().to_owned();
        server.tamper(sql).await;
        let verified = server.api.verification(&app).await;
        assert_eq!(verified["valid"], false, "{sql}");
        assert_eq!(verified["error"]["entry"], entry, "{sql}: {verified:#}");
        assert!(verified["error"]["reason"].as_str().unwrap().len() > 10, "{sql}");
    }
}

#[tokio::test]
async fn swapped_entries_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path()).await;
    for sql in [
        "UPDATE ledger SET seq = -5 WHERE seq = 5",
        "UPDATE ledger SET seq = 5 WHERE seq = 6",
        "UPDATE ledger SET seq = 6 WHERE seq = -5",
    ] {
        server.tamper(sql).await;
    }
    let verified = server.api.verification("demo").await;
    assert_eq!(verified["error"]["entry"], "entry 5 (domain added)");
}

#[tokio::test]
async fn an_entry_rewritten_with_its_hash_breaks_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path()).await;
    let mut write = server.platform.inner.db.write().await.unwrap();
    let sql = format!("SELECT {COLUMNS} FROM ledger WHERE seq = 5");
    let mut entry: Entry =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    entry.payload = entry.payload.replace('3', "4");
    let hash = entry.expected_hash();
    server
        .tamper(&format!(
            "UPDATE ledger SET payload = '{}', hash = '{hash}' WHERE seq = 5",
            entry.payload
        ))
        .await;
    let verified = server.api.verification("demo").await;
    assert_eq!(verified["error"]["entry"], "entry 6 (domain added)");
}

#[test]
fn hashes_do_not_depend_on_the_machine() {
    // A fixed value: a change of the hash's input would make every existing ledger look tampered with.
    let entry = Entry {
        app_id: "a".into(),
        seq: 2,
        id: "i".into(),
        version: Some(1),
        kind: "release".into(),
        actor_id: "u".into(),
        actor_email: "u@example.org".into(),
        created_at: "2026-11-21T00:00:00.000000Z".into(),
        payload: "{}".into(),
        prev_hash: GENESIS.into(),
        hash: String::new(),
    };
    let input = format!(
        "{GENESIS}[\"u@example.org\",\"u\",\"a\",\"2026-11-21T00:00:00.000000Z\",\"i\",\"release\",\"{{}}\",2,1]"
    );
    assert_eq!(entry.expected_hash(), auth_digest(&input));
}

fn auth_digest(text: &str) -> String {
    crate::auth::digest(text)
}

#[test]
fn events_read_back_as_they_were_written() {
    let release = ReleaseEvent {
        egress: None,
        config: Digest::of(b"{}"),
        description: "Rollback to v3".into(),
        rollback_of: Some(3),
        phase: false,
        slug: Some(SlugRef { digest: Digest::of(b"x"), id: Uuid::nil() }),
    };
    let scale = Scale { min: 0, max: 20 };
    for event in [
        Event::Created { name: "demo".into() },
        Event::Release(release),
        Event::Scaled { formation: [("web".to_owned(), scale)].into() },
        Event::DomainAdded { hostname: "a.b".into() },
        Event::DomainRemoved { hostname: "a.b".into() },
        Event::DrainAdded { token: "d.1".into(), to: "syslog://a:1".into() },
        Event::DrainRemoved { token: "d.1".into() },
        Event::WebhookAdded { id: Uuid::nil(), to: "https://a:443".into() },
        Event::WebhookChanged { id: Uuid::nil(), to: "https://a:443".into() },
        Event::WebhookRemoved { id: Uuid::nil() },
        Event::Maintenance { on: true },
        Event::Renamed { to: "x".into() },
    ] {
        let (kind, payload) = event.parts().unwrap();
        let payload: Value = serde_json::from_str(&payload).unwrap();
        let back: Event =
            serde_json::from_value(json!({"kind": kind, "payload": payload})).unwrap();
        assert_eq!(back, event);
    }
}
