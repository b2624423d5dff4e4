//! Runs wrk and reads what it prints.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// One run of wrk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
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
