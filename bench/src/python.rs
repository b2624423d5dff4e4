//! Flask and Starlette on native Python and on wpaas: requests a second, the first request of a cold app with and
//! without a snapshot, memory, and a deploy after a change of a line.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Instant};

use anyhow::ensure;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    app::{answers, checkout},
    cold::{self, Row},
    component,
    peers::Peer,
    process,
    report::{self, Target, max_ms, median_ms, percentile_ms},
    server::{self, Server},
    wrk::{self, Contestant, Rounds},
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// Cold apps of each kind, and deploys
    #[arg(long, default_value_t = 10)]
    cold: u32,
}

/// Connections of wrk.
const CONNECTIONS: u32 = 8;
/// Kinds of apps whose first request is measured, and what each may take in milliseconds.
const KINDS: [(&str, f64); 2] = [("flask", 300.0), ("snapshot", 100.0)];

/// Measures, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let home = server::home()?;
    deploy(&home, args.cold).await?;
    let mut rows = Vec::new();
    for (kind, _) in KINDS {
        rows.push(
            cold::sample(&home, kind, &[], &names(kind, args.cold), Some(kind), false).await?,
        );
    }
    let server = Server::start(&home, &[]).await?;
    let (mut text, mut targets) = throughput(&args, &server).await?;
    first_requests(&rows, &mut text, &mut targets);
    parked(&server, args.cold, &mut text, &mut targets).await?;
    redeploys(&server, args.cold, &mut text, &mut targets).await?;
    report::conclude("python", &text, &targets)
}

fn names(kind: &str, count: u32) -> Vec<String> {
    (0..count).map(|number| format!("{kind}-{number}")).collect()
}

/// A copy of one of bench/apps, to be deployed.
fn app(name: &str) -> anyhow::Result<TempDir> {
    let directory = tempfile::tempdir()?;
    for entry in std::fs::read_dir(checkout().join("bench/apps").join(name))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), directory.path().join(entry.file_name()))?;
        }
    }
    Ok(directory)
}

/// The apps, and those of [`KINDS`] under more names.
async fn deploy(home: &Arc<TempDir>, count: u32) -> anyhow::Result<()> {
    let server = Server::start(home, &[]).await?;
    server.deploy("starlette", app("starlette")?.path()).await?;
    for (kind, _) in KINDS {
        let app = app("flask")?;
        if kind == "snapshot" {
            std::fs::write(app.path().join("wpaas.toml"), "snapshot = true\n")?;
        }
        eprintln!("deploying {kind}");
        server.deploy(kind, app.path()).await?;
        let slug = server.slug(kind).await?.digest;
        for name in names(kind, count) {
            server.create(&name).await?;
            server.release(&name, slug).await?;
        }
    }
    server.running.kill().await
}

/// A program of bench/apps/python, in an app's directory.
async fn peer(app: &str, program: &str, args: &[&str]) -> anyhow::Result<Peer> {
    let path: PathBuf = component::cache()?.join("python/bin").join(program);
    ensure!(path.is_file(), "{} is missing: run bench/setup.sh native-python", path.display());
    let port = process::free_port()?;
    let mut command = Command::new(path);
    command.args(args).current_dir(checkout().join("bench/apps").join(app));
    match program {
        "gunicorn" => command.arg(format!("--bind=127.0.0.1:{port}")),
        _ => command.arg(format!("--port={port}")),
    };
    Peer::start(command, port).await
}

async fn throughput(args: &Args, server: &Server) -> anyhow::Result<(String, Vec<Target>)> {
    let peers = [
        ("gunicorn, sync", peer("flask", "gunicorn", &["app:app"]).await?),
        ("gunicorn, gthread", peer("flask", "gunicorn", &["-kgthread", "app:app"]).await?),
        (
            "uvicorn, uvloop and httptools",
            peer("starlette", "uvicorn", &["main:app", "--no-access-log"]).await?,
        ),
        (
            "uvicorn, asyncio and h11",
            peer(
                "starlette",
                "uvicorn",
                &["main:app", "--no-access-log", "--loop=asyncio", "--http=h11"],
            )
            .await?,
        ),
    ];
    let mut all = Vec::new();
    for (name, peer) in &peers {
        // gunicorn's own process does not answer.
        let pid = child_of(peer.pid()?)?.unwrap_or(peer.pid()?);
        all.push(Contestant::new(name, peer.url(), "localhost".to_owned(), pid));
    }
    for (name, app) in [("wpaas, Flask", "flask"), ("wpaas, Starlette", "starlette")] {
        server.scale(app, "web=0..1").await?;
        let pid = server.running.pid()?;
        all.push(Contestant::new(name, server.url.clone(), Server::host(app), pid));
    }
    wrk::contest(&mut all, CONNECTIONS, args.rounds).await?;
    Ok(table(&all))
}

