//! Benchmarks that compare wpaas with a peer in the same run, on the same machine, and print ratios.
//! `bench/run.sh NAME` runs one; results are kept in bench/RESULTS.md.

mod app;
mod redeploy;
mod report;
mod wpaas;

use clap::Parser;

/// wpaas' benchmarks
#[derive(Debug, Parser)]
enum Benchmark {
    /// From a one-line change to new code answering: `wpaas deploy`, `wpaas dev`, native Node.js
    Redeploy(redeploy::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Benchmark::parse() {
        Benchmark::Redeploy(args) => redeploy::run(args).await,
    }
}
