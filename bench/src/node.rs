//! examples/node-express on native Node.js, on Cloudflare's workerd and on wpaas with both engines and from a snapshot:
//! requests a second, the first request of a cold app, memory, and what many requests leave behind.

use std::{
    fmt::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    app::{App, checkout, node, npm_ci},
    cold::{self, Row},
    component,
    peers::Peer,
    process,
    report::{self, Target, max_ms, percentile_ms},
    server::{self, Server},
    wrk::{self, Contestant, Rounds},
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// Cold apps, and starts of each peer
    #[arg(long, default_value_t = 20)]
    cold: u32,
    /// Requests to one app with a single dyno
    #[arg(long, default_value_t = 50_000)]
    requests: u32,
}

/// Connections of wrk.
const CONNECTIONS: u32 = 16;
/// How often memory is looked at while requests come in.
const LOOK: Duration = Duration::from_millis(200);

/// A way to run it on wpaas.
struct Way {
    name: &'static str,
    /// Its `wpaas.toml`.
    settings: &'static str,
    /// Of the server.
    variables: &'static [(&'static str, &'static str)],
}

/// The last is what an app gets that chooses nothing.
const WAYS: [Way; 3] = [
    Way {
        name: "wpaas, QuickJS",
        settings: "[node]\nengine = \"quickjs\"\n",
        // Its component is one of WASI 0.3.
        variables: &[("WPAAS_WASI_P3", "1")],
    },
    Way { name: "wpaas, snapshot", settings: "snapshot = true\n", variables: &[] },
    Way { name: "wpaas", settings: "", variables: &[] },
];
/// The app's name; those that are cold have a number after it.
const APP: &str = "express";

/// One of the servers.
struct Entry<'a> {
    server: Contestant,
    /// Memory before the load; what a process starts with is its own, a node's is all apps'.
    before: f64,
    cold: &'a Row,
}

/// Measures, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let app = App::new()?;
    npm_ci(&app).await?;
    let worker = worker(&app).await?;
    let mut ours = Vec::new();
    for way in &WAYS {
        let home = server::home()?;
        way.deploy(&home, &app, args.cold).await?;
        let cold = way.cold(&home, args.cold).await?;
        ours.push((way, home, cold));
    }
    let nodes = "node server.js";
    let nodes = cold::started(nodes, args.cold, |port| node(&app, port, &["server.js"])).await?;
    let workers = cold::started("workerd serve", args.cold, |port| {
        Ok(workerd(worker.path(), port)?.kill_on_drop(true).spawn()?)
    })
    .await?;

    let mut servers = Vec::new();
    for (way, home, _) in &ours {
        servers.push(Server::start(home, way.variables).await?);
    }
    let mut native = Command::new("node");
    let port = process::free_port()?;
    native.arg("server.js").env("PORT", port.to_string()).current_dir(app.path());
    let native = Peer::start(native, port).await?;
    let port = process::free_port()?;
    let workerd = Peer::start(workerd(worker.path(), port)?, port).await?;
    let one = |name, url, host, pid, cold| {
        let before = process::memory(pid)?.private_mib;
        anyhow::Ok(Entry { server: Contestant::new(name, url, host, pid), before, cold })
    };
    let local = || "localhost".to_owned();
    let mut all = vec![
        one("native Node.js", native.url(), local(), native.pid()?, &nodes)?,
        one("workerd", workerd.url(), local(), workerd.pid()?, &workers)?,
    ];
    for (server, (way, _, cold)) in servers.iter().zip(&ours) {
        let pid = server.running.pid()?;
        all.push(one(way.name, server.url.clone(), Server::host(APP), pid, cold)?);
    }
    wrk::contest(all.iter_mut().map(|one| &mut one.server), CONNECTIONS, args.rounds).await?;
    let (mut text, mut targets) = table(&all)?;
    for (server, way) in servers.iter().zip(&WAYS) {
        parked(server, way.name, args.cold, &mut text).await?;
    }
    let server = servers.last().context("no server")?;
    recycling(server, args.requests, &mut text, &mut targets).await?;
    report::conclude("node", &text, &targets)
}

/// The app as a worker: one file, and workerd's configuration beside it.
async fn worker(app: &App) -> anyhow::Result<TempDir> {
    let directory = tempfile::tempdir()?;
    let own = checkout().join("bench/apps/workerd");
    std::fs::copy(own.join("config.capnp"), directory.path().join("config.capnp"))?;
    let mut esbuild = Command::new(installed(".bin/esbuild")?);
    esbuild.arg(own.join("worker.mjs"));
    esbuild.args(["--bundle", "--format=esm", "--platform=node", "--log-level=error"]);
    esbuild.args(["--conditions=workerd,worker", "--external:cloudflare:node"]);
    esbuild.arg(format!("--alias:app={}", app.path().join("server.js").display()));
    // What a module of CommonJS finds.
    esbuild.arg(
        "--banner:js=import { createRequire } from 'node:module'; \
         const require = createRequire('/worker.js'), __dirname = '/';",
    );
    esbuild.arg(format!("--outfile={}", directory.path().join("bundle.mjs").display()));
    ensure!(esbuild.status().await?.success(), "esbuild cannot bundle the worker");
    Ok(directory)
}

