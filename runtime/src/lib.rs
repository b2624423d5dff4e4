//! The dyno host: it runs the web dynos of many apps as Wasm instances behind one HTTP router.
//!
//! A [`Node`] learns what to run through [`wpaas_slug::feed::NodeLink`], fetches slugs from the store,
//! keeps compiled code and checked-out slugs under one cache directory, and serves requests. It knows no
//! database, no builder and no platform, so that any program can embed it.
//!
//! The way of a request: [`server`](Node::serve) accepts a connection, the router finds the app by its host
//! and the app's formation, the formation's pool gives out a dyno (a warm instance, or the right to
//! start one), the worker runs the guest inside the connection's task, and the exchange between router and
//! worker enforces the deadlines and carries the outcome into the router's log line.
//!
//! Other process types run as commands: kept running by [`process::Workers`], or once by [`wpaas_slug::feed::NodeLink::run`].
//!
//! The caller chooses the tokio runtime; it needs time and I/O enabled, and should be multi-threaded,
//! because a guest that computes holds its thread for up to one epoch tick at a time.

mod active;
mod app;
mod attend;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench_support;
mod blobs;
mod body;
mod cgi;
mod checkout;
mod code;
mod compile;
mod connection;
mod dyno;
mod dynos;
mod engine;
mod error;
mod exchange;
mod formation;
mod forward;
mod framing;
mod fs;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hcode;
mod internal;
mod keyed;
mod lane;
mod lines;
mod memory;
mod meter;
mod metrics;
mod net;
mod node;
mod p3;
mod parts;
mod pool;
mod prepare;
mod process;
mod protocol;
mod request_log;
mod reuse;
mod router;
mod server;
#[cfg(feature = "compiler")]
mod snapshot;
mod socket;
mod stdio;
mod table;
mod threads;
mod tls;
mod tmp;
mod trace;
mod wire;
mod worker;

pub use compile::Compiler;
#[cfg(feature = "compiler")]
pub use compile::compile_main;
pub use error::Error;
pub use net::Resolve;
pub use node::{Builder, Gate, Node};
pub use prepare::Prepared;
#[cfg(feature = "compiler")]
pub use snapshot::{Evaluated, SnapshotSpec, snapshot_main};
pub use tls::{Tls, TlsError};
pub use trace::{Span, SpanSink};
