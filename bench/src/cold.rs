//! Cold requests: the app is deployed and its code compiled, but the node has just started and mapped nothing
//! of it. One request is the time from sending it over an open connection to the last byte of its answer.
//!
//! Rust hello comes as many apps whose components all differ, so that each app's first request brings in
//! code of its own; Express comes as many apps on one engine. The peers are what one gets without a dyno host:
//! a process started for the request.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    app::{self, App, node, npm_ci},
    component, process,
    report::{self, Target, max_ms, percentile_ms},
    server::{self, Server},
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Apps with a Rust component of their own, a sample each
    #[arg(long, default_value_t = 200)]
    hello: u32,
    /// Express apps on one engine, a sample each
    #[arg(long, default_value_t = 40)]
    express: u32,
    /// Starts of the node for Express on an engine that nobody has used yet, and of each peer
    #[arg(long, default_value_t = 10)]
    restarts: u32,
}

/// Apps that are set up at the same time; the node compiles two.
const CONCURRENT: usize = 4;
/// Components deployed last that are not asked for: the node keeps what it had to look at last.
const FILLERS: u32 = 20;

/// Samples of one kind.
pub(crate) struct Row {
    name: &'static str,
    pub(crate) samples: Vec<Duration>,
    /// How the router's lines say that the instances came to be.
    starts: BTreeMap<String, usize>,
}

/// Measures, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let hello = component::rust_hello().await?;
    let home = server::home()?;
    eprintln!("deploying {} Rust and {} Express apps", args.hello, args.express);
    deploy(&home, &args, &hello).await?;

    let names = |kind: &str, count: u32| -> Vec<String> {
        (0..count).map(|number| format!("{kind}-{number}")).collect()
    };
    let (rust, express) = (names("hello", args.hello), names("express", args.express));
    let mut rows = Vec::new();
    rows.push(sample(&home, "Rust hello", &[], &rust, None, false).await?);
    let empty = "Rust hello, page cache empty";
    rows.push(sample(&home, empty, &[], &rust, None, true).await?);
    let shared = "Express, engine used by another app";
    rows.push(sample(&home, shared, &[], &express, Some("express"), false).await?);
    rows.push(unused(&home, &express, args.restarts).await?);
    rows.push(peer_wasmtime(&hello, args.restarts).await?);
    rows.push(peer_node(args.restarts).await?);
    conclude(&rows)
}

/// Deploys everything, which compiles it.
async fn deploy(home: &Arc<TempDir>, args: &Args, hello: &Path) -> anyhow::Result<()> {
    let server = Server::start(home, &[]).await?;
    server.deploy("hello", component::app(hello)?.path()).await?;
    let (slug, store) = (server.slug("hello").await?, server.store()?);
    futures::stream::iter(0..args.hello + FILLERS)
        .map(|number| {
            let (server, slug, store) = (&server, &slug, &store);
            async move {
                let name = format!("hello-{number}");
                server.create(&name).await?;
                server.release(&name, component::distinct(store, slug, number).await?).await
            }
        })
        .buffer_unordered(CONCURRENT)
        .try_collect::<()>()
        .await?;
    server.deploy("express", App::new()?.path()).await?;
    let slug = server.slug("express").await?.digest;
    for number in 0..args.express {
        let name = format!("express-{number}");
        server.create(&name).await?;
        server.release(&name, slug).await?;
    }
    server.running.kill().await
}

/// The first request of each app after a start of the node with these variables.
pub(crate) async fn sample(
    home: &Arc<TempDir>,
    name: &'static str,
    variables: &[(&str, &str)],
    apps: &[String],
    before: Option<&str>,
    drop_caches: bool,
) -> anyhow::Result<Row> {
    eprintln!("{name}: {} samples", apps.len());
    let server = Server::start(home, variables).await?;
    quiet(server.running.pid()?).await?;
    let client = connected(&server).await?;
    if let Some(before) = before {
        first(&client, &server, before).await?;
    }
    let mut samples = Vec::new();
    for app in apps {
        if drop_caches {
            forget_files(&home.path().join("data"))?;
            forget_files(&code_directory()?)?;
        }
        samples.push(first(&client, &server, app).await?);
    }
    let mut starts = BTreeMap::new();
    for app in apps {
        for (start, count) in server.starts(app).await? {
            *starts.entry(start).or_insert(0) += count;
        }
    }
    server.running.kill().await?;
    Ok(Row { name, samples, starts })
}

/// The very first request of a node that has just started, for an app on a stack.
async fn unused(home: &Arc<TempDir>, apps: &[String], restarts: u32) -> anyhow::Result<Row> {
    let (mut samples, mut starts) = (Vec::new(), BTreeMap::new());
    for _ in 0..restarts {
        let app = apps.first().map_or("express", String::as_str);
        let server = Server::start(home, &[]).await?;
        quiet(server.running.pid()?).await?;
        let client = connected(&server).await?;
        samples.push(first(&client, &server, app).await?);
        for (start, count) in server.starts(app).await? {
            *starts.entry(start).or_insert(0) += count;
        }
        server.running.kill().await?;
    }
    Ok(Row { name: "Express, first request of the node", samples, starts })
}

