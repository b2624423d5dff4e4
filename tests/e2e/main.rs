//! End-to-end tests: the real `wpaas` program, real HTTP, real toolchains. One binary, so that it is linked
//! once; a module per feature.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

mod attach;
mod authority;
mod bad_input;
mod buildpacks;
mod conformance;
mod deploy;
mod dev;
mod drains;
mod egress;
mod git_limits;
mod git_push;
mod heroku_cli;
mod https;
mod kill;
mod ledger;
mod node_apps;
mod node_engines;
mod observe;
mod processes;
mod python_apps;
mod python_dynos;
mod releases;
mod run;
mod s3;
mod schemathesis;
mod secrets;
mod snapshots;
mod steady_load;
mod upgrade;
