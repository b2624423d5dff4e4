//! Every endpoint, as those see it who may not use it.

use super::harness::{Api, Server};
use crate::{api, auth, authorizations};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A path of the router's table with the app that it is about.
fn filled(path: &str) -> String {
    let path = path.replace("{app}", "demo").replace("{repository}", "demo.git");
    let path = path.replace("{type}", "web").replace("{digest}", DIGEST);
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Every method of every path; what each is answered. Methods that a path does not have are as unknown as the path.
async fn walk(api: &Api, paths: &[&str], token: Option<&str>, expected: u16) {
    for path in paths {
        let mut refused = 0;
        for method in METHODS {
            let mut request = api.request(method, &filled(path));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            if status == 404 && text.contains("API endpoint was not found") {
                continue;
            }
            assert_eq!(status, expected, "{method} {path}: {text}");
            assert!(token.is_none_or(|token| !text.contains(token)), "{method} {path}: {text}");
            refused += 1;
        }
        assert!(refused > 0, "{path} has no method");
    }
}

#[tokio::test]
async fn every_endpoint_refuses_those_who_may_not() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    server.api.create("demo").await;
    server.api.set("demo", serde_json::json!({"SECRET": "hidden"})).await;
    let table = api::authenticated();
    let paths: Vec<&str> = table.iter().map(|(path, _)| *path).collect();
    assert!(paths.len() > 40, "{paths:?}");

    walk(&server.api, &paths, None, 401).await;
    walk(&server.api, &paths, Some("nonsense"), 401).await;

    let expired = {
        let mut write = server.platform.inner.db.write().await.unwrap();
        let user = auth::first_user(&mut write).await.unwrap().unwrap();
        let everything = authorizations::Scopes::everything();
        let made = authorizations::create(
            &mut write,
            &user,
            "short",
            &everything,
            Some("2999-01-01T00:00:00Z".into()),
        );
        let (_, token) = made.await.unwrap();
        write.commit().await.unwrap();
        token
    };
    let fresh = server.api.with_token(&expired);
    fresh.get("/account", "account").await;
    let sql = "UPDATE tokens SET expires_at = '2020-01-01T00:00:00Z' WHERE description = 'short'";
    server.tamper(sql).await;
    walk(&server.api, &paths, Some(&expired), 401).await;

    // Of somebody else's app nobody learns that it is there.
    let of_apps: Vec<&str> = paths
        .iter()
        .copied()
        .filter(|path| path.contains("{app}") || path.contains("{repository}"))
        .collect();
    assert!(of_apps.len() > 25, "{of_apps:?}");
    let other = server.other_account().await;
    walk(&server.api, &of_apps, Some(other.token()), 404).await;

    // What needs no token gives nothing away without its own secret.
    for (path, _) in api::unauthenticated() {
        let expected = match path {
            "/" | "/buildpacks/{name}" => continue,
            "/oauth/authorizations" => 401,
            _ => 404,
        };
        for secret in ["x".to_owned(), "0".repeat(64)] {
            let path = path.replace("{token}", &secret);
            for method in METHODS {
                let response = server.api.request(method, &path).send().await.unwrap();
                let status = response.status().as_u16();
                let text = response.text().await.unwrap();
                assert!(status == expected || status == 404, "{method} {path}: {status} {text}");
            }
        }
    }

    // The app is as it was.
    let vars = server.api.get("/apps/demo/config-vars", "config-vars").await;
    assert_eq!(vars, serde_json::json!({"SECRET": "hidden"}));
}

/// Whether a scope of Heroku's lets a method of a path through, said once more, and otherwise, than by the platform.
fn is_in_scope(scope: &str, method: &str, path: &str) -> bool {
    let reads = method == "GET" || path.ends_with("/git-upload-pack");
    let account = path.starts_with("/account") || path == "/users/{user}";
    let protected = ["config-vars", "egress", "releases", "webhook"]
        .iter()
        .any(|name| path.starts_with(&format!("/apps/{{app}}/{name}")));
    match scope {
        "global" => true,
        _ if path.starts_with("/oauth") || (account && !reads) => false,
        _ if account => true,
        "identity" => false,
        "read" => reads && !protected,
        "write" => !protected,
        "read-protected" => reads,
        "write-protected" => true,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_endpoint_asks_for_its_scope() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    for scope in ["identity", "read", "write", "read-protected", "write-protected"] {
        let body = serde_json::json!({"scope": [scope]});
        let made = server.api.call("POST", "/oauth/authorizations", Some(body), (201, "any")).await;
        let token = made.body["access_token"]["token"].as_str().unwrap();
        for (path, _) in api::authenticated() {
            for method in METHODS {
                // Of an app that is not there, so that nothing comes of it.
                let url = filled(path).replace("demo", "absent");
                let request = server.api.request(method, &url).bearer_auth(token);
                let response = request.send().await.unwrap();
                let status = response.status().as_u16();
                let text = response.text().await.unwrap();
                if status == 404 && text.contains("API endpoint was not found") {
                    continue;
                }
                let refused = status == 403 && text.contains("scope");
                let expected = !is_in_scope(scope, method, path);
                assert_eq!(refused, expected, "{scope}: {method} {path}: {status} {text}");
            }
        }
    }
}