/// A program of bench/apps/workerd.
fn installed(program: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = component::cache()?.join("workerd/node_modules").join(program);
    ensure!(path.is_file(), "{} is missing: run bench/setup.sh workerd", path.display());
    Ok(path)
}

fn workerd(worker: &Path, port: u16) -> anyhow::Result<Command> {
    let mut command = Command::new(installed("@cloudflare/workerd-linux-64/bin/workerd")?);
    command.args(["serve", "config.capnp", &format!("--socket-addr=http=127.0.0.1:{port}")]);
    command.current_dir(worker);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    Ok(command)
}

impl Way {
    /// The app, and the same under `count` more names.
    async fn deploy(&self, home: &Arc<TempDir>, app: &App, count: u32) -> anyhow::Result<()> {
        let server = Server::start(home, self.variables).await?;
        std::fs::write(app.path().join("wpaas.toml"), self.settings)?;
        cold::copies(&server, APP, app.path(), count).await?;
        server.running.kill().await
    }

    /// First requests of apps of a node that has just started; what they share was used before.
    async fn cold(&self, home: &Arc<TempDir>, count: u32) -> anyhow::Result<Row> {
        cold::sample(home, self.name, self.variables, &cold::names(APP, count), Some(APP), false)
            .await
    }
}

fn table(all: &[Entry<'_>]) -> anyhow::Result<(String, Vec<Target>)> {
    let mut text = format!(
        "examples/node-express, `GET /`, which writes a line to the log. `wrk -t1 -c{CONNECTIONS}`, each server in turn, \
         medians. First request of a cold app: wpaas from the request (the node runs, the app does not), the peers \
         from the start of their process. Memory is what is not shared with files, after the load.\n\n\
         | server | requests/s | ÷ native | p50, p99 ms | cold p50, max ms | memory MiB |\n|---|---|---|---|---|---|\n"
    );
    let native = all.first().map_or(f64::NAN, |one| one.server.rate());
    for Entry { server, before, cold } in all {
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.2} | {} | {:.1}, {:.1} | {:.0} (before: {before:.0}) |",
            server.name,
            server.rate(),
            server.rate() / native,
            server.latency(),
            percentile_ms(&cold.samples, 50.0),
            max_ms(&cold.samples),
            process::memory(server.pid)?.private_mib,
        );
    }
    let [.., snapshot, shared] = all else { bail!("no server") };
    let cold = |of: &Entry<'_>| percentile_ms(&of.cold.samples, 50.0);
    let targets = vec![
        Target::below("first request of a cold app, median", 60.0, cold(shared), "ms"),
        Target::below("the same from a snapshot", 10.0, cold(snapshot), "ms"),
    ];
    Ok((text, targets))
}

/// What an app with one dyno that waits takes.
async fn parked(server: &Server, name: &str, count: u32, text: &mut String) -> anyhow::Result<()> {
    let each = cold::parked(server, APP, count).await?;
    let _ = writeln!(
        text,
        "\n{name}: one more app with one dyno after its first request: {each:.1} MiB."
    );
    Ok(())
}

/// Many requests to one dyno, which is replaced when it has grown.
async fn recycling(
    server: &Server,
    requests: u32,
    text: &mut String,
    targets: &mut Vec<Target>,
) -> anyhow::Result<()> {
    server.scale(APP, "web=0..1").await?;
    let pid = server.running.pid()?;
    let before = process::memory(pid)?.private_mib;
    let (mut answered, mut peak, begun) = (0.0, 0_f64, Instant::now());
    while answered < f64::from(requests) {
        let (url, host) = (server.url.clone(), Server::host(APP));
        let load = async move { wrk::run(&url, &host, 4, Duration::from_secs(5)).await };
        let load = tokio::spawn(load);
        while !load.is_finished() {
            peak = peak.max(process::memory(pid)?.private_mib);
            tokio::time::sleep(LOOK).await;
        }
        // wrk::run refuses any answer but 2xx.
        answered += load.await??.requests;
    }
    let killed = server.log(APP, 1500, Some("heroku")).await?;
    let killed = killed.iter().filter(|line| line.contains("Error R")).count();
    let _ = writeln!(
        text,
        "\n{answered:.0} requests to one app with a single dyno in {:.0} s, all answered; the node's memory grew by {:.0} MiB \
         at most.",
        begun.elapsed().as_secs_f64(),
        peak - before,
    );
    targets.push(Target::so("no dyno was over its limit", killed.to_string(), killed == 0));
    Ok(())
}
