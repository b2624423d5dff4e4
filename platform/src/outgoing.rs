//! HTTP requests that the platform makes for an app's owner, over connections that the node made and checked.

use std::sync::Arc;

use axum::http::{HeaderValue, Request, StatusCode, header};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use wpaas_slug::{Limits, egress::Host, feed::NodeLink, outbound::Destination};

/// The head of an answer; hyper wants at least 8 KiB.
const HEAD_BYTES: usize = 64 * 1024;

/// A client of one server. It keeps its connection, and follows no redirects.
pub(crate) struct Client {
    node: Arc<dyn NodeLink>,
    to: Destination,
    kept: Option<Kept>,
    body_bytes: usize,
}

struct Kept {
    sender: SendRequest<Full<Bytes>>,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    pub(crate) fn new(node: Arc<dyn NodeLink>, to: Destination, limits: &Limits) -> Self {
        let body_bytes = Limits::size(limits.outgoing_answer_bytes);
        Self { node, to, kept: None, body_bytes }
    }

    /// Sends a request, and returns the answer's status when all of the answer is there. The error says why there was
    /// none.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<StatusCode, String> {
        let mut kept = match self.kept.take().filter(|kept| !kept.sender.is_closed()) {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        let said = |error: &dyn std::error::Error| {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            format!("{} did not answer: {error}{cause}", self.to.host)
        };
        kept.sender.ready().await.map_err(|error| said(&error))?;
        let answer = kept.sender.send_request(request).await.map_err(|error| said(&error))?;
        let (parts, body) = answer.into_parts();
        // Nobody reads it, but the connection is good for another request only when it is gone.
        if Limited::new(body, self.body_bytes).collect().await.is_ok() {
            self.kept = Some(kept);
        }
        Ok(parts.status)
    }

    /// Gives up the connection: the next request makes another.
    pub(crate) fn close(&mut self) {
        self.kept = None;
    }

    async fn connect(&self) -> Result<Kept, String> {
        let stream = TokioIo::new(self.node.connect(&self.to).await?);
        let made = http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(stream).await;
        let (sender, connection) = made.map_err(|error| error.to_string())?;
        let connection = tokio::spawn(async move {
            // What fails here fails the request too.
            connection.await.ok();
        });
        Ok(Kept { sender, _connection: AbortOnDropHandle::new(connection) })
    }
}

/// The server that a URL names. `default` is its port where the URL has none.
///
/// # Errors
///
/// What is wrong with the URL, to follow its name in a sentence.
pub(crate) fn destination(url: &Url, tls: bool, default: u16) -> Result<Destination, &'static str> {
    let host = url.host_str().and_then(|host| Host::parse(host.trim_matches(['[', ']'])));
    let host = host.ok_or("names no host")?;
    match url.port().unwrap_or(default) {
        0 => Err("names no port"),
        port => Ok(Destination { host, port, tls }),
    }
}

/// A URL for logs and the ledger, without the secrets that names, paths and queries carry: `https://HOST:PORT`.
pub(crate) fn shown(url: &Url, to: &Destination) -> String {
    format!("{}://{}:{}", url.scheme(), to.host, to.port)
}

/// A POST to a URL with what its parts say: host, path, query, and a user as Basic authentication.
pub(crate) fn post(url: &Url) -> axum::http::request::Builder {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let request = Request::post(path).header(header::HOST, host);
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    if user.is_empty() && password.is_empty() {
        return request;
    }
    let user = percent_decoded(&format!("{user}:{password}"));
    let basic = base64::engine::general_purpose::STANDARD.encode(user);
    match HeaderValue::from_str(&format!("Basic {basic}")) {
        Ok(mut basic) => {
            basic.set_sensitive(true);
            request.header(header::AUTHORIZATION, basic)
        }
        Err(_) => request,
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_what_the_url_says() {
        let url = Url::parse("https://us%20er:p%3Aw@Logs.example.com:8443/in/x?key=1").unwrap();
        let request = post(&url).body(()).unwrap();
        assert_eq!(request.uri(), "/in/x?key=1");
        assert_eq!(request.headers()["host"], "logs.example.com:8443");
        // us er:p:w
        assert_eq!(request.headers()["authorization"], "Basic dXMgZXI6cDp3");
        let request = post(&Url::parse("https://a.b").unwrap()).body(()).unwrap();
        assert_eq!((request.uri().path(), request.headers().len()), ("/", 1));
    }
}
