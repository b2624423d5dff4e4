//! HTTP apps in Rust for wpaas: a handler, typed config vars, and `tracing` to the app's log.
//!
//! A whole app is a `src/main.rs`:
//!
//! ```no_run
//! use wpaas_sdk::{Body, Config, Request, Response, Result, tracing};
//!
//! #[wpaas_sdk::http]
//! async fn main(request: Request<Body>) -> Result<Response<Body>> {
//!     let greeting = Config::get_or("GREETING", "Hello".to_owned())?;
//!     tracing::info!(path = request.uri().path(), "greeted");
//!     Ok(Response::new(format!("{greeting}\n").into()))
//! }
//! ```
//!
//! `wpaas deploy` builds it; `wpaas dev` serves it on this machine. The same component runs on any host of
//! `wasi:http/incoming-handler@0.2`: nothing here talks to wpaas.
//!
//! The crate is thin. Requests, responses and bodies are those of [`wstd`], an async standard library for
//! components, which also brings an HTTP client, timers and streams. This crate adds what a deployed app
//! needs besides:
//!
//! - [`http`]: a handler's error becomes a log line and a 500, a client that leaves is no crash;
//! - [`Config`]: config vars as values of a type, with errors that name the variable;
//! - [`log`]: `tracing` events, and panics, as one line each.

mod config;
pub mod log;
mod server;

pub use config::{Config, ConfigError};
pub use tracing;
/// Makes an `async fn` the app's HTTP handler.
///
/// It takes a [`Request<Body>`](Request) and gives a `Result` of a [`Response`] whose body is anything that
/// turns into a [`Body`]: a string, bytes, a stream. The error is anything that turns into an [`Error`], so
/// `?` works on every error of the standard library; it is logged and answered with a plain 500.
///
/// In `src/main.rs` the function is called `main`:
///
/// ```no_run
/// use wpaas_sdk::{Body, Request, Response, Result, StatusCode};
///
/// #[wpaas_sdk::http]
/// async fn main(request: Request<Body>) -> Result<Response<String>> {
///     let response = Response::builder();
///     Ok(match request.uri().path() {
///         "/" => response.body("Hello\n".to_owned())?,
///         path => response.status(StatusCode::NOT_FOUND).body(format!("no page {path}\n"))?,
///     })
/// }
/// ```
///
/// In `src/lib.rs` it has any name and the manifest says `[lib] crate-type = ["cdylib"]`. The component then
/// has no `wasi:cli/run` beside its HTTP handler, and the function can be called from unit tests.
///
/// An instance serves one request at a time and many after another, so a `static` or `thread_local!` keeps
/// its value between requests of one dyno, and no longer.
pub use wpaas_sdk_macros::http;
pub use wstd;
pub use wstd::http::{
    Body, BodyExt, Error, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Result,
    StatusCode, Uri,
};

/// What the attribute writes refers to; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::server::{main, serve};
    pub use wstd::__internal::wasip2;
    pub use wstd::__internal::wasip2::exports::http::incoming_handler::Guest;
    pub use wstd::__internal::wasip2::http::proxy::export;
    pub use wstd::__internal::wasip2::http::types::{IncomingRequest, ResponseOutparam};
}
