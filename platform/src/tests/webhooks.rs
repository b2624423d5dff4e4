//! Webhooks with a receiver that keeps what it gets.

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode};
use base64::Engine as _;
use hmac::Mac as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wpaas_slug::Limits;

use super::harness::{Api, Server};

const WEBHOOKS: &str = "/apps/demo/webhooks";
const WEBHOOK: &str = "app-webhook/definitions/app_webhook";

#[derive(Clone, Default)]
struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// What the next requests are answered with; 200 after that. Without a status, never.
    answers: Arc<Mutex<VecDeque<Option<StatusCode>>>>,
}

impl Receiver {
    async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let receiver = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let router = Router::new().fallback(Self::take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    async fn take(State(receiver): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        receiver.got.lock().push((headers, body));
        let answer = receiver.answers.lock().pop_front();
        match answer.unwrap_or(Some(StatusCode::OK)) {
            Some(status) => status,
            None => std::future::pending().await,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks?key=hidden", self.port)
    }

    /// Waits for so many requests in all, and returns their bodies.
    async fn has(&self, count: usize) -> Vec<Value> {
        let waiting = async {
            while self.got.lock().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        let got = self.got.lock();
        assert!(waited.is_ok(), "{got:?}");
        got.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }
}

fn webhook(receiver: &Receiver, include: &[&str], level: &str) -> Value {
    json!({"include": include, "level": level, "url": receiver.url()})
}

async fn add(api: &Api, body: Value) -> super::harness::Reply {
    api.call("POST", WEBHOOKS, Some(body), (201, WEBHOOK)).await
}

/// Waits until a delivery stands so.
async fn delivery(api: &Api, status: &str) -> Value {
    let path = format!("/apps/demo/webhook-deliveries?eq[status]={status}");
    let waiting = async {
        loop {
            let found = api.get(&path, "[app-webhook-delivery]").await;
            match found.get(0) {
                Some(found) => return found.clone(),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap()
}

async fn server(directory: &Path, limits: Limits) -> Server {
    let server = Server::with(directory, limits).await;
    server.api.create("demo").await;
    server
}

#[tokio::test]
async fn webhooks_are_added_changed_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { webhooks_per_app: 2, webhook_field_bytes: 100, ..Limits::default() };
    let server = server(directory.path(), limits).await;
    let api = &server.api;
    let body = |url: &str| json!({"include": ["api:release"], "level": "sync", "url": url});
    let made = add(api, body("https://user:hidden@example.com/hooks?key=hidden")).await;
    let secret = made.header("heroku-webhook-secret").unwrap().to_owned();
    assert_eq!(secret.len(), 64);
    let mut own = body("https://example.com");
    own["secret"] = json!("hidden secret");
    own["authorization"] = json!("Bearer hidden");
    let named = add(api, own).await;
    assert_eq!(named.header("heroku-webhook-secret"), None, "who named it knows it");
    let said = api.refused("POST", WEBHOOKS, body("https://example.com"), 422).await;
    assert!(said.contains("at most 2 webhooks"), "{said}");

    let path = format!("{WEBHOOKS}/{}", named.text("id"));
    let change = json!({"include": ["api:build", "api:app"], "level": "notify"});
    let changed = api.call("PATCH", &path, Some(change), (200, WEBHOOK)).await;
    assert_eq!(changed.body["include"], json!(["api:app", "api:build"]));
    assert_eq!(
        (changed.text("level"), changed.text("url")),
        ("notify".into(), "https://example.com".into())
    );
    let listed = api.get(WEBHOOKS, &format!("[{WEBHOOK}]")).await;
    assert_eq!(listed, json!([made.body, changed.body]));
    assert_eq!(api.get(&path, WEBHOOK).await, changed.body);
    for (change, said) in [
        (json!({"include": []}), "at least one"),
        (json!({"include": ["dyno"]}), "api:formation"),
        (json!({"level": "often"}), "notify"),
        (json!({"url": "ftp://a.b"}), "https://HOST/PATH"),
        (json!({"url": "http://10.0.0.7/"}), "10.0.0.7 is private"),
        (json!({"url": format!("https://a.b/{}", "x".repeat(100))}), "limit of 100 bytes"),
        (json!({"secret": "x".repeat(101)}), "limit of 100 bytes"),
        (json!({"authorization": "x".repeat(101)}), "limit of 100 bytes"),
        (json!({"authorization": "two\nlines"}), "cannot be sent as a header"),
    ] {
        let message = api.refused("PATCH", &path, change.clone(), 422).await;
        assert!(message.contains(said), "{change}: {message}");
    }
    assert_eq!(api.get(&path, WEBHOOK).await, changed.body, "what is refused changes nothing");
    api.call("DELETE", &path, None, (200, WEBHOOK)).await;
    api.call("DELETE", &path, None, (404, "error")).await;
    for list in ["webhook-events", "webhook-deliveries"] {
        let path = format!("/apps/demo/{list}");
        assert_eq!(api.get(&path, "any").await, json!([]));
        api.call("GET", &format!("{path}/x"), None, (404, "error")).await;
    }
    api.call("GET", "/apps/demo/webhook-deliveries?eq[status]=x", None, (422, "error")).await;

    let log = api.log("demo").await.join("\n");
    assert!(log.contains("to https://example.com:443 added by user owner@"), "{log}");
    assert!(!log.contains("hidden") && !log.contains(&secret), "{log}");
    assert_eq!(api.verification("demo").await["valid"], json!(true));
}

#[tokio::test]
async fn receivers_get_what_happened_and_can_tell_who_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), Limits::default()).await;
    let (api, receiver) = (&server.api, Receiver::start().await);
    let all = ["api:app", "api:build", "api:domain", "api:formation", "api:release", "api:addon"];
    let mut body = webhook(&receiver, &all, "sync");
    body["authorization"] = json!("Bearer mine");
    let made = add(api, body).await;
    let secret = made.header("heroku-webhook-secret").unwrap().to_owned();
    // One that asked for something else gets nothing.
    let other = Receiver::start().await;
    add(api, webhook(&other, &["api:domain"], "notify")).await;

    api.set("demo", json!({"A": "value"})).await;
    api.deploy("demo", "one").await;
    api.build("demo", &[("fail", "")]).await;
    let scale = json!({"quantity": 3});
    api.call("PATCH", "/apps/demo/formation/web", Some(scale), (200, "formation")).await;
    let maintenance = json!({"maintenance": true});
    api.call("PATCH", "/apps/demo", Some(maintenance), (200, "app")).await;
    let domain = json!({"hostname": "www.example.org"});
    api.call("POST", "/apps/demo/domains", Some(domain), (201, "domain")).await;
    api.call("DELETE", "/apps/demo/domains/www.example.org", None, (200, "domain")).await;

    let got = receiver.has(10).await;
    let said: Vec<String> = got
        .iter()
        .map(|one| {
            format!("{} {}", one["resource"].as_str().unwrap(), one["action"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        said,
        [
            "release create",
            "build create",
            "build update",
            "release create",
            "build create",
            "build update",
            "formation update",
            "app update",
            "domain create",
            "domain destroy"
        ]
    );
    super::schema::check("release", &got[3]["data"]);
    super::schema::check("build", &got[2]["data"]);
    super::schema::check("formation", &got[6]["data"]);
    super::schema::check("app", &got[7]["data"]);
    super::schema::check("domain", &got[8]["data"]);
    assert_eq!(got[0]["data"]["description"], "Set A config vars");
    assert_eq!((&got[3]["data"]["version"], &got[3]["data"]["current"]), (&json!(3), &json!(true)));
    assert_eq!(got[2]["previous_data"]["status"], "pending");
    assert_eq!(
        (&got[2]["data"]["status"], &got[5]["data"]["status"]),
        (&json!("succeeded"), &json!("failed"))
    );
    assert_eq!(got[6]["previous_data"]["quantity"], 20);
    assert_eq!(got[7]["previous_data"]["maintenance"], false);
    assert_eq!(got[0]["actor"]["email"], "owner@wpaas.localhost");
    assert!(!got.iter().any(|one| one.to_string().contains("value")), "config vars are not told");

    for (headers, body) in receiver.got.lock().iter() {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        let signature = headers["heroku-webhook-hmac-sha256"].to_str().unwrap();
        let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
        mac.verify_slice(&signature).unwrap();
        assert_eq!(headers["authorization"], "Bearer mine");
        assert_eq!(headers["content-type"], "application/json");
    }
    assert_eq!(other.has(2).await[0]["resource"], "domain");

    // The API tells the same.
    let events = api.get("/apps/demo/webhook-events", "[app-webhook-event]").await;
    assert_eq!(events[0]["payload"]["data"], got[0]["data"]);
    assert_eq!(events[0]["id"], got[0]["webhook_metadata"]["event"]["id"]);
    let event = format!("/apps/demo/webhook-events/{}", got[0]["id"].as_str().unwrap());
    assert_eq!(api.get(&event, "app-webhook-event").await, events[0]);
    let id = got[0]["webhook_metadata"]["delivery"]["id"].as_str().unwrap();
    let path = format!("/apps/demo/webhook-deliveries/{id}");
    assert_eq!(api.get(&path, "app-webhook-delivery").await["event"]["include"], "api:release");
    let newest = api
        .ranged(
            "/apps/demo/webhook-deliveries",
            "seq ..; order=desc,max=1",
            (206, "[app-webhook-delivery]"),
        )
        .await;
    assert_eq!(newest.body[0]["event"]["include"], "api:domain");
    api.call("DELETE", "/apps/demo", None, (200, "app")).await;
}

#[tokio::test]
async fn a_release_phase_is_told_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), Limits::default()).await;
    let (api, receiver) = (&server.api, Receiver::start().await);
    add(api, webhook(&receiver, &["api:release"], "sync")).await;
    *server.node.status.lock() = 1;
    server.node.ends.add_permits(1);
    api.build("demo", &[("app.wasm", "migrates")]).await;
    let got = receiver.has(2).await;
    assert_eq!(
        (&got[0]["action"], &got[0]["data"]["status"]),
        (&json!("create"), &json!("pending"))
    );
    assert_eq!(
        (&got[1]["action"], &got[1]["data"]["status"]),
        (&json!("update"), &json!("failed"))
    );
    assert_eq!(got[1]["previous_data"], json!({"status": "pending"}));
    assert_eq!(got[1]["data"]["current"], json!(false));
}

#[tokio::test]
async fn a_sync_delivery_is_tried_again_and_a_notification_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        webhook_rest_ms: 1,
        webhook_rest_max_ms: 4,
        webhook_attempts: 5,
        webhook_send_ms: 100,
        ..Limits::default()
    };
    let server = server(directory.path(), limits).await;
    let (api, receiver) = (&server.api, Receiver::start().await);
    let down = Some(StatusCode::SERVICE_UNAVAILABLE);
    receiver.answers.lock().extend([down, Some(StatusCode::NOT_FOUND), None]);
    let made = add(api, webhook(&receiver, &["api:release"], "sync")).await;
    api.set("demo", json!({"A": "1"})).await;
    let got = receiver.has(4).await;
    let tried = delivery(api, "succeeded").await;
    assert_eq!((&tried["num_attempts"], &tried["next_attempt_at"]), (&json!(4), &Value::Null));
    assert_eq!(tried["last_attempt"]["code"], 200);
    let attempts: std::collections::HashSet<&str> =
        got.iter().map(|one| one["webhook_metadata"]["attempt"]["id"].as_str().unwrap()).collect();
    assert_eq!((attempts.len(), &got[0]["id"]), (4, &got[3]["id"]));

