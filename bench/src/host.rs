//! The dyno host beside what a user could pick instead: a plain hyper server, and `wasmtime serve`.
//!
//! All servers run the whole time and get load in turns, several rounds of it, so that whatever else
//! the machine does hits all of them alike; figures are medians of the rounds. wrk shares the cores with the
//! server under load, so beside requests a second there are requests per second of the server's own CPU
//! time.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::ensure;
use wpaas_slug::{Isolation, ProcessType};

use crate::{
    component,
    peers::{self, Peer, plain_hyper, wasmtime_serve},
    process,
    report::{self, Target, median},
    server::{self, Server},
    wrk,
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of load for each server
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of load in a round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections of wrk
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Another component than examples/rust-hello
    #[arg(long)]
    component: Option<PathBuf>,
}

/// A server under test.
struct Side {
    name: &'static str,
    url: String,
    host: String,
    pid: u32,
    rounds: Vec<Round>,
}

/// One turn of load.
struct Round {
    run: wrk::Run,
    cpu: Duration,
}

impl Side {
    fn new(name: &'static str, url: String, host: String, pid: u32) -> Self {
        Self { name, url, host, pid, rounds: Vec::new() }
    }

    fn of(peer: &Peer, name: &'static str) -> anyhow::Result<Self> {
        Ok(Self::new(name, peer.url(), "localhost".into(), peer.pid()?))
    }

    async fn load(&self, args: &Args, seconds: u64) -> anyhow::Result<Round> {
        let before = process::cpu(self.pid)?;
        let time = Duration::from_secs(seconds);
        let run = wrk::run(&self.url, &self.host, args.connections, time).await?;
        Ok(Round { run, cpu: process::cpu(self.pid)?.saturating_sub(before) })
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    fn per_second(&self) -> f64 {
        self.median(|round| round.run.per_second)
    }

    fn per_cpu_second(&self) -> f64 {
        self.median(|round| round.run.requests / round.cpu.as_secs_f64())
    }
}

/// Measures all servers, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let component = match &args.component {
        Some(path) => path.clone(),
        None => component::rust_hello().await?,
    };
    let default = wasmtime_serve(&component, &[]).await?;
    let reuse = ["--max-instance-reuse-count", "100000", "-O", "pooling-allocator=y"];
    let pooled = wasmtime_serve(&component, &reuse).await?;
    let hyper = plain_hyper(&default.answer).await?;
    let home = server::home()?;
    let server = Server::start(&home, &[]).await?;
    server.deploy("reused", component::app(&component)?.path()).await?;
    server.create("fresh").await?;
    let slug = server.slug("reused").await?;
    let isolate = |web: &mut ProcessType| web.isolation = Isolation::Request;
    let fresh = component::variant(&server.store()?, &slug, isolate).await?;
    server.release("fresh", fresh).await?;
    let pid = server.running.pid()?;
    let ours = |name, app| Side::new(name, server.url.clone(), Server::host(app), pid);
    let mut sides = [
        Side::of(&hyper, "a: plain hyper")?,
        Side::of(&default, "b: `wasmtime serve`")?,
        Side::of(&pooled, "c: `wasmtime serve`, reuse and pool")?,
        ours("d: wpaas, reused instances", "reused"),
        ours("e: wpaas, `isolation = \"request\"`", "fresh"),
    ];
    for side in &sides {
        // Fills pools, caches and branch predictors.
        side.load(&args, 1).await?;
    }
    for round in 1..=args.rounds {
        for side in &mut sides {
            let measured = side.load(&args, args.seconds).await?;
            eprintln!("round {round}: {} {:.0}/s", side.name, measured.run.per_second);
            side.rounds.push(measured);
        }
    }
    let started = [server.starts("reused").await?, server.starts("fresh").await?];
    // Peers are asked again, so that none of them has ended half-way.
    ensure!(peers::answer(&default.url()).await?.body == default.answer.body, "a peer has changed");
    conclude(&args, &sides, &started)
}

/// Which way the instances of an app's last requests were come by.
type Starts = std::collections::BTreeMap<String, usize>;

fn conclude(args: &Args, sides: &[Side; 5], started: &[Starts; 2]) -> anyhow::Result<()> {
    let [hyper, default, pooled, reused, fresh] = sides;
    let mut text = format!(
        "`wrk -t1 -c{}`, {} rounds of {} s for each server in turn, medians. wpaas is `wpaas serve` with its \
         router, logplex, limits and accounting; both wpaas rows are one process. The peers' logs go to \
         /dev/null.\n\n\
         | server | requests/s | ÷ a | ÷ b | ÷ c | p50 ms | p99 ms | requests per CPU second | ÷ a |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        args.connections, args.rounds, args.seconds
    );
    for side in sides {
        let (rate, cpu) = (side.per_second(), side.per_cpu_second());
        let _ = writeln!(
            text,
            "| {} | {rate:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {cpu:.0} | {:.2} |",
            side.name,
            rate / hyper.per_second(),
            rate / default.per_second(),
            rate / pooled.per_second(),
            side.median(|round| round.run.p50_ms),
            side.median(|round| round.run.p99_ms),
            cpu / hyper.per_cpu_second(),
        );
    }
    let only = |starts: &Starts, kind: &str| starts.len() == 1 && starts.contains_key(kind);
    let [warm, new] = started;
    let ratio = |one: &Side, other: &Side| one.per_second() / other.per_second();
    let title = match &args.component {
        None => "host".to_owned(),
        Some(path) => format!("host, {}", path.display()),
    };
    report::conclude(
        &title,
        &text,
        &[
            Target::at_least("fresh ÷ `wasmtime serve` (e ÷ b)", 3.0, ratio(fresh, default)),
            Target::at_least("fresh ÷ reused (e ÷ d)", 0.85, ratio(fresh, reused)),
            Target::at_least(
                "reused ÷ reusing `wasmtime serve` (d ÷ c)",
                1.5,
                ratio(reused, pooled),
            ),
            Target::at_least("reused ÷ hyper (d ÷ a)", 0.6, ratio(reused, hyper)),
            Target::so("d reuses instances", format!("{warm:?}"), only(warm, "warm")),
            Target::so("e starts one for each request", format!("{new:?}"), only(new, "fresh")),
        ],
    )
}
