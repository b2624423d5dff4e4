//! What stands between the host's call and the app's handler.

use wstd::__internal::wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wstd::http::request::try_from_incoming;
use wstd::http::server::Responder;
use wstd::http::{Body, Error, HeaderMap, HeaderName, Request, Response, StatusCode};

/// Headers about the connection, which is the host's (wasmtime's list). It refuses them, and wstd takes the
/// refusal for a bug and panics; an app that proxies a response passes them on without noticing.
const HOST_HEADERS: [HeaderName; 9] = [
    HeaderName::from_static("connection"),
    HeaderName::from_static("host"),
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("transfer-encoding"),
    HeaderName::from_static("upgrade"),
];

/// Serves one request with `handler`.
pub fn serve<F, Fut, B, E>(incoming: IncomingRequest, out: ResponseOutparam, handler: F)
where
    F: FnOnce(Request<Body>) -> Fut,
    Fut: Future<Output = Result<Response<B>, E>>,
    B: Into<Body>,
    E: Into<Error>,
{
    crate::log::init();
    wstd::runtime::block_on(async move {
        let response = match try_from_incoming(incoming) {
            Ok(request) => answer(handler(request).await),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "request refused");
                plain(StatusCode::BAD_REQUEST, "Bad Request\n")
            }
        };
        // wstd's own attribute panics here, but a client that leaves early is nobody's fault.
        if let Err(error) = Responder::new(out).respond(response).await {
            tracing::debug!(error = format!("{error:#}"), "response not sent whole");
        }
    });
}

/// The response to send for what the handler returned.
fn answer<B: Into<Body>, E: Into<Error>>(result: Result<Response<B>, E>) -> Response<Body> {
    match result {
        Ok(response) => {
            let mut response = response.map(Into::into);
            remove_host_headers(response.headers_mut());
            response
        }
        Err(error) => {
            let error: Error = error.into();
            // The whole chain of causes goes to the log, and nothing of it to the client.
            tracing::error!(error = format!("{error:#}"), "the handler failed");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")
        }
    }
}

fn remove_host_headers(headers: &mut HeaderMap) {
    for name in &HOST_HEADERS {
        if headers.remove(name).is_some() {
            tracing::debug!(header = name.as_str(), "header left out; it is the host's");
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// The `fn main` of an app in `src/main.rs`, which no host calls: it calls the HTTP handler.
pub fn main() {
    eprintln!("this program answers HTTP requests as a component; run it with `wpaas dev`");
    std::process::exit(2);
}

#[cfg(test)]
mod tests;
