//! Benchmarks that compare wpaas with a peer in the same run, on the same machine, and print ratios.
//! `bench/run.sh NAME` runs one; results are kept in bench/RESULTS.md.

mod app;
mod apps;
mod cold;
mod component;
mod host;
mod instantiate;
mod load;
mod neighbours;
mod node;
mod peers;
mod process;
mod python;
mod redeploy;
mod report;
mod server;
mod sockets;
mod tail;
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
    /// The table of what `cargo bench` measured of starting dynos
    Instantiate(instantiate::Args),
    /// Prints the path of the component under test, built if need be
    Component,
    /// The first request of an app: nothing mapped, code on disk
    Cold(cold::Args),
    /// Ten thousand apps on one node: start, memory, load over all of them
    Apps(apps::Args),
    /// A well-behaved app beside one that attacks the node
    Neighbours(neighbours::Args),
    /// Express on native Node.js, workerd and wpaas
    Node(node::Args),
    /// Flask and Starlette on native Python and wpaas
    Python(python::Args),
    /// Dynos that listen on `$PORT` beside wasmtime's own sockets
    Sockets(sockets::Args),
    /// How late those who follow a log have a line
    Tail(tail::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Benchmark::parse() {
        Benchmark::Redeploy(args) => redeploy::run(args).await,
        Benchmark::Host(args) => host::run(args).await,
        Benchmark::Instantiate(args) => instantiate::run(&args),
        Benchmark::Component => {
            println!("{}", component::rust_hello().await?.display());
            Ok(())
        }
        Benchmark::Cold(args) => cold::run(args).await,
        Benchmark::Apps(args) => apps::run(args).await,
        Benchmark::Neighbours(args) => neighbours::run(args).await,
        Benchmark::Node(args) => node::run(args).await,
        Benchmark::Python(args) => python::run(args).await,
        Benchmark::Sockets(args) => sockets::run(args).await,
        Benchmark::Tail(args) => tail::run(args).await,
    }
}