/// The first child process of `pid`, if it has one.
fn child_of(pid: u32) -> anyhow::Result<Option<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().next().and_then(|child| child.parse().ok()))
}

fn table(all: &[Contestant]) -> (String, Vec<Target>) {
    let mut text = format!(
        "`bench/apps/flask` and `bench/apps/starlette`, one process or dyno each. `wrk -t1 -c{CONNECTIONS}`, each server in \
         turn, medians. gunicorn's sync worker closes each connection, the others keep them. CPU is that of the server's \
         process, for wpaas with the router.\n\n\
         | server | requests/s | ÷ first peer | p50, p99 ms | CPU µs/request |\n|---|---|---|---|---|\n"
    );
    let mut targets = Vec::new();
    for one in all {
        let flask = one.name.contains("gunicorn") || one.name.contains("Flask");
        let first =
            all.iter().find(|peer| peer.name.contains(if flask { "gunicorn" } else { "uvicorn" }));
        let ratio = one.rate() / first.map_or(f64::NAN, Contestant::rate);
        let requests: f64 = one.runs.iter().map(|run| run.requests).sum();
        let cpu = one.cpu.as_secs_f64() * 1e6 / requests;
        let (name, rate, latency) = (one.name, one.rate(), one.latency());
        let _ = writeln!(text, "| {name} | {rate:.0} | {ratio:.2} | {latency} | {cpu:.0} |");
        if name == "wpaas, Flask" {
            let what = "requests/s of Flask ÷ gunicorn's sync worker";
            targets.push(Target::at_least(what, 0.6, ratio));
        }
    }
    (text, targets)
}

fn first_requests(rows: &[Row], text: &mut String, targets: &mut Vec<Target>) {
    text.push_str("\n| first request of a cold Flask app | p50 ms | max ms |\n|---|---|---|\n");
    for ((kind, limit), row) in KINDS.iter().zip(rows) {
        let p50 = percentile_ms(&row.samples, 50.0);
        let _ = writeln!(text, "| {kind} | {p50:.1} | {:.1} |", max_ms(&row.samples));
        targets.push(Target::below(format!("first request, {kind}, median"), *limit, p50, "ms"));
    }
}

/// What an app with one dyno that waits takes.
async fn parked(
    server: &Server,
    count: u32,
    text: &mut String,
    targets: &mut Vec<Target>,
) -> anyhow::Result<()> {
    let (client, pid) = (reqwest::Client::new(), server.running.pid()?);
    for (kind, _) in KINDS {
        cold::first(&client, server, kind).await?;
        let before = process::memory(pid)?.private_mib;
        for name in names(kind, count) {
            cold::first(&client, server, &name).await?;
        }
        let each = (process::memory(pid)?.private_mib - before) / f64::from(count);
        let _ = writeln!(text, "\nOne more dyno of {kind} after its first request: {each:.1} MiB.");
        targets.push(Target::below(format!("memory of a dyno, {kind}"), 15.0, each, "MiB"));
    }
    Ok(())
}

/// From a change of one line to its answer.
async fn redeploys(
    server: &Server,
    count: u32,
    text: &mut String,
    targets: &mut Vec<Target>,
) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let app = app("flask")?;
    let file = app.path().join("app.py");
    let source = std::fs::read_to_string(&file)?;
    let mut samples = Vec::new();
    for round in 0..count {
        let greeting = format!("Hello, number {round}.");
        let changed = source.replace("Hello, World!", &greeting);
        ensure!(changed != source, "{} does not say Hello, World!", file.display());
        std::fs::write(&file, changed)?;
        let begun = Instant::now();
        server.deploy("flask", app.path()).await?;
        answers(&client, &server.url, &Server::host("flask"), &greeting).await?;
        samples.push(begun.elapsed());
    }
    let took = median_ms(&samples);
    let _ = writeln!(text, "\nFrom a change of one line to its answer: {took:.0} ms.");
    targets.push(Target::below("deploy after a change, median", 3000.0, took, "ms"));
    Ok(())
}