/// Waits until a process that has just started has nothing more to do.
async fn quiet(pid: u32) -> anyhow::Result<()> {
    let mut before = Duration::ZERO;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = process::cpu(pid)?;
        if now.saturating_sub(before) < Duration::from_millis(20) {
            return Ok(());
        }
        before = now;
    }
}

/// A client with an open connection.
async fn connected(server: &Server) -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::new();
    let response = client.get(&server.url).header("host", "nobody.localhost").send().await?;
    response.bytes().await?;
    Ok(client)
}

pub(crate) async fn first(
    client: &reqwest::Client,
    server: &Server,
    app: &str,
) -> anyhow::Result<Duration> {
    let request = client.get(&server.url).header("host", Server::host(app));
    let started = Instant::now();
    let response = request.send().await?;
    let status = response.status();
    let body = response.text().await?;
    let took = started.elapsed();
    ensure!(status.is_success() && body.contains("Hello"), "{app}: {status} {body}");
    Ok(took)
}

/// Asks the kernel to drop its copies of all files below a directory.
fn forget_files(directory: &Path) -> anyhow::Result<()> {
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let file = std::fs::File::open(entry.path())?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Where `wpaas` keeps machine code.
fn code_directory() -> anyhow::Result<PathBuf> {
    if let Some(cache) = std::env::var_os("WPAAS_CACHE_DIR") {
        return Ok(PathBuf::from(cache).join("code"));
    }
    Ok(component::cache()?.with_file_name("wpaas").join("code"))
}

/// A `wasmtime serve` of its own for the request, with code compiled before.
async fn peer_wasmtime(hello: &Path, samples: u32) -> anyhow::Result<Row> {
    let name = "peer: start `wasmtime serve`, precompiled Rust hello";
    eprintln!("{name}");
    let directory = tempfile::tempdir()?;
    let code = directory.path().join("hello.cwasm");
    let wasmtime = component::cache()?.join("bin/wasmtime");
    let mut compile = Command::new(&wasmtime);
    let status = compile.arg("compile").arg(hello).arg("-o").arg(&code).status().await?;
    ensure!(status.success(), "wasmtime compile failed");
    started(name, samples, |port| {
        let mut serve = Command::new(&wasmtime);
        serve.args(["serve", "--allow-precompiled", "--addr", &format!("127.0.0.1:{port}")]);
        serve.args(["-S", "cli"]).arg(&code).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(serve.kill_on_drop(true).spawn()?)
    })
    .await
}

/// A native Node.js of its own for the request, with packages installed before.
async fn peer_node(samples: u32) -> anyhow::Result<Row> {
    let name = "peer: start `node server.js`, Express";
    eprintln!("{name}");
    let app = App::new()?;
    npm_ci(&app).await?;
    started(name, samples, |port| node(&app, port, &["server.js"])).await
}

/// From the start of a process to its first answer.
pub(crate) async fn started(
    name: &'static str,
    samples: u32,
    start: impl Fn(u16) -> anyhow::Result<tokio::process::Child>,
) -> anyhow::Result<Row> {
    let mut row = Row { name, samples: Vec::new(), starts: BTreeMap::new() };
    for _ in 0..samples {
        let port = process::free_port()?;
        let client = reqwest::Client::new();
        let begun = Instant::now();
        let mut child = start(port)?;
        app::answers(&client, &format!("http://127.0.0.1:{port}/"), "localhost", "Hello").await?;
        row.samples.push(begun.elapsed());
        child.kill().await.context("a peer that does not end")?;
    }
    Ok(row)
}

fn conclude(rows: &[Row]) -> anyhow::Result<()> {
    let mut text = String::from(
        "Milliseconds of an app's first request after a start of `wpaas serve`, over an open connection. Page \
         cache warm unless the row says otherwise; then `posix_fadvise(DONTNEED)` on data and code before each \
         request. Every Rust app has a component of its own, all Express apps share the engine.\n\n\
         | what | samples | p50 ms | p99 ms | max ms | start= |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let starts: Vec<String> =
            row.starts.iter().map(|(start, count)| format!("{count} {start}")).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {} |",
            row.name,
            row.samples.len(),
            percentile_ms(&row.samples, 50.0),
            percentile_ms(&row.samples, 99.0),
            max_ms(&row.samples),
            starts.join(", ")
        );
    }
    let p99 = |at: usize| rows.get(at).map_or(f64::NAN, |row| percentile_ms(&row.samples, 99.0));
    let cold =
        |at: usize| rows.get(at).is_some_and(|row| row.starts.keys().all(|key| key == "cold"));
    report::conclude(
        "cold",
        &text,
        &[
            Target::below("p99 of Rust hello", 3.0, p99(0), "ms"),
            Target::below("p99 of Express on the shared engine", 80.0, p99(2), "ms"),
            Target::so("all of Rust hello were cold", if cold(0) { "yes" } else { "no" }, cold(0)),
        ],
    )
}
