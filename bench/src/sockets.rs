//! Socket dynos beside the same guest on wasmtime's own sockets, which are the system's, without a router in
//! between. And what the research of wpaas promised of them: memory, idle connections, the end of one that spins.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{
    app::checkout,
    component,
    load::{Ask, open_loop},
    peers::Peer,
    process,
    report::{self, Target, max_ms, median, percentile_ms},
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
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Connections that are open and idle
    #[arg(long, default_value_t = 500)]
    idle: usize,
    /// Dynos of which the memory is measured
    #[arg(long, default_value_t = 40)]
    parked: usize,
    /// Times that a dyno that spins is ended
    #[arg(long, default_value_t = 10)]
    kills: usize,
}

/// Round trips of the client beside idle connections, in each measurement.
const ROUND_TRIPS: usize = 2_000;
/// Requests a second to the neighbour of dynos that spin.
const RATE: u32 = 300;

/// Measures, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let python = component::cache()?.with_file_name("wpaas-tests").join("python-3.14/python.wasm");
    ensure!(python.is_file(), "{} is missing: run bench/setup.sh python", python.display());
    let app = app()?;
    // What is killed has no time to finish; connections are not to end by themselves.
    let limits = [("WPAAS_LIMIT_DRAIN_MS", "1"), ("WPAAS_LIMIT_INSTANCE_IDLE_MS", "600000")];
    let home = server::home()?;
    let server = Server::start(&home, &limits).await?;
    let mut text = String::from(
        "The guest is `bench/apps/asyncio` on CPython 3.14. The peer is the same component under `wasmtime run` \
         with the system's sockets, without a router.\n\n",
    );
    let mut targets = Vec::new();
    server.deploy("asyncio", app.path()).await?;
    let peer = peer(&python, app.path()).await?;
    requests(&args, &server, &peer, &mut text, &mut targets).await?;
    idle(&args, &server, &peer, &mut text, &mut targets).await?;
    parked(&args, &server, app.path(), &mut text).await?;
    kills(&args, &server, app.path(), &mut text, &mut targets).await?;
    report::conclude("sockets", &text, &targets)
}

/// A directory to deploy: a Python app as on Heroku.
fn app() -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    let source = checkout().join("bench/apps/asyncio/main.py");
    std::fs::copy(source, directory.path().join("main.py"))?;
    std::fs::write(directory.path().join("requirements.txt"), "")?;
    std::fs::write(directory.path().join("Procfile"), "web: python main.py\n")?;
    Ok(directory)
}

async fn peer(python: &Path, app: &Path) -> anyhow::Result<Peer> {
    let wasmtime = component::cache()?.join("bin/wasmtime");
    let code = app.with_extension("cwasm");
    let compiled = Command::new(&wasmtime).args(["compile", "-o"]).arg(&code).arg(python).status();
    ensure!(compiled.await?.success(), "wasmtime cannot compile {}", python.display());
    let port = process::free_port()?;
    let mut command = Command::new(wasmtime);
    command.args([
        "run",
        "--allow-precompiled",
        "-S",
        "inherit-network",
        "--env",
        "HOST=127.0.0.1",
    ]);
    // The stack is told by its first word which program to be.
    command.args(["--argv0", "python", "--env"]).arg(format!("PORT={port}")).arg("--dir");
    command.arg(format!("{}::/app", app.display())).arg(code).arg("main.py");
    Peer::start(command, port).await
}

async fn requests(
    args: &Args,
    server: &Server,
    peer: &Peer,
    text: &mut String,
    targets: &mut Vec<Target>,
) -> anyhow::Result<()> {
    text.push_str(
        "| connections | wpaas: requests/s, p50 ms | peer: requests/s, p50 ms | ratio of requests/s | p50 more, µs |\n\
         |---|---|---|---|---|\n",
    );
    for connections in [1, 8] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let time = Duration::from_secs(args.seconds);
        for round in 0..=args.rounds {
            let our = wrk::run(&server.url, &Server::host("asyncio"), connections, time).await?;
            let their = wrk::run(&peer.url(), "localhost", connections, time).await?;
            // The first fills caches and branch predictors.
            if round > 0 {
                eprintln!(
                    "c={connections} round {round}: {:.0}/s, peer {:.0}/s",
                    our.per_second, their.per_second
                );
                ours.push(our);
                theirs.push(their);
            }
        }
        let rate = |runs: &[wrk::Run]| median(runs.iter().map(|run| run.per_second));
        let p50 = |runs: &[wrk::Run]| median(runs.iter().map(|run| run.p50_ms));
        let (ratio, more) = (rate(&ours) / rate(&theirs), (p50(&ours) - p50(&theirs)) * 1e3);
        let _ = writeln!(
            text,
            "| {connections} | {:.0}, {:.3} | {:.0}, {:.3} | {ratio:.2} | {more:.0} |",
            rate(&ours),
            p50(&ours),
            rate(&theirs),
            p50(&theirs),
        );
        if connections == 8 {
            targets.push(Target::at_least("requests/s ÷ the system's sockets, c=8", 0.8, ratio));
            targets.push(Target::below("p50 beyond the system's sockets, c=8", 60.0, more, "µs"));
        }
    }
    Ok(())
}

/// A connection whose protocol was changed.
async fn upgraded(url: &str, host: &str) -> anyhow::Result<TcpStream> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let head =
        format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    Ok(stream)
}

/// Round trips on one connection.
async fn round_trips(stream: &mut TcpStream) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut back = [0; 16];
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        stream.write_all(&back).await?;
        stream.read_exact(&mut back).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

