//! From a one-line change to new code answering.
//!
//! `wpaas deploy`: from the command's start to the first answer of the new code. `wpaas dev`: from the save
//! to that. The peers do the least that a deployment without wpaas can do: `npm ci` in a fresh copy and a
//! start of native Node.js, and `node --watch`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    app::{App, answers, node, npm_ci},
    process::free_port,
    report,
    wpaas::Running,
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Changes measured for each way
    #[arg(long, default_value_t = 10)]
    rounds: u32,
}

/// Measures all four ways, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    eprintln!("wpaas deploy, config:set, rollback, {} rounds", args.rounds);
    let Platform { deploy, config, rollback, steps } = platform(&client, args.rounds).await?;
    eprintln!("wpaas dev, {} rounds", args.rounds);
    let dev = dev(&client, args.rounds).await?;
    eprintln!("npm ci && node, {} rounds", args.rounds);
    let npm = npm_and_node(&client, args.rounds).await?;
    eprintln!("node --watch, {} rounds", args.rounds);
    let watch = node_watch(&client, args.rounds).await?;

    let mut text = format!("{}\n\n", report::machine());
    text.push_str(
        "| way | median ms | worst ms | ratio to the peer | target |\n|---|---|---|---|---|\n",
    );
    let mut row = |name: &str, samples: &[Duration], peer: &[Duration], target: &str| {
        let (median, worst) = (report::median_ms(samples), report::max_ms(samples));
        let ratio = median / report::median_ms(peer);
        let _ = writeln!(text, "| {name} | {median:.0} | {worst:.0} | {ratio:.2} | {target} |");
    };
    row("`wpaas deploy`, warm", &deploy, &npm, "2,000 ms");
    row("`wpaas config:set`", &config, &npm, "1,000 ms");
    row("`wpaas rollback` of code and config", &rollback, &npm, "1,000 ms");
    row("peer: `npm ci` and `node server.js`", &npm, &npm, "");
    row("`wpaas dev`, save to answer", &dev, &watch, "1,000 ms");
    row("peer: `node --watch`", &watch, &watch, "");
    text.push_str(
        "\nShares of `wpaas deploy` (median of each step):\n\n| step | ms |\n|---|---|\n",
    );
    let mut named = 0.0;
    for (name, samples) in &steps {
        let median = report::median_ms(samples);
        named += median;
        let _ = writeln!(text, "| {name} | {median:.1} |");
    }
    let rest = report::median_ms(&deploy) - named;
    let _ =
        writeln!(text, "| the rest: start of the command, requests, first answer | {rest:.1} |");
    println!("{text}");
    report::keep("redeploy", &text)?;
    ensure!(report::median_ms(&deploy) < 2_000.0, "`wpaas deploy` missed its target");
    ensure!(report::max_ms(&config) < 1_000.0, "`wpaas config:set` missed its target");
    ensure!(report::max_ms(&rollback) < 1_000.0, "`wpaas rollback` missed its target");
    ensure!(report::median_ms(&dev) < 1_000.0, "`wpaas dev` missed its target");
    Ok(())
}

/// Samples by step, in the order of the first report.
type Steps = Vec<(String, Vec<Duration>)>;

/// What is measured with `wpaas serve`.
struct Platform {
    deploy: Vec<Duration>,
    config: Vec<Duration>,
    rollback: Vec<Duration>,
    steps: Steps,
}

