use serde_json::{Value, json};

use super::harness::Server;

fn versions(body: &Value) -> Vec<u64> {
    body.as_array().unwrap().iter().map(|release| release["version"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn releases_come_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    for n in 2..=12 {
        api.set("demo", json!({"N": n})).await;
    }
    let path = "/apps/demo/releases";
    let last = api.ranged(path, "version ..; order=desc,max=1", (206, "[release]")).await;
    assert_eq!(versions(&last.body), [12]);
    assert_eq!(last.body[0]["current"], true);

    for (range, expected) in [
        ("version ..; max=5, order=desc", (1..=12).rev().collect::<Vec<u64>>()),
        ("version ..; max=5", (1..=12).collect()),
        ("id ..; max=5;", (1..=12).collect()),
        ("nonsense ..; max=5", (1..=12).collect()),
        ("", (1..=12).collect()),
        ("version 3..6; max=3", (3..=6).collect()),
        ("version ]3..6", (4..=6).collect()),
        ("version x..y", (1..=12).collect()),
    ] {
        let mut seen = Vec::new();
        let mut range = range.to_owned();
        loop {
            let request = api.ranged(path, &range, (0, "any"));
            let reply = reply_of(request).await;
            seen.extend(versions(&reply.0));
            match reply.1 {
                Some(next) => range = next,
                None => break,
            }
        }
        assert_eq!(seen, expected, "{range}");
    }

    async fn reply_of(
        request: impl Future<Output = super::harness::Reply>,
    ) -> (Value, Option<String>) {
        let reply = request.await;
        let next = reply.header("next-range").map(str::to_owned);
        assert_eq!(reply.status, if next.is_some() { 206 } else { 200 });
        (reply.body, next)
    }
}

#[tokio::test]
async fn apps_and_builds_come_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    for name in ["ccc", "aaa", "bbb"] {
        api.create(name).await;
    }
    let first = api.ranged("/apps", "name ..; max=2", (206, "[app]")).await;
    assert_eq!((&first.body[0]["name"], &first.body[1]["name"]), (&json!("aaa"), &json!("bbb")));
    let next = first.header("next-range").unwrap().to_owned();
    let second = api.ranged("/apps", &next, (200, "[app]")).await;
    assert_eq!(second.body[0]["name"], "ccc");
    assert_eq!(second.header("next-range"), None);

    for n in 0..3 {
        api.deploy("aaa", &n.to_string()).await;
    }
    let newest =
        api.ranged("/apps/aaa/builds", "created_at ..; order=desc, max=2", (206, "[build]")).await;
    let ids: Vec<_> =
        newest.body.as_array().unwrap().iter().map(|one| one["id"].to_string()).collect();
    assert!(ids[0] > ids[1], "newest first: {ids:?}");
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    let first = api.call("GET", "/apps/demo", None, (200, "app")).await;
    let etag = first.header("etag").unwrap().to_owned();
    let token = server.platform.issue_token().await.unwrap().unwrap().token;
    let again =
        || api.request("GET", "/apps/demo").bearer_auth(&token).header("if-none-match", &etag);
    let reply = api.send(again(), (304, "any")).await;
    assert_eq!(reply.body, Value::Null);
    api.call("PATCH", "/apps/demo", Some(json!({"maintenance": true})), (200, "app")).await;
    api.send(again(), (200, "app")).await;
}