async fn idle(
    args: &Args,
    server: &Server,
    peer: &Peer,
    text: &mut String,
    targets: &mut Vec<Target>,
) -> anyhow::Result<()> {
    text.push_str(
        "\nOne client on an upgraded connection, 16 bytes and back, beside idle ones on the same dyno:\n\n\
         | idle | wpaas: p50, p99 µs | peer: p50, p99 µs | ratio of p50 |\n|---|---|---|---|\n",
    );
    let (host, peer_url) = (Server::host("asyncio"), peer.url());
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let mut active = (upgraded(&server.url, &host).await?, upgraded(&peer_url, "localhost").await?);
    for idle in [0, args.idle / 5, args.idle] {
        while ours.len() < idle {
            ours.push(upgraded(&server.url, &host).await?);
            theirs.push(upgraded(&peer_url, "localhost").await?);
        }
        let (mut our, mut their) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            our.extend(round_trips(&mut active.0).await?);
            their.extend(round_trips(&mut active.1).await?);
        }
        let us = |times: &[Duration], percent| percentile_ms(times, percent) * 1e3;
        let ratio = us(&our, 50.0) / us(&their, 50.0);
        let _ = writeln!(
            text,
            "| {idle} | {:.0}, {:.0} | {:.0}, {:.0} | {ratio:.2} |",
            us(&our, 50.0),
            us(&our, 99.0),
            us(&their, 50.0),
            us(&their, 99.0),
        );
        if idle == args.idle {
            let what = format!("p50 ÷ the system's sockets beside {idle} idle connections");
            targets.push(Target::below(what, 1.25, ratio, "×"));
        }
    }
    Ok(())
}

async fn parked(args: &Args, server: &Server, app: &Path, text: &mut String) -> anyhow::Result<()> {
    server.deploy("parked", app).await?;
    let slug = server.slug("parked").await?;
    let client = reqwest::Client::new();
    let pid = server.running.pid()?;
    let mut before = 0.0;
    for number in 0..=args.parked {
        let name = format!("parked-{number}");
        server.create(&name).await?;
        server.release(&name, slug.digest).await?;
        let answer = client.get(&server.url).header("host", Server::host(&name)).send().await?;
        ensure!(answer.status().is_success(), "{name}: {}", answer.status());
        if number == 0 {
            before = process::memory(pid)?.private_mib;
        }
    }
    let memory = (process::memory(pid)?.private_mib - before) / args.parked as f64;
    let cpu = process::cpu(pid)?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let cpu = (process::cpu(pid)?.saturating_sub(cpu)).as_secs_f64() / 4.0;
    let _ = writeln!(
        text,
        "\n{} parked dynos, each of an app of its own: {memory:.1} MiB of private memory each; the whole node \
         used {:.1} % of a core meanwhile.",
        args.parked,
        cpu * 100.0
    );
    Ok(())
}

/// The times from the wish that a dyno that spins should end, to the line that says that it has.
async fn ends(args: &Args, server: &Server) -> anyhow::Result<Vec<Duration>> {
    let mut tail = server.tail("spinning", "heroku")?;
    let mut lines = BufReader::new(tail.stdout.take().context("no stdout")?).lines();
    let mut times = Vec::new();
    let client = reqwest::Client::new();
    // Of the process that follows the log.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..args.kills {
        let url = format!("{}spin", server.url);
        let spin = client.get(url).header("host", Server::host("spinning"));
        let spinning = tokio::spawn(spin.send());
        tokio::time::sleep(Duration::from_millis(700)).await;
        let begun = Instant::now();
        server.api(Method::DELETE, "/apps/spinning/dynos", None).await?;
        while let Some(line) = lines.next_line().await? {
            if line.contains("State changed from up to down") {
                break;
            }
        }
        times.push(begun.elapsed());
        let _ = spinning.await;
    }
    tail.kill().await?;
    Ok(times)
}

async fn kills(
    args: &Args,
    server: &Server,
    app: &Path,
    text: &mut String,
    targets: &mut Vec<Target>,
) -> anyhow::Result<()> {
    let hello: PathBuf = component::rust_hello().await?;
    server.deploy("victim", component::app(&hello)?.path()).await?;
    server.deploy("spinning", app).await?;
    let ask = |_| Ask { host: Server::host("victim"), text: "Hello from Rust!".into() };
    let time = Duration::from_millis(800) * u32::try_from(args.kills)?;
    let alone = open_loop(&server.url, RATE, time, ask).await?;
    let (beside, times) = tokio::join!(open_loop(&server.url, RATE, time, ask), ends(args, server));
    let (beside, times) = (beside?, times?);
    let ratio = percentile_ms(&beside.latencies, 99.0) / percentile_ms(&alone.latencies, 99.0);
    let _ = writeln!(
        text,
        "\n{} dynos that spin in Python, ended one after the other: {:.1} ms at the median and {:.1} ms at most from \
         the call of the API to the line in a followed log. A neighbour under {RATE} requests a second has its p99 at {:.2} ms \
         alone and at {:.2} ms meanwhile.",
        times.len(),
        percentile_ms(&times, 50.0),
        max_ms(&times),
        percentile_ms(&alone.latencies, 99.0),
        percentile_ms(&beside.latencies, 99.0),
    );
    let errors = alone.errors.len() + beside.errors.len();
    targets.push(Target::below(
        "end of a dyno that spins, median",
        20.0,
        percentile_ms(&times, 50.0),
        "ms",
    ));
    targets.push(Target::below("the neighbour's p99 ÷ alone", 3.0, ratio, "×"));
    targets.push(Target::so("the neighbour has no errors", errors.to_string(), errors == 0));
    Ok(())
}
