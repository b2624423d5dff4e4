//! Connections that begin and end in all ways at random, and what is left of them: nothing.
//!
//! A few thousand by default; `WPAAS_SOAK=1000000` says how many, and `bench/run.sh soak` runs that many.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
};
use wpaas_slug::log::{LogLine, LogSink};

use super::socket_app;
use crate::support::{Host, host_with, soon};

const HERE: &str = "host: app.localhost\r\n";
const WEBSOCKET: &str = "GET /ws HTTP/1.1\r\nhost: app.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Connections at the same time.
const AT_ONCE: u64 = 16;
/// So few that one in a hundred that leaked would be too many, and more than are there at the same time.
const PLACES: u64 = 96;

#[derive(Default)]
struct Counts(AtomicU64);

impl LogSink for Counts {
    fn write(&self, _line: LogLine) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Client(TcpStream);

impl Client {
    async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    async fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }

    /// Reads until `end` has come.
    async fn until(&mut self, end: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while !all.windows(end.len()).any(|part| part == end) {
            let read = self.0.read(&mut buffer).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            all.extend(&buffer[..read]);
        }
        Ok(all)
    }

    /// Ends it by a reset.
    fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}

/// One connection, of the kind that `random` says.
async fn connection(address: SocketAddr, random: &mut StdRng) -> std::io::Result<()> {
    let mut client = Client::open(address).await?;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{HERE}\r\n");
    match random.random_range(0..12) {
        // Nothing at all; half a head.
        0 => {}
        1 => client.send("GET / HT").await?,
        // Requests on a kept connection.
        2 | 3 => {
            for _ in 0..random.random_range(1..4) {
                client.send(&get("/")).await?;
                client.until(b"hello from web.1").await?;
            }
        }
        // The client has said all it wants, which the router takes for its leaving.
        4 => {
            client.send(&get("/")).await?;
            client.0.shutdown().await?;
            client.0.read_to_end(&mut Vec::new()).await?;
        }
        // Left before the answer, with and without a reset.
        5 => client.send(&get("/hang")).await?,
        6 => {
            client.send(&get("/hang")).await?;
            tokio::task::yield_now().await;
            client.reset();
        }
        // In the middle of a body, on its way there and back.
        7 => {
            let head = format!("POST /upload HTTP/1.1\r\n{HERE}content-length: 100000\r\n\r\n");
            client.send(&head).await?;
            client.0.write_all(&vec![b'x'; random.random_range(0..60_000)]).await?;
            client.reset();
        }
        8 => {
            client.send(&get("/big?bytes=300000")).await?;
            client.until(b"\r\n\r\n").await?;
            client.reset();
        }
        9 => {
            client.send(&get("/sse?n=1000000&ms=1")).await?;
            client.until(b"data: 2").await?;
        }
        // In the middle of a frame, or after its echo.
        10 => {
            client.send(WEBSOCKET).await?;
            client.until(b"\r\n\r\n").await?;
            let frame = [0x82, 0x80 | 3, 0, 0, 0, 0, b'a', b'b', b'c'];
            let sent = random.random_range(1..=frame.len());
            client.0.write_all(&frame[..sent]).await?;
            if sent == frame.len() {
                client.until(b"abc").await?;
            }
            if random.random() {
                client.reset();
            }
        }
        _ => {
            client
                .send(
                    &get("/upgrade")
                        .replace("\r\n\r\n", "\r\nconnection: upgrade\r\nupgrade: shout/1\r\n\r\n"),
                )
                .await?;
            client.until(b"\r\n\r\n").await?;
            client.send("last words").await?;
            client.0.shutdown().await?;
            client.until(b"LAST WORDS").await?;
        }
    }
    Ok(())
}

/// Resident memory of this process that is no file's, in KiB.
fn memory() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// What is there: tasks, and requests that a dyno has.
fn left(host: &Host) -> (usize, String) {
    let metrics = host.node.metrics();
    let busy = metrics.lines().filter(|line| line.contains("state=\"busy\""));
    (Handle::current().metrics().num_alive_tasks(), busy.collect())
}

/// Waits until what is there is as wanted, which nothing announces.
async fn settle(host: &Host, mut wanted: impl FnMut(&(usize, String)) -> bool) {
    soon(async {
        while !wanted(&left(host)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_connections_however_they_end() {
    let wanted: u64 =
        std::env::var("WPAAS_SOAK").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let lines = Arc::new(Counts::default());
    let sink = Arc::clone(&lines);
    let change = |limits: &mut wpaas_slug::Limits| {
        limits.dyno_sockets = PLACES;
        limits.dyno_requests = PLACES;
        limits.instance_idle_ms = 3_600_000;
    };
    let host = Arc::new(host_with(change, |builder| builder.log_sink(sink)).await);
    host.apply(&socket_app(&host, &[]).await).await;
    host.get("/").await.ok();
    let mut before = left(&host);
    // The first request's connection has ended when no fewer tasks are left.
    settle(&host, |now| std::mem::replace(&mut before, now.clone()) == *now).await;
    let (done, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|seed| {
            let (host, done, failed) = (Arc::clone(&host), Arc::clone(&done), Arc::clone(&failed));
            tokio::spawn(async move {
                let mut random = StdRng::seed_from_u64(seed);
                while done.fetch_add(1, Ordering::Relaxed) < wanted {
                    if let Err(error) = soon(connection(host.address, &mut random)).await {
                        eprintln!("{error}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    // Memory has grown to its size by the middle.
    let mut middle = None;
    let mut said = 0;
    while workers.iter().any(|worker| !worker.is_finished()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let done = done.load(Ordering::Relaxed);
        if middle.is_none() && done >= wanted / 2 {
            middle = Some(memory());
        }
        if done * 10 / wanted > said {
            said = done * 10 / wanted;
            println!(
                "{done} connections in {:?}, {} KiB, {:?}",
                begun.elapsed(),
                memory(),
                left(&host)
            );
        }
    }
    futures::future::try_join_all(workers).await.unwrap();
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    // What is left ends by itself; nothing says when.
    println!("before {before:?}, at the end {:?}", left(&host));
    settle(&host, |now| now.0 <= before.0 && now.1 == before.1).await;
    // The dyno is the same, and has all its places.
    assert_eq!(host.get("/").await.ok(), "hello from web.1");
    let grown = memory() - middle.unwrap_or_else(memory);
    println!(
        "{wanted} connections in {:?}: {} lines, {grown} KiB more than half-way",
        begun.elapsed(),
        lines.0.load(Ordering::Relaxed)
    );
    assert!(grown < 16 * 1024, "{grown} KiB more than half-way");
}
