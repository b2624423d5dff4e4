//! A hundred thousand requests whose clients leave at every moment there is, and nothing that stays behind.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{process::Command, runtime::Handle};
use wpaas_slug::feed::{AppSpec, DynoState, NodeLink};

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, fields, frame, request},
    raw::Raw,
    support::{Host, host},
};

const REQUESTS: u64 = 100_000;
/// Longest time for all of them, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(300);
/// Clients at the same time.
const CLIENTS: u64 = 32;
/// Requests on one connection of HTTP/2, at most.
const STREAMS: u32 = 20;

const PATHS: [(&str, &str); 6] = [
    ("GET", "/ok"),
    ("GET", "/sse?n=3&ms=1"),
    ("GET", "/slow?ms=1"),
    ("GET", "/big?bytes=100000"),
    ("POST", "/echo"),
    ("POST", "/upload"),
];

/// What stays while a node is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    descriptors: usize,
    tasks: usize,
    dynos: usize,
}

fn kept(host: &Host, app: &AppSpec) -> Kept {
    let up = |state| !matches!(state, DynoState::Idle | DynoState::Up);
    let dynos = host.node.dynos(app.id);
    assert!(dynos.iter().all(|dyno| !up(dyno.state)), "{dynos:?}");
    Kept {
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        tasks: Handle::current().metrics().num_alive_tasks(),
        dynos: dynos.iter().filter(|dyno| dyno.state == DynoState::Up).count(),
    }
}

/// One connection of HTTP/1.1 with one request, left at some moment.
async fn leave_http1(host: &Host, random: &mut StdRng) {
    let mut raw = Raw::connect(host.address).await;
    let (method, path) = PATHS[random.random_range(0..PATHS.len())];
    let head = format!("{method} {path} HTTP/1.1\r\nhost: app.localhost\r\n");
    let (head, body) = match (method, random.random()) {
        ("GET", _) => (head + "\r\n", "".to_owned()),
        (_, true) => (head + "content-length: 4000\r\n\r\n", "u".repeat(4000)),
        (_, false) => {
            let chunks = format!("fa0\r\n{}\r\n0\r\n\r\n", "u".repeat(4000));
            (head + "transfer-encoding: chunked\r\n\r\n", chunks)
        }
    };
    match random.random_range(0..6) {
        // Before it sends anything, and in the head.
        0 => {}
        1 => raw.send(&head[..random.random_range(1..head.len())]).await,
        // In the body, or before the response.
        2 => {
            let message = head + &body;
            raw.send(&message[..random.random_range(message.len() / 2..=message.len())]).await;
        }
        // In the response.
        3 => {
            raw.send(head + &body).await;
            raw.more().await;
        }
        // Not at all.
        _ => {
            raw.send(head + &body).await;
            let response = raw.response(method).await.unwrap();
            assert_eq!(response.status, 200, "{method} {path}: {response:?}");
        }
    }
}

/// One connection of HTTP/2 with several requests, some reset, and then left. Returns how many.
async fn leave_http2(host: &Host, random: &mut StdRng) -> u64 {
    let mut frames = Frames::connect(host.address).await;
    frames.open_windows().await;
    let requests = random.random_range(1..=STREAMS);
    for number in 0..requests {
        let stream = number * 2 + 1;
        let (method, path) = PATHS[random.random_range(0..PATHS.len())];
        let head = fields(&request(method, path));
        let end = if method == "GET" { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, END_HEADERS | end, stream, &head);
        // Reset at once, in the body, not at all (twice), in the response.
        let moment = random.random_range(0..5);
        if method == "POST" && moment > 0 {
            let end = if moment > 1 { END_STREAM } else { 0 };
            bytes.extend(frame(DATA, end, stream, &[b'u'; 4000]));
        }
        // CANCEL
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        if moment < 2 {
            bytes.extend(&reset);
        }
        frames.raw.send(bytes).await;
        match moment {
            3 => {
                frames.until(|frame| frame.stream == stream && frame.flags & END_STREAM != 0).await;
            }
            4 => {
                frames.until(|frame| frame.stream == stream).await;
                frames.raw.send(reset).await;
            }
            _ => {}
        }
    }
    u64::from(requests)
}

/// In a process of its own, because descriptors are counted and other tests open some.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_leave_nothing_behind() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "disconnects::alone", "--ignored", "--nocapture"])
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("it takes too long").unwrap();
    let lossy = String::from_utf8_lossy;
    let text = format!("{}{}", lossy(&output.stdout), lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[ignore = "run by the test above"]
#[tokio::test(flavor = "multi_thread")]
async fn alone() {
    let host = host(|limits| {
        limits.after_response_ms = 1_000;
        // A full log would be the largest thing here.
        limits.log_line_bytes = 200;
    })
    .await;
    let app = host.deploy("app", "attack").await;
    // What is made once and kept: the dynos, and buffers of the runtime.
    let warm = futures::future::join_all((0..20).map(|_| host.get("/slow?ms=20"))).await;
    warm.iter().for_each(|reply| assert_eq!(reply.status, 200, "{reply:?}"));
    settled(&host, &app, None).await;
    let before = kept(&host, &app);

    let done = AtomicU64::new(0);
    let clients = (0..CLIENTS).map(|seed| {
        let (host, done) = (&host, &done);
        async move {
            let mut random = StdRng::seed_from_u64(seed);
            while done.load(Ordering::Relaxed) < REQUESTS {
                let made = if random.random_ratio(1, 4) {
                    leave_http2(host, &mut random).await
                } else {
                    leave_http1(host, &mut random).await;
                    1
                };
                done.fetch_add(made, Ordering::Relaxed);
            }
        }
    });
    futures::future::join_all(clients).await;

    settled(&host, &app, Some(before)).await;
    assert_eq!(host.get("/ok").await.ok(), "ok");
    let lines = host.log.lines();
    for code in ["code=H10", "code=H13", "code=H18", "code=H99", "panicked"] {
        let found = lines.iter().find(|line| line.contains(code));
        assert!(found.is_none(), "{found:?}");
    }
    assert!(lines.iter().any(|line| line.contains("code=H27")));
}

/// Waits until no more is kept than there was.
async fn settled(host: &Host, app: &AppSpec, before: Option<Kept>) {
    let mut now = kept(host, app);
    let mut same = 0;
    let wait = async {
        loop {
            let next = kept(host, app);
            let fits = before.is_none_or(|before| {
                next.descriptors <= before.descriptors
                    && next.tasks <= before.tasks
                    && next.dynos <= before.dynos.max(5)
            });
            same = if next == now { same + 1 } else { 0 };
            now = next;
            if fits && same > 50 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), wait).await.is_err() {
        panic!("{now:?} after {before:?}");
    }
}
