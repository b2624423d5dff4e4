//! A proxy between the heroku command and the server, which holds every response against Heroku's schema.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde_json::Value;

/// What went through: `GET /account`, and what was answered.
struct Exchange {
    request: String,
    status: StatusCode,
    body: Option<Value>,
}

#[derive(Clone)]
struct Proxy {
    to: String,
    client: reqwest::Client,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

/// The proxy and what it has seen.
pub(crate) struct Recorder {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

impl Recorder {
    /// Passes everything on to the API at `to`.
    pub(crate) async fn start(to: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let seen = Arc::<Mutex<Vec<Exchange>>>::default();
        let proxy = Proxy { to: to.to_owned(), client, seen: Arc::clone(&seen) };
        let router = Router::new().fallback(pass).with_state(proxy);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen }
    }

    /// Holds all responses against the schema; how many there were.
    pub(crate) fn check(&self) -> usize {
        let seen = self.seen.lock();
        for exchange in seen.iter() {
            let Exchange { request, status, body } = exchange;
            let Some(body) = body else { panic!("{request} was answered {status} without JSON") };
            let shape = if status.is_success() { shape(request) } else { "error".to_owned() };
            println!("{request} {status} is checked as {shape}");
            super::schema::check(&shape, body);
        }
        seen.len()
    }
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let name = format!("{} {}", parts.method, parts.uri.path());
    let url = format!("{}{}", proxy.to, parts.uri);
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent = proxy.client.request(parts.method, url).headers(headers).body(body).send().await;
    let answer = match sent {
        Ok(answer) => answer,
        // A command that was ended has hung up.
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes).ok();
    proxy.seen.lock().push(Exchange { request: name, status, body });
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove("transfer-encoding");
    response
}

const DELIVERY: &str = "app-webhook-delivery";

/// What Heroku's schema calls the answer to a request. One that is not known here fails the test.
fn shape(request: &str) -> String {
    let (method, path) = request.split_once(" /").unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let list = method == "GET";
    let of = |name: &str, list: bool| if list { format!("[{name}]") } else { name.to_owned() };
    match parts.as_slice() {
        ["account"] => of("account", false),
        ["account", "keys"] => of("key", true),
        ["account", "features"] => of("account-feature", true),
        ["users", _, "apps"] => of("app", true),
        ["oauth", "authorizations"] => of("oauth-authorization", list),
        ["oauth", "authorizations", _] => of("oauth-authorization", false),
        ["apps"] => of("app", list),
        ["apps", _] => of("app", false),
        ["apps", _, "config-vars"] | ["apps", _, "releases", _, "config-vars"] => {
            "config-vars".to_owned()
        }
        ["apps", _, "dynos"] if method == "POST" => "dyno".to_owned(),
        ["apps", _, "dynos", ..] if method != "GET" => "empty".to_owned(),
        ["apps", _, "formations", ..] => "empty".to_owned(),
        ["apps", _, "formation"] => of("formation", true),
        ["apps", _, "buildpack-installations"] => of("buildpack-installation", true),
        // The registry of buildpacks is another API.
        ["buildpacks", _] => "any".to_owned(),
        ["apps", _, "log-drains"] => of("log-drain", list),
        ["apps", _, "log-drains", _] => of("log-drain", false),
        ["apps", _, "webhooks"] => of("app-webhook/definitions/app_webhook", list),
        ["apps", _, "webhooks", _] => of("app-webhook/definitions/app_webhook", false),
        ["apps", _, what @ ("webhook-deliveries" | "webhook-events")] => {
            of(if *what == "webhook-events" { "app-webhook-event" } else { DELIVERY }, true)
        }
        ["apps", _, "webhook-deliveries", _] => of(DELIVERY, false),
        ["apps", _, "webhook-events", _] => of("app-webhook-event", false),
        ["apps", _, "log-sessions"] => of("log-session", false),
        ["apps", _, "addons"] => of("add-on", true),
        ["apps", _, "sni-endpoints"] => of("sni-endpoint", true),
        ["apps", _, "features"] => of("app-feature", true),
        ["apps", _, what @ ("collaborators" | "dynos" | "releases" | "domains" | "builds")] => {
            of(what.trim_end_matches('s'), list)
        }
        ["apps", _, what @ ("releases" | "domains" | "dynos" | "builds"), _] => {
            of(what.trim_end_matches('s'), false)
        }
        [what @ ("regions" | "stacks")] => of(what.trim_end_matches('s'), true),
        _ => panic!("{request} is not known to the test"),
    }
}
