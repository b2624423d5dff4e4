//! Passwords, authorizations and their scopes.

use serde_json::{Value, json};
use wpaas_slug::Limits;

use super::harness::{Reply, Server};

const EMAIL: &str = "owner@wpaas.localhost";
const PASSWORD: &str = "correct horse battery";

async fn set_password(server: &Server) {
    let body = json!({"new_password": PASSWORD});
    server.api.call("PATCH", "/account", Some(body), (200, "account")).await;
}

/// As `heroku login -i` asks.
async fn log_in(server: &Server, email: &str, password: &str, expected: (u16, &str)) -> Reply {
    let body = json!({"scope": ["global"], "description": "Heroku CLI login", "expires_in": 3600});
    let request = server.api.request("POST", "/oauth/authorizations").json(&body);
    server.api.send(request.basic_auth(email, Some(password)), expected).await
}

fn token(authorization: &Value) -> &str {
    authorization["access_token"]["token"].as_str().unwrap()
}

#[tokio::test]
async fn a_password_becomes_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    log_in(&server, EMAIL, PASSWORD, (401, "error")).await;
    set_password(&server).await;
    let made =
        log_in(&server, "Owner@WPAAS.localhost", PASSWORD, (201, "oauth-authorization")).await;
    let left = made.body["access_token"]["expires_in"].as_i64().unwrap();
    assert!((3500..=3600).contains(&left), "{left}");
    let api = server.api.with_token(token(&made.body));
    assert_eq!(api.get("/account", "account").await["email"], EMAIL);
    for (email, password) in [(EMAIL, "wrong"), (EMAIL, ""), ("x@example.org", PASSWORD)] {
        let refused = log_in(&server, email, password, (401, "error")).await;
        assert_eq!(refused.text("id"), "unauthorized");
        assert!(!refused.body.to_string().contains(PASSWORD));
    }
    // A password is no token, and is kept as a hash alone.
    server.api.with_token(PASSWORD).call("GET", "/account", None, (401, "error")).await;
    for entry in walk(directory.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        for secret in [PASSWORD, token(&made.body)] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {}", entry.display());
        }
    }
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    set_password(&server).await;
    let api = &server.api;
    for body in [
        json!({"new_password": "another password"}),
        json!({"password": "wrong", "new_password": "another password"}),
        json!({"password": PASSWORD, "new_password": "short"}),
        json!({"password": PASSWORD, "new_password": "x".repeat(1025)}),
    ] {
        api.refused("PATCH", "/account", body, 422).await;
    }
    let body = json!({"password": PASSWORD, "new_password": "another password"});
    api.call("PATCH", "/users/~", Some(body), (200, "account")).await;
    log_in(&server, EMAIL, PASSWORD, (401, "error")).await;
    log_in(&server, EMAIL, "another password", (201, "oauth-authorization")).await;
}

#[tokio::test]
async fn guessing_is_slowed_and_tokens_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { login_free_guesses: 2, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    set_password(&server).await;
    for email in [EMAIL, "nobody@example.org"] {
        for _ in 0..2 {
            log_in(&server, email, "wrong", (401, "error")).await;
        }
        // The right one neither, or else a guesser would know.
        let refused = log_in(&server, email, PASSWORD, (429, "error")).await;
        assert!(refused.text("message").contains("Try again in"), "{:?}", refused.body);
    }
    server.api.get("/account", "account").await;
}

#[tokio::test]
async fn authorizations_are_listed_described_rotated_and_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let body = json!({"description": "deploys", "scope": ["write-protected"], "expires_in": null});
    let made = api.call("POST", "/oauth/authorizations", Some(body), (201, "oauth-authorization"));
    let made = made.await;
    assert_eq!(made.body["access_token"]["expires_in"], Value::Null);
    let path = format!("/oauth/authorizations/{}", made.text("id"));
    let listed = api.get("/oauth/authorizations", "[oauth-authorization]").await;
    let of = |which: &str| {
        let all = listed.as_array().unwrap();
        all.iter().find(|one| one["description"] == which).unwrap().clone()
    };
    assert_eq!(token(&of("deploys")), "wpaas_hidden");
    let own = token(&of("issued by the operator")).to_owned();
    assert!(own.len() > 64, "the token that asks is shown: {own}");
    let described =
        api.call("PATCH", &path, Some(json!({"description": "ci"})), (200, "oauth-authorization"));
    assert_eq!(described.await.text("description"), "ci");
    let rotate = format!("{path}/actions/regenerate-tokens");
    let rotated = api.call("POST", &rotate, None, (200, "oauth-authorization")).await;
    assert_eq!(rotated.id(), made.id());
    let (old, new) = (token(&made.body).to_owned(), token(&rotated.body).to_owned());
    api.with_token(&old).call("GET", "/apps", None, (401, "error")).await;
    api.with_token(&new).get("/apps", "[app]").await;
    // Nobody else's.
    let other = server.other_account().await;
    for (method, path) in [("GET", &path), ("DELETE", &path), ("POST", &rotate)] {
        other.call(method, path, None, (404, "error")).await;
    }
    api.call("DELETE", &path, None, (200, "oauth-authorization")).await;
    api.with_token(&new).call("GET", "/apps", None, (401, "error")).await;
    let gone = api.call("GET", "/oauth/authorizations/~", None, (404, "error")).await;
    assert_eq!(gone.text("resource"), "authorization");
    let session = api.call("DELETE", "/oauth/sessions/~", None, (404, "error")).await;
    assert_eq!(session.text("resource"), "session");
}

#[tokio::test]
async fn a_scope_bounds_what_a_token_does() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    server.api.create("demo").await;
    let body = json!({"scope": ["read"]});
    let made =
        server.api.call("POST", "/oauth/authorizations", Some(body), (201, "oauth-authorization"));
    let reader = server.api.with_token(token(&made.await.body));
    reader.get("/apps/demo", "app").await;
    reader.get("/account", "account").await;
    for (method, path) in [
        ("GET", "/apps/demo/config-vars"),
        ("PATCH", "/apps/demo/config-vars"),
        ("GET", "/apps/demo/releases"),
        ("DELETE", "/apps/demo"),
        ("PATCH", "/account"),
        ("GET", "/oauth/authorizations"),
        ("POST", "/oauth/authorizations"),
    ] {
        let refused = reader.call(method, path, Some(json!({})), (403, "error")).await;
        assert_eq!(refused.text("id"), "forbidden", "{method} {path}");
    }
    let body = json!({"scope": ["everything"]});
    let message = server.api.refused("POST", "/oauth/authorizations", body, 422).await;
    assert!(message.contains("read-protected"), "{message}");
}

#[tokio::test]
async fn an_account_has_so_many_tokens_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { tokens_per_account: 4, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    // The first start and the harness made one each.
    for expires_in in [json!(3600), Value::Null] {
        let body = json!({"expires_in": expires_in});
        server.api.call("POST", "/oauth/authorizations", Some(body), (201, "any")).await;
    }
    let message = server.api.refused("POST", "/oauth/authorizations", json!({}), 422).await;
    assert!(message.contains("at most 4"), "{message}");
    server.tamper("UPDATE tokens SET expires_at = '2020-01-01T00:00:00.000000Z' WHERE expires_at IS NOT NULL").await;
    server.api.call("POST", "/oauth/authorizations", Some(json!({})), (201, "any")).await;
    for bad in [json!(0), json!(-5), json!(i64::MAX)] {
        server.api.refused("POST", "/oauth/authorizations", json!({"expires_in": bad}), 422).await;
    }
}