    // Five times in vain.
    receiver.answers.lock().extend([down; 5]);
    api.set("demo", json!({"A": "2"})).await;
    let failed = delivery(api, "failed").await;
    assert_eq!(
        (&failed["num_attempts"], &failed["last_attempt"]["code"]),
        (&json!(5), &json!(503))
    );
    let log = api.log("demo").await.join("\n");
    assert!(
        log.contains("heroku[webhooks]: Webhook ") && log.contains("given up after attempt 5"),
        "{log}"
    );
    assert!(!log.contains("hidden"), "{log}");

    api.call("DELETE", &format!("{WEBHOOKS}/{}", made.text("id")), None, (200, WEBHOOK)).await;
    let path = "/apps/demo/webhook-deliveries";
    assert_eq!(api.get(path, "[app-webhook-delivery]").await, json!([]), "they go with it");
    receiver.answers.lock().push_back(None);
    add(api, webhook(&receiver, &["api:release"], "notify")).await;
    api.set("demo", json!({"A": "3"})).await;
    let failed = delivery(api, "failed").await;
    assert_eq!(failed["num_attempts"], 1);
    assert_eq!(failed["last_attempt"]["error_class"], "Timeout");
    assert_eq!(receiver.has(10).await.len(), 10);
}

#[tokio::test]
async fn what_was_not_delivered_is_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        webhook_rest_ms: 1,
        webhook_rest_max_ms: 20,
        webhook_attempts: 1_000_000,
        ..Limits::default()
    };
    let down = server(directory.path(), limits.clone()).await;
    // Nobody listens there yet.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    let body = json!({"include": ["api:release"], "level": "sync", "url": url});
    let path = format!("{WEBHOOKS}/{}", add(&down.api, body).await.text("id"));
    down.api.set("demo", json!({"A": "1"})).await;
    let waits = delivery(&down.api, "retrying").await;
    assert_eq!(waits["last_attempt"]["error_class"], "ConnectionError");
    down.platform.shutdown().await;
    drop(down);

    let up = Server::with(directory.path(), limits).await;
    let receiver = Receiver::on(socket.listen(8).unwrap());
    let got = receiver.has(1).await;
    assert_eq!(got[0]["webhook_metadata"]["delivery"]["id"], waits["id"]);
    assert_eq!(delivery(&up.api, "succeeded").await["id"], waits["id"]);
    up.api.get(&path, WEBHOOK).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other_and_events_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        webhook_sends: 2,
        webhook_events_per_app: 3,
        webhook_data_bytes: 100,
        ..Limits::default()
    };
    let server = server(directory.path(), limits).await;
    let (api, stuck, quick) = (&server.api, Receiver::start().await, Receiver::start().await);
    stuck.answers.lock().extend([None; 100]);
    for receiver in [&stuck, &quick] {
        add(api, webhook(receiver, &["api:release"], "sync")).await;
    }
    for n in 0..10 {
        api.set("demo", json!({"A": n.to_string()})).await;
        quick.has(n + 1).await;
    }
    assert_eq!(stuck.got.lock().len(), 1, "one at a time for each webhook");
    let events = api.get("/apps/demo/webhook-events", "[app-webhook-event]").await;
    let deliveries = api.get("/apps/demo/webhook-deliveries", "[app-webhook-delivery]").await;
    assert_eq!((events.as_array().unwrap().len(), deliveries.as_array().unwrap().len()), (3, 6));

    // What is too long is named and no more.
    let release = api.get("/apps/demo/releases/11", "release").await;
    assert_eq!(events[2]["payload"]["data"], json!({"id": release["id"]}));
}
