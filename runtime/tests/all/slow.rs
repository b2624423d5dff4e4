//! Slow clients, as slowhttptest makes them: they must cost others nothing, and not stay.

use std::{
    future::{Future, pending},
    time::Duration,
};

use tokio::process::Command;
use wpaas_slug::{Limits, feed::Scale};

use crate::{
    raw::Raw,
    support::{Host, app, guest, host, slug, soon},
};

const PROGRAM: &str = "/usr/bin/slowhttptest";
/// Connections of an attack.
const CLIENTS: &str = "100";

/// A node with the app `other` and one that answers at the address itself, for slowhttptest.
/// With `dynos` for the attack; there is room for more.
async fn attacked_slowly(dynos: u32, change: impl FnOnce(&mut Limits)) -> Host {
    let host = host(|limits| {
        limits.request_header_ms = 1_000;
        limits.first_byte_ms = 5_000;
        limits.idle_ms = 1_000;
        limits.after_response_ms = 100;
        change(limits);
    })
    .await;
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let mut target = app("app", Some(slug));
    target.domains = vec!["127.0.0.1".into()];
    target.formation.insert("web".into(), Scale { min: 0, max: dynos });
    host.apply(&target).await;
    host.apply(&app("other", Some(slug))).await;
    host
}

/// Attacks a path in one of slowhttptest's modes until `end`, while another client asks. Returns what
/// slowhttptest said last.
async fn attack(host: &Host, path: &str, mode: &[&str], end: impl Future<Output = ()>) -> String {
    let url = format!("http://{}{path}", host.address);
    let attack = Command::new(PROGRAM)
        .args(["-c", CLIENTS, "-r", CLIENTS, "-l", "50", "-u", &url])
        .args(mode)
        .kill_on_drop(true)
        .output();
    let mut served = 0;
    let others = async {
        loop {
            assert_eq!(host.get_from("other.localhost", "/ok").await.ok(), "ok");
            served += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let text = tokio::select! {
        output = soon(attack) => {
            let output = output.expect("run tests/setup/debian.sh");
            let text = String::from_utf8_lossy(&output.stdout);
            let end = text.rsplit_once("Exit status:");
            end.unwrap_or_else(|| panic!("{text}")).1.to_owned()
        }
        () = others => unreachable!("it goes on for ever"),
        () = end => String::new(),
    };
    assert!(served > 10, "{served}");
    text
}

/// slowhttptest ends when all its connections are closed, and when its time is over.
const ALL_CLOSED: &str = "No open connections left";

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads() {
    let host = attacked_slowly(4, |_| {}).await;
    let end = attack(&host, "/ok", &["-H", "-i", "1", "-x", "24"], pending()).await;
    assert!(end.contains(ALL_CLOSED), "{end}");
    // None of them has become a request; slowhttptest sends some whole ones to see whether they are served.
    let of_attack = |line: &&String| line.contains("host=127.0.0.1");
    assert!(host.log.lines().iter().filter(of_attack).count() < 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies() {
    let host = attacked_slowly(4, |_| {}).await;
    let pace = ["-B", "-i", "20", "-s", "8192", "-x", "10", "-t", "POST"];
    let end = attack(&host, "/upload", &pace, pending()).await;
    assert!(end.contains(ALL_CLOSED), "{end}");
    host.log.line("code=H28").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers() {
    // Few more than slowhttptest opens: other clients find a place only when it has lost its own.
    // A dyno for each, so that all get a response that they can leave unread; and connections that have got
    // theirs stay.
    let host = attacked_slowly(100, |limits| {
        limits.connections = 110;
        limits.dynos_per_node = 120;
        limits.request_header_ms = 60_000;
        limits.first_byte_ms = 60_000;
    })
    .await;
    let freed = async {
        host.log.line("code=H15").await;
        let mut open = Vec::new();
        for _ in 0..105 {
            let mut raw = Raw::connect(host.address).await;
            raw.send("GET /ok HTTP/1.1\r\nhost: other.localhost\r\n\r\n").await;
            assert_eq!(raw.response("GET").await.unwrap().body, "ok");
            open.push(raw);
        }
    };
    let pace = ["-X", "-n", "3", "-z", "8", "-w", "64", "-y", "128", "-k", "1"];
    let end = attack(&host, "/big?bytes=10000000", &pace, freed).await;
    assert_eq!(end, "", "it has ended by itself");
}