async fn platform(client: &reqwest::Client, rounds: u32) -> anyhow::Result<Platform> {
    let app = App::new()?;
    let arguments = [
        "serve",
        "--http",
        "127.0.0.1:0",
        "--api",
        "127.0.0.1:0",
        "--api-https",
        "none",
        "--rendezvous",
        "none",
    ];
    let server = Running::start(&arguments, "wpaas deploy").await?;
    let apps = server.word_after("apps   http://")?;
    let port = apps.rsplit(':').next().context("no port")?;
    let url = format!("http://127.0.0.1:{port}/");
    let api = server.word_after("api    ")?;
    let (mut samples, mut config, mut rollback) = (Vec::new(), Vec::new(), Vec::new());
    let mut order = Vec::new();
    let mut steps: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    // Round 0 installs, compiles and fills every cache.
    for round in 0..=rounds {
        let text = app.change(round)?;
        let started = Instant::now();
        let output = server
            .command(&api)?
            .args(["deploy", "-a", "bench", "--json"])
            .arg(app.path())
            .stderr(Stdio::inherit())
            .output()
            .await?;
        ensure!(output.status.success(), "wpaas deploy failed");
        answers(client, &url, "bench.localhost", &text).await?;
        if round == 0 {
            continue;
        }
        samples.push(started.elapsed());
        let deployed: Value = serde_json::from_slice(&output.stdout)?;
        for (name, sample) in named_steps(&deployed)? {
            if !steps.contains_key(&name) {
                order.push(name.clone());
            }
            steps.entry(name).or_default().push(sample);
        }
    }
    // Every round changes a config var, and goes back to the release before the last deploy: other code and
    // other config at once.
    let env = format!("{url}env");
    for round in 0..rounds {
        let value = format!("round {round}.");
        let started = Instant::now();
        let set = format!("GREETING={value}");
        ok(server.command(&api)?.args(["config:set", &set, "-a", "bench"])).await?;
        answers(client, &env, "bench.localhost", &value).await?;
        config.push(started.elapsed());
        let (version, text) =
            if round % 2 == 0 { ("v2", "number 0.") } else { ("v3", "number 1.") };
        let started = Instant::now();
        ok(server.command(&api)?.args(["rollback", version, "-a", "bench"])).await?;
        answers(client, &url, "bench.localhost", text).await?;
        rollback.push(started.elapsed());
    }
    let steps =
        order.into_iter().map(|name| (name.clone(), steps.remove(&name).unwrap_or_default()));
    Ok(Platform { deploy: samples, config, rollback, steps: steps.collect() })
}

/// Runs a command that must succeed.
async fn ok(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The steps of one deploy. A step that has steps of its own (the platform's build) is replaced by them and
/// by what they leave unexplained.
fn named_steps(deployed: &Value) -> anyhow::Result<Vec<(String, Duration)>> {
    let of = |value: &Value| -> anyhow::Result<Vec<(String, f64)>> {
        let steps = value.get("steps").and_then(Value::as_array).into_iter().flatten();
        let read = |step: &Value| {
            let name = step.get("name").and_then(Value::as_str)?;
            Some((name.to_owned(), step.get("ms").and_then(Value::as_f64)?))
        };
        steps.map(|step| read(step).context("a step without name or ms")).collect()
    };
    let mut named = Vec::new();
    let outer = deployed.get("steps").and_then(Value::as_array).into_iter().flatten();
    for ((name, ms), step) in of(deployed)?.into_iter().zip(outer) {
        let inner = of(step)?;
        if inner.is_empty() {
            named.push((name, ms));
            continue;
        }
        let explained: f64 = inner.iter().map(|(_, ms)| ms).sum();
        named.extend(inner.into_iter().map(|(inner, ms)| (format!("{name}: {inner}"), ms)));
        named.push((format!("{name}: the rest"), (ms - explained).max(0.0)));
    }
    Ok(named.into_iter().map(|(name, ms)| (name, Duration::from_secs_f64(ms / 1e3))).collect())
}

async fn dev(client: &reqwest::Client, rounds: u32) -> anyhow::Result<Vec<Duration>> {
    let app = App::new()?;
    let directory = app.path().to_str().context("path")?;
    let server = Running::start(&["dev", directory, "--port", "0"], "Serving ").await?;
    let url = format!("http://{}/", server.word_after(" on http://")?);
    saves(client, &app, &url, rounds).await
}

async fn node_watch(client: &reqwest::Client, rounds: u32) -> anyhow::Result<Vec<Duration>> {
    let app = App::new()?;
    npm_ci(&app).await?;
    let port = free_port()?;
    let _node = node(&app, port, &["--watch", "server.js"])?;
    saves(client, &app, &format!("http://127.0.0.1:{port}/"), rounds).await
}

/// From each save to its answer; round 0 waits for the server.
async fn saves(
    client: &reqwest::Client,
    app: &App,
    url: &str,
    rounds: u32,
) -> anyhow::Result<Vec<Duration>> {
    let mut samples = Vec::new();
    for round in 0..=rounds {
        let started = Instant::now();
        let text = app.change(round)?;
        answers(client, url, "localhost", &text).await?;
        if round > 0 {
            samples.push(started.elapsed());
        }
    }
    Ok(samples)
}

async fn npm_and_node(client: &reqwest::Client, rounds: u32) -> anyhow::Result<Vec<Duration>> {
    let mut samples = Vec::new();
    for round in 0..=rounds {
        // A new release starts from a fresh checkout.
        let app = App::new()?;
        let text = app.change(round)?;
        let port = free_port()?;
        let started = Instant::now();
        npm_ci(&app).await?;
        let _node = node(&app, port, &["server.js"])?;
        answers(client, &format!("http://127.0.0.1:{port}/"), "localhost", &text).await?;
        if round > 0 {
            samples.push(started.elapsed());
        }
    }
    Ok(samples)
}
