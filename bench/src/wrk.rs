//! Runs wrk and reads what it prints.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::{process, report::median};

/// One run of wrk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// How long each server is asked.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Rounds {
    /// Seconds of each round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds of each server, in turn
    #[arg(long, default_value_t = 4)]
    rounds: usize,
}

/// One of the servers that are compared.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) runs: Vec<Run>,
    /// CPU time of its process while it was asked.
    pub(crate) cpu: Duration,
}

impl Contestant {
    /// One that was not asked yet.
    pub(crate) fn new(name: &'static str, url: String, host: String, pid: u32) -> Self {
        Self { name, url, host, pid, runs: Vec::new(), cpu: Duration::ZERO }
    }

    /// Requests a second, the median of its rounds.
    pub(crate) fn rate(&self) -> f64 {
        median(self.runs.iter().map(|run| run.per_second))
    }

    /// `p50, p99` in milliseconds, medians.
    pub(crate) fn latency(&self) -> String {
        let p50 = median(self.runs.iter().map(|run| run.p50_ms));
        let p99 = median(self.runs.iter().map(|run| run.p99_ms));
        format!("{p50:.2}, {p99:.2}")
    }
}

/// Asks one after the other, in rounds. The first round does not count: it compiles, and starts dynos.
pub(crate) async fn contest<'a>(
    all: impl IntoIterator<Item = &'a mut Contestant>,
    connections: u32,
    rounds: Rounds,
) -> anyhow::Result<()> {
    let mut all: Vec<&mut Contestant> = all.into_iter().collect();
    let time = Duration::from_secs(rounds.seconds);
    for round in 0..=rounds.rounds {
        for one in &mut all {
            let before = process::cpu(one.pid)?;
            let run = run(&one.url, &one.host, connections, time).await?;
            if round > 0 {
                eprintln!("round {round}: {} {:.0}/s", one.name, run.per_second);
                one.cpu += process::cpu(one.pid)?.saturating_sub(before);
                one.runs.push(run);
            }
        }
    }
    Ok(())
}

/// Asks `url` with `host` over `connections` for `time`. Any answer but 2xx is an error.
pub(crate) async fn run(
    url: &str,
    host: &str,
    connections: u32,
    time: Duration,
) -> anyhow::Result<Run> {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{}s", time.as_secs().max(1))])
        .args(["--latency", "-H", &format!("Host: {host}"), url])
        .output()
        .await
        .context("cannot run wrk; bench/setup.sh installs it")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "wrk failed: {text}");
    ensure!(!text.contains("Non-2xx"), "{url} answered with errors: {text}");
    ensure!(!text.contains("Socket errors"), "{url} lost connections: {text}");
    read(&text).with_context(|| format!("wrk printed {text}"))
}

fn read(text: &str) -> anyhow::Result<Run> {
    let after = |prefix: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(prefix));
        line.map(str::trim).with_context(|| format!("no line {prefix}"))
    };
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let (requests, _) = requests.context("no count of requests")?;
    Ok(Run {
        requests: requests.trim().parse()?,
        per_second: after("Requests/sec:")?.parse()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
    })
}

/// `635.00us`, `1.20ms`, `3.00s`.
fn milliseconds(text: &str) -> anyhow::Result<f64> {
    for (unit, factor) in [("us", 1e-3), ("ms", 1.0), ("s", 1e3)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * factor);
        }
    }
    anyhow::bail!("{text:?} is no time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_wrk_prints() {
        let text = "Running 1s test @ http://127.0.0.1:8080/\n  1 threads and 16 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.50ms  1.0ms\n  \
            Latency Distribution\n     50%  635.00us\n     75%    1.10ms\n     90%    1.71ms\n     \
            99%    2.72s \n  12345 requests in 1.00s, 1.55MB read\nRequests/sec:  12222.22\n\
            Transfer/sec:      1.5MB\n";
        let run = read(text).unwrap();
        assert!((run.requests - 12_345.0).abs() < 0.1 && (run.per_second - 12_222.22).abs() < 0.1);
        assert!((run.p50_ms - 0.635).abs() < 1e-9 && (run.p99_ms - 2_720.0).abs() < 1e-9);
    }
}
