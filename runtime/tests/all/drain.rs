//! A node that stops: what is under way finishes, and clients learn that there is nothing more to be had.

use crate::{
    frames::{
        ACK, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM, fields, request,
    },
    raw::Raw,
    support::{Host, attacked, soon},
};

const SLOW: &str = "GET /sse?n=2&ms=500 HTTP/1.1\r\nhost: app.localhost\r\n\r\n";

/// Stops the node and waits until it has.
async fn stopped(host: &mut Host) {
    stop(host);
    soon(&mut host.server).await.unwrap().unwrap();
}

fn stop(host: &mut Host) {
    host.shutdown.take().unwrap().send(()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_wait_are_closed_at_once() {
    // Nothing but the drain could end them in the time of a test.
    let mut host = attacked(|limits| limits.drain_ms = 3_600_000).await;
    let mut unused = Raw::connect(host.address).await;
    let mut begun = Raw::connect(host.address).await;
    begun.send("GET /ok HTT").await;
    let mut kept = Raw::connect(host.address).await;
    kept.send("GET /ok HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(kept.response("GET").await.unwrap().body, "ok");
    let mut frames = Frames::connect(host.address).await;
    stop(&mut host);
    for raw in [&mut unused, &mut kept] {
        assert!(raw.responses().await.is_empty());
    }
    let goaway = frames.until(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!(goaway.error(), 0);
    drop(frames);
    drop(begun);
    soon(&mut host.server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_http_1_finish_and_their_connections_close() {
    let mut host = attacked(|limits| limits.drain_ms = 3_600_000).await;
    let mut begun = Raw::connect(host.address).await;
    begun.send(SLOW).await;
    // Its head is on the way already; the next one's is not.
    assert!(begun.more().await);
    let mut waiting = Raw::connect(host.address).await;
    waiting.send(SLOW).await;
    // The dyno has the first request still, so this one is queued, or will be.
    let (begun, waiting, ()) = tokio::join!(begun.responses(), waiting.responses(), async {
        stop(&mut host);
    });
    assert_eq!(begun[0].body, "data: 1\n\ndata: 2\n\n");
    // A connection that was accepted but not read yet may be closed without an answer.
    if let Some(waiting) = waiting.first() {
        assert_eq!(waiting.body, "data: 1\n\ndata: 2\n\n");
        assert!(waiting.closes(), "{waiting:?}");
    }
    soon(&mut host.server).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(host.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_request_under_way_says_that_it_is_the_last() {
    let mut host = attacked(|limits| limits.drain_ms = 3_600_000).await;
    let mut raw = Raw::connect(host.address).await;
    // The guest has read this much, so the request is under way.
    raw.send("POST /upload HTTP/1.1\r\nhost: app.localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await;
    assert_eq!(raw.response("POST").await.unwrap().status, 100);
    stop(&mut host);
    // The listener is gone when the drain has begun.
    soon(async {
        while tokio::net::TcpStream::connect(host.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    raw.send("hello").await;
    let responses = raw.responses().await;
    assert_eq!((responses.len(), responses[0].body.as_str()), (1, "5"));
    assert!(responses[0].closes(), "{responses:?}");
    soon(&mut host.server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_http_2_finish_after_goaway_and_new_ones_do_not_begin() {
    let mut host = attacked(|limits| limits.drain_ms = 3_600_000).await;
    let mut frames = Frames::connect(host.address).await;
    let slow = fields(&request("GET", "/sse?n=2&ms=500"));
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &slow).await;
    assert!(frames.until(|frame| frame.stream == 1).await.is_some());
    stop(&mut host);
    // The first one only announces the second, which comes when the client has seen it (RFC 9113, 6.8).
    frames.until(|frame| frame.kind == GOAWAY && frame.error() == 0).await.unwrap();
    let ping = frames.until(|frame| frame.kind == PING).await.unwrap();
    frames.send(PING, ACK, 0, &ping.payload).await;
    let goaway = frames.until(|frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!((&goaway.payload[..4], goaway.error()), (&[0, 0, 0, 1][..], 0));
    frames.send(HEADERS, END_HEADERS | END_STREAM, 3, &fields(&request("GET", "/ok"))).await;
    let answer = frames.answer(1).await;
    assert!(answer.body.ends_with("data: 2\n\n"), "{answer:?}");
    while let Some(frame) = frames.next().await {
        assert!(frame.stream != 3 || frame.kind == RST_STREAM, "{frame:?}");
    }
    soon(&mut host.server).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_has_an_end() {
    let mut host = attacked(|limits| limits.drain_ms = 200).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send("GET /sse?n=1000000&ms=10 HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert!(raw.more().await);
    let mut frames = Frames::connect(host.address).await;
    stopped(&mut host).await;
    while raw.more().await {}
    while frames.next().await.is_some() {}
}
