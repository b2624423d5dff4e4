//! HTTP/2 (RFC 9113): conformance, by h2spec, and attacks on what it lets a client make the server do.

use std::{net::SocketAddr, time::Duration};

use tokio::process::Command;

use crate::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS,
        PING, PROTOCOL_ERROR, RST_STREAM, SETTINGS, fields, frame, request,
    },
    support::{attacked, host_with, soon, test_cache},
    tls::secure_with,
};

/// What h2spec 2.2.1 finds and why it stays: a connection that begins with neither preface is HTTP/1.1, also
/// on TLS; it gets a 400 in HTTP/1.1 and is closed, and h2spec takes the 400 for a broken frame.
const KNOWN: &[&str] = &["2: Sends invalid connection preface"];

/// Runs h2spec against the address; the lines of the tests that failed.
async fn h2spec(address: SocketAddr, more: &[&str]) {
    let program = test_cache().join("h2spec/h2spec");
    assert!(program.exists(), "{} is missing: run tests/setup/h2spec.sh", program.display());
    let output = Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--path", "/whole", "--timeout", "5"])
        .args(more)
        .output();
    let output = soon(output).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.starts_with('×')).collect();
    let unknown: Vec<_> =
        failed.iter().filter(|line| !KNOWN.iter().any(|known| line.contains(known))).collect();
    assert!(text.contains(" tests, "), "{text}");
    assert!(unknown.is_empty(), "{unknown:#?}\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h2spec_finds_nothing() {
    let host = host_with(|_| {}, |builder| builder.single_app(true)).await;
    host.deploy("app", "attack").await;
    h2spec(host.address, &["--strict"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h2spec_finds_nothing_over_tls() {
    let secure = secure_with(|_| {}, |builder| builder.single_app(true)).await;
    h2spec(secure.address, &["--strict", "--tls", "--insecure"]).await;
}

/// The error of the GOAWAY that must come, and the end of the connection after it.
async fn goes_away(frames: &mut Frames) -> u32 {
    let error = frames.until(|frame| frame.kind == GOAWAY && frame.error() != 0).await;
    let error = error.expect("the connection ended without a reason").error();
    while frames.next().await.is_some() {}
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let host = attacked(|_| {}).await;
    let mut frames = Frames::connect(host.address).await;
    let head = fields(&request("GET", "/ok"));
    let mut attack = Vec::new();
    for number in 0..10_000_u32 {
        let stream = number * 2 + 1;
        attack.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
        attack.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    frames.raw.send(attack).await;
    assert_eq!(goes_away(&mut frames).await, ENHANCE_YOUR_CALM);
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_the_server_has_to_reset_end_the_connection() {
    let host = attacked(|_| {}).await;
    let mut frames = Frames::connect(host.address).await;
    // Each is malformed, so that the server is made to reset it.
    let mut malformed = request("GET", "/ok");
    malformed.push(("connection", "close"));
    let head = fields(&malformed);
    let mut attack = Vec::new();
    for number in 0..10_000_u32 {
        attack.extend(frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &head));
    }
    frames.raw.send(attack).await;
    assert_eq!(goes_away(&mut frames).await, ENHANCE_YOUR_CALM);
    assert_eq!(host.get("/count").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn header_sections_without_end_end_the_connection() {
    let host = attacked(|_| {}).await;
    let mut frames = Frames::connect(host.address).await;
    let mut attack = frame(HEADERS, END_STREAM, 1, &fields(&request("GET", "/ok")));
    let part = fields(&[("x-filler", "y")]).repeat(1_000);
    for _ in 0..1_000 {
        attack.extend(frame(CONTINUATION, 0, 1, &part));
    }
    frames.raw.send(attack).await;
    let error = goes_away(&mut frames).await;
    assert!([ENHANCE_YOUR_CALM, PROTOCOL_ERROR].contains(&error), "{error}");
    // Empty ones cost the client next to nothing.
    let mut frames = Frames::connect(host.address).await;
    let mut attack = frame(HEADERS, END_STREAM, 1, &fields(&request("GET", "/ok")));
    for _ in 0..100_000 {
        attack.extend(frame(CONTINUATION, 0, 1, &[]));
    }
    frames.raw.send(attack).await;
    let error = goes_away(&mut frames).await;
    assert!([ENHANCE_YOUR_CALM, PROTOCOL_ERROR].contains(&error), "{error}");
    assert_eq!(host.get("/count").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_section_that_is_too_large_is_431() {
    let host = attacked(|limits| limits.request_header_bytes = 10_000).await;
    let mut frames = Frames::connect(host.address).await;
    let mut head = fields(&request("GET", "/ok"));
    head.extend(fields(&[("x-filler", "yyyyyyyyyyyyyyyyyyyyyyyy")]).repeat(300));
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &head).await;
    let answer = frames.until(|frame| frame.stream == 1).await.unwrap();
    // `:status` with `431` in Huffman's code (RFC 7541, 6.2.1 and 5.2).
    assert_eq!(answer.payload[1..], [0x83, 0x69, 0x90, 0xff], "{answer:?}");
    frames.send(HEADERS, END_HEADERS | END_STREAM, 3, &fields(&request("GET", "/ok"))).await;
    assert_eq!(frames.answer(3).await.body, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_settings_and_pings_are_answered_one_at_a_time() {
    let host = attacked(|limits| limits.idle_ms = 500).await;
    // The client reads no answers, so their number is bounded by what the network takes.
    for kind in [SETTINGS, PING] {
        let mut frames = Frames::connect(host.address).await;
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[] };
        let flood = frame(kind, 0, 0, payload).repeat(10_000);
        let mut sent = 0;
        // Stuck in writing, the server reads no more, and in the end gives the client up.
        loop {
            use tokio::io::AsyncWriteExt;
            match soon(frames.raw.stream.write(&flood)).await {
                Ok(0) | Err(_) => break,
                Ok(length) => sent += length,
            }
            assert!(sent < 500 << 20, "the server takes in everything");
        }
    }
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_client_leaves_no_room_for_end_the_connection() {
    let host = attacked(|limits| {
        limits.idle_ms = 200;
        limits.connection_idle_ms = 200;
    })
    .await;
    let mut frames = Frames::connect(host.address).await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    frames.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
    let head = fields(&request("GET", "/big?bytes=10000000"));
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &head).await;
    // It proves all the while that it is there.
    let mut alive = tokio::time::interval(Duration::from_millis(20));
    soon(async {
        loop {
            tokio::select! {
                frame = frames.next() => {
                    let Some(frame) = frame else { break };
                    assert_ne!(frame.kind, DATA);
                }
                _ = alive.tick() => {
                    let ping = crate::frames::frame(PING, 0, 0, &[0; 8]);
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut frames.raw.stream, &ping).await;
                }
            }
        }
    })
    .await;
    host.log.line("code=H15").await;
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_connection_is_sent_away() {
    let host = attacked(|limits| limits.connection_idle_ms = 200).await;
    let mut frames = Frames::connect(host.address).await;
    frames
        .send(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&request("GET", "/sse?n=3&ms=300")))
        .await;
    let answer = frames.answer(1).await;
    assert_eq!(answer.body, "data: 1\n\ndata: 2\n\ndata: 3\n\n", "{answer:?}");
    let goaway = frames.until(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!(goaway.error(), 0);
    // Even if the client does not answer the PING that comes with it.
    while frames.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_limit_are_refused_and_windows_hold() {
    let host = attacked(|limits| limits.h2_streams = 2).await;
    let mut frames = Frames::connect(host.address).await;
    let head = fields(&request("POST", "/slow?ms=60000"));
    for stream in [1, 3, 5] {
        frames.send(HEADERS, END_HEADERS, stream, &head).await;
    }
    let refused = frames.until(|frame| frame.kind == RST_STREAM).await.unwrap();
    // REFUSED_STREAM
    assert_eq!((refused.stream, refused.error()), (5, 7));
    // More than the connection's window of 1 MiB is an error of the client; the guest does not read.
    for _ in 0..70 {
        frames.send(DATA, 0, 3, &vec![0; 16 * 1024]).await;
    }
    // FLOW_CONTROL_ERROR
    let error = frames.until(|frame| [GOAWAY, RST_STREAM].contains(&frame.kind)).await.unwrap();
    assert_eq!(error.error(), 3, "{error:?}");
}
