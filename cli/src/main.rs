//! The `wpaas` command: Heroku's way of working on WebAssembly dynos.
//!
//! `serve` and `dev` run the platform and the node in this process; every other command is a client of the
//! Platform API.

mod api;
mod api_server;
mod app_context;
mod cli;
mod commands;
mod compile;
mod credentials;
mod dev;
mod dirs;
mod exit;
mod forwarder;
mod https;
mod limits;
mod memory;
mod metrics;
mod operator_log;
mod otel;
mod output;
mod prepare;
mod progress;
mod rendezvous;
mod serve;
mod snapshot;
#[cfg(test)]
mod testing;
mod tls;
mod wasi;

use std::process::ExitCode;

/// Requests allocate on one thread what another one frees, which glibc's allocator locks for: it took 10 % of
/// the router's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::Parser;

fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    exit::report(command.run())
}
