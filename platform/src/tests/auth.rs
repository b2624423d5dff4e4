use serde_json::json;

use super::harness::Server;

/// Every route that needs a token.
const ROUTES: &[(&str, &str)] = &[
    ("GET", "/account"),
    ("PATCH", "/account"),
    ("GET", "/account/features"),
    ("GET", "/account/keys"),
    ("GET", "/oauth/authorizations"),
    ("POST", "/oauth/authorizations"),
    ("GET", "/oauth/authorizations/x"),
    ("PATCH", "/oauth/authorizations/x"),
    ("DELETE", "/oauth/authorizations/x"),
    ("POST", "/oauth/authorizations/x/actions/regenerate-tokens"),
    ("DELETE", "/oauth/sessions/~"),
    ("GET", "/users/~"),
    ("PATCH", "/users/~"),
    ("GET", "/users/~/apps"),
    ("GET", "/apps"),
    ("POST", "/apps"),
    ("GET", "/regions"),
    ("GET", "/regions/us"),
    ("GET", "/stacks"),
    ("GET", "/stacks/wasm"),
    ("POST", "/sources"),
    ("POST", "/blobs/missing"),
    ("PUT", "/blobs/sha256:0"),
];

/// Every route of an app.
const APP_ROUTES: &[(&str, &str)] = &[
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("GET", "/addons"),
    ("GET", "/sni-endpoints"),
    ("GET", "/features"),
    ("GET", "/collaborators"),
    ("GET", "/config-vars"),
    ("PATCH", "/config-vars"),
    ("GET", "/releases"),
    ("POST", "/releases"),
    ("GET", "/releases/verification"),
    ("GET", "/releases/1"),
    ("GET", "/releases/1/config-vars"),
    ("GET", "/releases/1/egress"),
    ("GET", "/egress"),
    ("PATCH", "/egress"),
    ("GET", "/formation"),
    ("PATCH", "/formation"),
    ("GET", "/formation/web"),
    ("PATCH", "/formation/web"),
    ("DELETE", "/formations/web"),
    ("POST", "/formations/web/actions/stop"),
    ("GET", "/dynos"),
    ("DELETE", "/dynos"),
    ("GET", "/dynos/web.1"),
    ("DELETE", "/dynos/web.1"),
    ("POST", "/dynos/web.1/actions/stop"),
    ("GET", "/domains"),
    ("POST", "/domains"),
    ("GET", "/domains/x"),
    ("DELETE", "/domains/x"),
    ("GET", "/builds"),
    ("POST", "/builds"),
    ("GET", "/builds/x"),
    ("POST", "/sources"),
    ("POST", "/slugs"),
    ("GET", "/slugs/x"),
    ("POST", "/log-sessions"),
    ("GET", "/available-stacks"),
];

#[tokio::test]
async fn everything_needs_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    server.api.create("demo").await;
    let of_app = APP_ROUTES.iter().map(|(method, path)| (*method, format!("/apps/demo{path}")));
    let routes = ROUTES.iter().map(|(method, path)| (*method, (*path).to_owned())).chain(of_app);
    for (method, path) in routes {
        let request = server.api.request(method, &path);
        let none = server.api.send(request.try_clone().unwrap(), (401, "error")).await;
        assert_eq!(none.text("id"), "unauthorized");
        let wrong = request.try_clone().unwrap().bearer_auth("wpaas_wrong");
        server.api.send(wrong, (401, "error")).await;
        server.api.send(request.basic_auth("", Some("wrong")), (401, "error")).await;
    }
    assert_eq!(server.api.get("/apps/demo", "app").await["name"], "demo");
}

#[tokio::test]
async fn another_accounts_app_does_not_exist() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let id = server.api.create("demo").await;
    server.api.deploy("demo", "one").await;
    let other = server.other_account().await;
    for (method, path) in APP_ROUTES {
        // Bodies that would be accepted of the owner, so that only the ownership can be the reason.
        let body = match *path {
            "/domains" => json!({"hostname": "a.example.org"}),
            "/builds" => json!({"source_blob": {"url": "x"}}),
            _ => json!({}),
        };
        for app in ["demo".to_owned(), id.to_string()] {
            let path = format!("/apps/{app}{path}");
            let body = (*method != "GET").then(|| body.clone());
            let reply = other.call(method, &path, body, (404, "error")).await;
            assert_eq!(reply.text("resource"), "app", "{method} {path}");
        }
    }
    assert_eq!(other.get("/apps", "[app]").await, json!([]));
    assert_eq!(server.api.get("/apps", "[app]").await[0]["name"], "demo");
    other.call("GET", "/users/owner@wpaas.localhost/apps", None, (404, "error")).await;
    // Somebody else's upload cannot be built either.
    let url = server.api.upload(b"x").await;
    other.create("mine").await;
    other.refused("POST", "/apps/mine/builds", json!({"source_blob": {"url": url}}), 422).await;
}

#[tokio::test]
async fn tokens_work_as_bearer_and_basic_until_they_expire() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let token = server.owner.clone().unwrap().token;
    let api = &server.api;
    let account = api.request("GET", "/account");
    api.send(account.try_clone().unwrap().bearer_auth(&token), (200, "account")).await;
    let basic = account.try_clone().unwrap().basic_auth("", Some(&token));
    let reply = api.send(basic, (200, "account")).await;
    assert!(reply.header("ratelimit-remaining").unwrap().parse::<u64>().unwrap() > 0);
    server.tamper("UPDATE tokens SET expires_at = '2020-01-01T00:00:00.000000Z'").await;
    api.send(account.bearer_auth(&token), (401, "error")).await;
    assert_eq!(server.platform.bootstrap().await.unwrap(), None, "only on the first start");
    assert!(!format!("{:?}", server.owner).contains(&token));
}

#[tokio::test]
async fn requests_are_counted_and_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let limits = wpaas_slug::Limits {
        api_requests_per_hour: 2,
        api_body_bytes: 100,
        ..wpaas_slug::Limits::default()
    };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    let reply = api.call("GET", "/account", None, (200, "account")).await;
    assert_eq!(reply.header("ratelimit-remaining"), Some("1"));
    let message = api.refused("POST", "/apps", json!({"name": "x".repeat(200)}), 413).await;
    assert!(message.contains("100 bytes"), "{message}");
    let reply = api.call("GET", "/account", None, (429, "error")).await;
    assert_eq!(reply.text("id"), "rate_limit");
    assert_eq!(reply.header("ratelimit-remaining"), Some("0"));
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    for (method, path) in
        [("GET", "/nope"), ("PUT", "/apps"), ("GET", "/sources/abc"), ("GET", "/logs/x")]
    {
        let reply = api.call(method, path, None, (404, "error")).await;
        assert_eq!(reply.text("id"), "not_found");
    }
    let about = api.send(api.request("GET", "/"), (200, "any")).await;
    assert_eq!(about.text("name"), "wpaas");
    let broken = api
        .request("POST", "/apps")
        .body("{")
        .bearer_auth(server.platform.issue_token().await.unwrap().unwrap().token);
    api.send(broken, (400, "error")).await;
}
