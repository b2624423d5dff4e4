//! Following a log: from the moment in which a dyno prints a line, which is the time that the line bears, to the moment in
//! which somebody who follows the log has it.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    sync::watch,
    task::JoinSet,
};

use crate::{
    component,
    load::{Ask, open_loop},
    report::{self, Target, max_ms, percentile_ms},
    server::{self, Server},
};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Requests a second; for each, the dyno prints a line and the router another
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Seconds of load
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Readers that follow the log
    #[arg(long, default_value_t = 100)]
    tails: usize,
    /// Readers besides that have opened the log and read nothing
    #[arg(long, default_value_t = 5)]
    stalled: usize,
}

const APP: &str = "tailed";

/// What one reader had of the dyno's lines: how late each was.
type Late = Vec<Duration>;

/// Measures, prints the table, keeps it, and fails when a target is missed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    ensure!(args.tails > 0, "at least one has to follow the log");
    let hello = component::rust_hello().await?;
    let home = server::home()?;
    let server = Server::start(&home, &[]).await?;
    server.deploy(APP, component::app(&hello)?.path()).await?;
    let (end, ended) = watch::channel(false);
    let mut readers = JoinSet::new();
    for _ in 1..args.tails {
        let answer = open(&server).await?;
        let bytes = answer.bytes_stream().map(|chunk| chunk.map_err(std::io::Error::other));
        readers.spawn(follow(tokio_util::io::StreamReader::new(bytes), ended.clone()));
    }
    // Their answers have begun, and nobody reads on.
    let mut stalled = Vec::new();
    for _ in 0..args.stalled {
        stalled.push(open(&server).await?);
    }
    let mut command = server.tail(APP, "app")?;
    let lines = command.stdout.take().context("no stdout")?;
    let command_reads = tokio::spawn(follow(lines, ended));
    // The command has connected when it prints; until then it would miss lines.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let ask = |_| Ask { host: Server::host(APP), text: "Hello from Rust!".into() };
    let load = open_loop(&server.url, args.rate, Duration::from_secs(args.seconds), ask).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    end.send_replace(true);
    let by_command = command_reads.await??;
    let mut all = Late::new();
    let mut fewest = usize::MAX;
    while let Some(late) = readers.join_next().await {
        let late = late??;
        fewest = fewest.min(late.len());
        all.extend(late);
    }
    command.kill().await?;
    drop(stalled);

    let mut text = format!(
        "{} requests a second to examples/rust-hello for {} s, each with a line of the dyno's and one of the router's; {} \
         readers follow the log and {} more read nothing. From a line's own time to a reader that has it:\n\n\
         | reader | lines | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|\n",
        args.rate, args.seconds, args.tails, args.stalled
    );
    let mut targets = Vec::new();
    for (who, late) in [("the API's event stream", &all), ("`wpaas logs --tail`", &by_command)] {
        let (p50, p99) = (percentile_ms(late, 50.0), percentile_ms(late, 99.0));
        let (count, most) = (late.len(), max_ms(late));
        let _ = writeln!(text, "| {who} | {count} | {p50:.2} | {p99:.2} | {most:.2} |");
        targets.push(Target::below(format!("p99 by {who}"), 200.0, p99, "ms"));
    }
    let sent = load.latencies.len();
    let complete = fewest.min(by_command.len());
    targets.push(Target::so(
        "every reader has every line",
        format!("{complete} of {sent}"),
        complete == sent,
    ));
    let errors = load.errors.len();
    targets.push(Target::so("no request failed", errors.to_string(), errors == 0));
    report::conclude("tail", &text, &targets)
}

/// Begins to follow the log.
async fn open(server: &Server) -> anyhow::Result<reqwest::Response> {
    let path = format!("/apps/{APP}/log-sessions");
    let body = json!({"tail": true, "lines": 1});
    let session = server.api(Method::POST, &path, Some(body)).await?;
    let url = session.get("logplex_url").and_then(Value::as_str).context("no URL")?;
    let client = reqwest::Client::new();
    let answer = client.get(url).header("accept", "text/event-stream").send().await?;
    Ok(answer.error_for_status()?)
}

/// Reads to the end of the measurement.
async fn follow(
    from: impl AsyncRead + Unpin,
    mut ended: watch::Receiver<bool>,
) -> anyhow::Result<Late> {
    let mut late = Late::new();
    let mut lines = BufReader::new(from).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = ended.wait_for(|ended| *ended) => return Ok(late),
        };
        let line = line.context("the log ended")?;
        let line = line.trim_start_matches("data: ");
        let Some((at, rest)) = line.split_once(" app[") else { continue };
        if !rest.starts_with("web.") {
            continue;
        }
        let at: Timestamp = at.parse().with_context(|| line.to_owned())?;
        let after = Timestamp::now().duration_since(at);
        late.push(Duration::try_from(after).unwrap_or_default());
    }
}
