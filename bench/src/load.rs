//! Load that does not wait for answers: each request is due at a fixed time, whatever became of those before it,
//! and its latency counts from then, so that a server which stalls is charged for every request that
//! it kept waiting (no coordinated omission).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::sync::mpsc;

/// Requests under way at once; a server that falls this far behind has failed.
const MOST_UNDER_WAY: usize = 10_000;

/// What came of the load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From the time that each request was due to the last byte of its answer.
    pub(crate) latencies: Vec<Duration>,
    /// Wrong answers and lost connections.
    pub(crate) errors: Vec<String>,
    /// How late requests were sent, the worst of all: the generator's own share.
    pub(crate) sent_late: Duration,
}

/// One request: the `Host`, and what the answer must hold.
pub(crate) struct Ask {
    pub(crate) host: String,
    pub(crate) text: String,
}

/// Sends `rate` requests a second to `url` for `time`; `ask` makes the request with that number.
pub(crate) async fn open_loop(
    url: &str,
    rate: u32,
    time: Duration,
    mut ask: impl FnMut(u64) -> Ask,
) -> anyhow::Result<Outcome> {
    let client = reqwest::Client::new();
    let url: Arc<str> = url.into();
    let (results, mut answered) = mpsc::unbounded_channel();
    let started = Instant::now();
    let mut outcome = Outcome::default();
    let mut under_way = 0_usize;
    for number in 0_u64.. {
        let due = started + Duration::from_secs_f64(number as f64 / f64::from(rate));
        if due >= started + time {
            break;
        }
        let now = Instant::now();
        if now < due {
            tokio::time::sleep_until(due.into()).await;
        }
        while let Ok(result) = answered.try_recv() {
            under_way -= 1;
            count(&mut outcome, result);
        }
        ensure!(under_way < MOST_UNDER_WAY, "{MOST_UNDER_WAY} requests wait for an answer");
        outcome.sent_late = outcome.sent_late.max(due.elapsed());
        let (ask, client, url, results) =
            (ask(number), client.clone(), Arc::clone(&url), results.clone());
        under_way += 1;
        tokio::spawn(async move {
            let answer = one(&client, &url, &ask).await;
            // The receiver is there until all senders are gone.
            results.send(answer.map(|()| due.elapsed())).ok();
        });
    }
    drop(results);
    while let Some(result) = answered.recv().await {
        count(&mut outcome, result);
    }
    Ok(outcome)
}

fn count(outcome: &mut Outcome, result: anyhow::Result<Duration>) {
    match result {
        Ok(latency) => outcome.latencies.push(latency),
        Err(error) => outcome.errors.push(format!("{error:#}")),
    }
}

/// One request, which must succeed.
pub(crate) async fn one(client: &reqwest::Client, url: &str, ask: &Ask) -> anyhow::Result<()> {
    let response = client.get(url).header("host", &ask.host).send().await?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(status.is_success() && body.contains(&ask.text), "{}: {status} {body}", ask.host);
    Ok(())
}
