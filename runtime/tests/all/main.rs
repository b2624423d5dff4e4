//! The node from outside: real connections, real guests.
//!
//! The guests come from `tests/setup/guests.sh` of the repository.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    unreachable_pub,
    reason = "a test fails by panicking, and its support is for this crate alone"
)]

mod accounting;
mod apps;
mod cgi;
mod compiler;
mod connections;
mod crashes;
mod disconnects;
mod drain;
mod files;
mod frames;
mod framing;
mod hostile_code;
mod http;
mod http2;
mod internal;
mod isolation;
mod limits;
mod metrics;
mod network;
mod p3;
mod prepare;
mod processes;
mod raw;
mod releases;
mod sandbox;
mod slow;
mod smuggling;
mod socket;
mod support;
mod tls;
mod traces;
