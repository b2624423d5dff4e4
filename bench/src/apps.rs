//! Ten thousand apps on one node: one slug under as many names, each with config vars of its own, made through the
//! Platform API. Then the server starts again, and serves all of them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use rand::Rng as _;

use crate::{
    component,
    load::{self, Ask, open_loop},
    process::{self, Memory},
    report::{self, Target, max_ms, percentile_ms},
    server::{self, Server},
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Apps on the node
    #[arg(long, default_value_t = 10_000)]
    apps: u32,
    /// Requests a second over all of them
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Seconds of load
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Apps that are made, or asked for the first time, at the same time.
const CONCURRENT: usize = 16;

fn name(number: u32) -> String {
    format!("app-{number:05}")
}

/// A request to an app and the config var that its answer must hold.
fn ask(number: u32) -> Ask {
    Ask { host: Server::host(&name(number)), text: format!("Hello number {number} from Rust") }
}

/// What was measured.
struct Measured {
    deploy: Duration,
    first: Duration,
    all: Duration,
    start_cpu: Duration,
    memory: [(&'static str, Memory); 3],
    outcome: load::Outcome,
    list: Duration,
}

/// Measures, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let hello = component::rust_hello().await?;
    let home = server::home()?;
    eprintln!("making {} apps", args.apps);
    let begun = Instant::now();
    let server = Server::start(&home, &[]).await?;
    server.deploy("seed", component::app(&hello)?.path()).await?;
    let slug = server.slug("seed").await?.digest;
    futures::stream::iter(0..args.apps)
        .map(|number| {
            let server = &server;
            async move {
                let app = name(number);
                server.create(&app).await?;
                let greeting = format!("Hello number {number}");
                server.configure(&app, &BTreeMap::from([("GREETING", greeting.as_str())])).await?;
                server.release(&app, slug).await
            }
        })
        .buffer_unordered(CONCURRENT)
        .try_collect::<()>()
        .await?;
    let deploy = begun.elapsed();
    eprintln!("that took {:.1} s; starting again", deploy.as_secs_f64());
    server.running.kill().await?;

    let server = Server::start(&home, &[]).await?;
    let (started, pid) = (server.running.started, server.running.pid()?);
    let client = reqwest::Client::new();
    load::one(&client, &server.url, &ask(args.apps / 2)).await?;
    let first = started.elapsed();
    let start_cpu = process::cpu(pid)?;
    eprintln!("first answer {:.2} s after the start", first.as_secs_f64());
    let at_start = process::memory(pid)?;
    futures::stream::iter(0..args.apps)
        .map(|number| {
            let (client, url) = (&client, &server.url);
            async move { load::one(client, url, &ask(number)).await }
        })
        .buffer_unordered(CONCURRENT)
        .try_collect::<()>()
        .await
        .context("not all apps answer")?;
    let all = started.elapsed();
    eprintln!("all have answered {:.2} s after the start", all.as_secs_f64());
    let swept = process::memory(pid)?;

    let (time, apps) = (Duration::from_secs(args.seconds), args.apps);
    let outcome =
        open_loop(&server.url, args.rate, time, |_| ask(rand::rng().random_range(0..apps))).await?;
    let loaded = process::memory(pid)?;
    let begun = Instant::now();
    server.api(reqwest::Method::GET, "/apps", None).await?;
    let list = begun.elapsed();
    let memory = [("after the start", at_start), ("after all", swept), ("after the load", loaded)];
    conclude(&args, &Measured { deploy, first, all, start_cpu, memory, outcome, list })
}

fn conclude(args: &Args, measured: &Measured) -> anyhow::Result<()> {
    let Measured { deploy, first, all, start_cpu, memory, outcome, list } = measured;
    let latencies = &outcome.latencies;
    let (p50, p99) = (percentile_ms(latencies, 50.0), percentile_ms(latencies, 99.0));
    let mut text = format!(
        "{} apps of Rust hello in one `wpaas serve`, each with a name and config vars of its own. Load: {} \
         requests a second to apps at random for {} s, not waiting for answers, latency from when each was \
         due. The generator runs on the same cores, and was at worst {:.1} ms late itself.\n\n\
         | what | |\n|---|---|\n\
         | making the apps through the API | {:.1} s, {:.1} ms each |\n\
         | from the start of the process to the first answer | {:.2} s ({:.2} s CPU) |\n\
         | until every app has answered once | {:.2} s |\n",
        args.apps,
        args.rate,
        args.seconds,
        outcome.sent_late.as_secs_f64() * 1e3,
        deploy.as_secs_f64(),
        deploy.as_secs_f64() * 1e3 / f64::from(args.apps),
        first.as_secs_f64(),
        start_cpu.as_secs_f64(),
        all.as_secs_f64(),
    );
    for (when, Memory { rss_mib, private_mib }) in memory {
        let _ = writeln!(
            text,
            "| resident memory {when} | {rss_mib:.0} MiB, {private_mib:.0} MiB without files |"
        );
    }
    let _ = writeln!(
        text,
        "| load: requests, errors | {}, {} |",
        latencies.len(),
        outcome.errors.len()
    );
    let _ = writeln!(
        text,
        "| load: p50, p90, p99, p99.9, max | {p50:.2}, {:.2}, {p99:.2}, {:.2}, {:.2} ms |",
        percentile_ms(latencies, 90.0),
        percentile_ms(latencies, 99.9),
        max_ms(latencies),
    );
    let _ =
        writeln!(text, "| `GET /apps`, first page of 200 | {:.1} ms |", list.as_secs_f64() * 1e3);
    for error in outcome.errors.iter().take(5) {
        eprintln!("{error}");
    }
    let most = memory.iter().map(|(_, memory)| memory.rss_mib).fold(0.0, f64::max);
    report::conclude(
        "apps",
        &text,
        &[
            Target::below("start to first answer", 5.0, first.as_secs_f64(), "s"),
            Target::below("resident memory at any of these moments", 400.0, most, "MiB"),
            Target::below("p99 of the load", 20.0, p99, "ms"),
            Target::below("errors", 1.0, outcome.errors.len() as f64, "requests"),
        ],
    )
}
