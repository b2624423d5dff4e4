//! For tests: a server that answers what it is told, and streams that remember.

use std::{io::Write, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Response},
};
use parking_lot::Mutex;
use serde_json::Value;

use crate::output::Ui;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET /apps?x`
    pub(crate) line: String,
    headers: HeaderMap,
    /// The body as text.
    pub(crate) body: String,
}

impl Seen {
    /// A header, empty when there is none.
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the server answers.
pub(crate) struct Answer(Response<Body>);

impl Answer {
    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self::text(status, &value.to_string()).with("content-type", "application/json")
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self(Response::builder().status(status).body(Body::from(text.to_owned())).unwrap())
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::text(status, "")
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.0.headers_mut().insert(name, value.parse().unwrap());
        self
    }
}

/// A server on a port of its own, until it is dropped.
pub(crate) struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let answer = Arc::new(answer);
        let router = Router::new().fallback({
            let seen = Arc::clone(&seen);
            move |request: Request| {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                async move {
                    let (parts, body) = request.into_parts();
                    let body = to_bytes(body, usize::MAX).await.unwrap();
                    let one = Seen {
                        line: format!("{} {}", parts.method, parts.uri),
                        headers: parts.headers,
                        body: String::from_utf8_lossy(&body).into_owned(),
                    };
                    seen.lock().push(one.clone());
                    answer(&one).0
                }
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, task }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Everything that was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// The request lines alone.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen.lock().iter().map(|seen| seen.line.clone()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What was printed.
pub(crate) struct Streams {
    out: Memory,
    err: Memory,
}

impl Streams {
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    pub(crate) fn err(&self) -> String {
        self.err.text()
    }
}

/// A [`Ui`] that prints to memory.
pub(crate) fn ui() -> (Ui, Streams) {
    let (out, err) = (Memory::default(), Memory::default());
    (Ui::to(out.clone(), err.clone()), Streams { out, err })
}
