//! A running platform and its client.

use std::{path::Path, sync::Arc, time::Duration};

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;
use wpaas_slug::{Limits, Store};

use super::{
    fakes::{FakeBuilder, FakeNode},
    schema,
};
use crate::{AppsUrl, Logplex, Owner, Parts, Platform, Urls};

pub(crate) struct Server {
    pub(crate) platform: Platform,
    pub(crate) node: Arc<FakeNode>,
    pub(crate) builder: Arc<FakeBuilder>,
    pub(crate) url: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) api: Api,
}

/// A client with a token.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A string in the body.
    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name}: {:#}", self.body)).to_owned()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.text("id").parse().unwrap()
    }
}

impl Server {
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::with(directory, Limits::default()).await
    }

    pub(crate) async fn with(directory: &Path, limits: Limits) -> Self {
        let store = Store::local(&directory.join("store")).unwrap();
        let node = Arc::new(FakeNode::default());
        let builder = Arc::new(FakeBuilder::new(store.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let parts = Parts {
            data_dir: directory.join("data"),
            store,
            node: node.clone(),
            logplex: Logplex::new(&limits),
            limits,
            urls: Urls {
                apps: AppsUrl { scheme: "http".into(), domain: "localhost".into(), port: 8080 },
                api: url.clone(),
                git: url.clone(),
                rendezvous: Some("localhost:5000".into()),
            },
            authority: Some("an authority".into()),
        };
        let platform = Platform::open_with(parts, builder.clone()).await.unwrap();
        let owner = platform.bootstrap().await.unwrap();
        let again = platform.issue_token().await.unwrap().unwrap();
        let router = platform.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let api = Api { http: reqwest::Client::new(), url: url.clone(), token: again.token };
        Self { platform, node, builder, url, owner, api }
    }

    /// A client of another account.
    pub(crate) async fn other_account(&self) -> Api {
        let mut write = self.platform.inner.db.write().await.unwrap();
        let user = crate::auth::create_user(&mut write, "other@wpaas.localhost").await.unwrap();
        let token = crate::operators_token(&mut write, &user, "test").await.unwrap();
        write.commit().await.unwrap();
        self.api.with_token(&token)
    }

    /// Runs SQL as somebody with access to the database file would.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut write = self.platform.inner.db.write().await.unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut *write).await;
        assert!(done.unwrap().rows_affected() > 0, "{sql}");
        write.commit().await.unwrap();
    }
}

impl Api {
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url =
            if path.starts_with("http") { path.into() } else { format!("{}{path}", self.url) };
        self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), url)
    }

    /// Sends a request and checks the status and the response's shape.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        expected: (u16, &str),
    ) -> Reply {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
        };
        assert!(expected.0 == 0 || status == expected.0, "{status}: {body:#}");
        assert!(headers.contains_key("request-id"));
        schema::check(expected.1, &body);
        Reply { status, headers, body }
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        expected: (u16, &str),
    ) -> Reply {
        let mut request = self.request(method, path).bearer_auth(&self.token);
        request = request.header("accept", "application/vnd.heroku+json; version=3");
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request, expected).await
    }

    pub(crate) async fn get(&self, path: &str, shape: &str) -> Value {
        self.call("GET", path, None, (200, shape)).await.body
    }

    /// With wpaas' own fields.
    pub(crate) async fn extended(&self, path: &str) -> Value {
        let request = self.request("GET", path).bearer_auth(&self.token);
        let request = request.header("accept", "application/vnd.wpaas+json; version=3");
        self.send(request, (200, "any")).await.body
    }

    pub(crate) async fn ranged(&self, path: &str, range: &str, expected: (u16, &str)) -> Reply {
        let request = self.request("GET", path).bearer_auth(&self.token).header("range", range);
        self.send(request, expected).await
    }

    /// The message of an error.
    pub(crate) async fn refused(
        &self,
        method: &str,
        path: &str,
        body: Value,
        status: u16,
    ) -> String {
        let reply = self.call(method, path, Some(body), (status, "error")).await;
        reply.text("message")
    }

    pub(crate) async fn create(&self, name: &str) -> Uuid {
        self.call("POST", "/apps", Some(json!({"name": name})), (201, "app")).await.id()
    }

    pub(crate) async fn set(&self, app: &str, vars: Value) -> Value {
        let path = format!("/apps/{app}/config-vars");
        self.call("PATCH", &path, Some(vars), (200, "config-vars")).await.body
    }

    /// Uploads a source of these files and starts a build of it.
    pub(crate) async fn start_build(&self, app: &str, files: &[(&str, &str)]) -> Reply {
        let url = self.upload(&archive(files)).await;
        let body = json!({"source_blob": {"url": url, "version": "1a2b3c4d5e6f"}});
        self.call("POST", &format!("/apps/{app}/builds"), Some(body), (201, "build")).await
    }

    pub(crate) async fn upload(&self, archive: &[u8]) -> String {
        let source = self.call("POST", "/sources", None, (201, "source")).await;
        let url = source.body["source_blob"]["put_url"].as_str().unwrap().to_owned();
        self.send(self.request("PUT", &url).body(archive.to_vec()), (200, "any")).await;
        source.body["source_blob"]["get_url"].as_str().unwrap().to_owned()
    }

    /// Reads a build's output to its end.
    pub(crate) async fn output(&self, build: &Reply) -> String {
        let url = build.text("output_stream_url");
        self.request("GET", &url).send().await.unwrap().text().await.unwrap()
    }

    /// Builds to the end; the output and the build.
    pub(crate) async fn build(&self, app: &str, files: &[(&str, &str)]) -> (String, Value) {
        let build = self.start_build(app, files).await;
        let output = self.output(&build).await;
        let path = format!("/apps/{app}/builds/{}", build.text("id"));
        (output, self.get(&path, "build").await)
    }

    /// Deploys `content` and expects it to work.
    pub(crate) async fn deploy(&self, app: &str, content: &str) {
        let (output, build) = self.build(app, &[("app.wasm", content)]).await;
        assert_eq!(build["status"], "succeeded", "{output}");
    }

    pub(crate) async fn verification(&self, app: &str) -> Value {
        self.get(&format!("/apps/{app}/releases/verification"), "any").await
    }

    /// Waits until a text is in the log of `demo`, and returns the log.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let waiting = async {
            loop {
                let log = self.log("demo").await.join("\n");
                if log.contains(text) {
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("nobody says {text:?}"))
    }

    /// The app's log so far, without times.
    pub(crate) async fn log(&self, app: &str) -> Vec<String> {
        let path = format!("/apps/{app}/log-sessions");
        let body = json!({"lines": 1500});
        let session = self.call("POST", &path, Some(body), (201, "log-session")).await;
        let url = session.text("logplex_url");
        let text = self.request("GET", &url).send().await.unwrap().text().await.unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }
}

pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(to);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}
