//! Benchmarks that compare wpaas with a peer in the same run, on the same machine, and print ratios.
//! `bench/run.sh NAME` runs one; results are kept in bench/RESULTS.md.

mod app;
mod cold;
mod component;
mod host;
mod peers;
mod process;
mod redeploy;
mod report;
mod server;
mod wpaas;
mod wrk;

use clap::Parser;

/// wpaas' benchmarks
#[derive(Debug, Parser)]
enum Benchmark {
    /// From a one-line change to new code answering: `wpaas deploy`, `wpaas dev`, native Node.js
    Redeploy(redeploy::Args),
    /// Requests a second: plain hyper, `wasmtime serve`, wpaas
    Host(host::Args),
    /// The first request of an app: nothing mapped, code on disk
    Cold(cold::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Benchmark::parse() {
        Benchmark::Redeploy(args) => redeploy::run(args).await,
        Benchmark::Host(args) => host::run(args).await,
        Benchmark::Cold(args) => cold::run(args).await,
    }
}
