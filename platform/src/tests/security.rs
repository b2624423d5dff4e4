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

    // The app is as it was.
    let vars = server.api.get("/apps/demo/config-vars", "config-vars").await;
    assert_eq!(vars, serde_json::json!({"SECRET": "hidden"}));
}
