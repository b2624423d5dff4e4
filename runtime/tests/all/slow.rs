//! Slow clients, as slowhttptest makes them: they must cost others nothing, and not stay.

use std::time::Duration;

use tokio::process::Command;
use wpaas_slug::{Limits, feed::Scale};

use crate::support::{Host, app, guest, host, slug, soon};

const PROGRAM: &str = "/usr/bin/slowhttptest";
/// Connections of an attack.
const CLIENTS: &str = "100";

/// A node with the app `other` and one that answers at the address itself, for slowhttptest.
async fn attacked_slowly(change: impl FnOnce(&mut Limits)) -> Host {
    let host = host(|limits| {
        limits.request_header_ms = 1_000;
        limits.first_byte_ms = 1_000;
        limits.idle_ms = 1_000;
        limits.after_response_ms = 100;
        change(limits);
    })
    .await;
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let mut target = app("app", Some(slug));
    target.domains = vec!["127.0.0.1".into()];
    target.formation.insert("web".into(), Scale { min: 0, max: 4 });
    host.apply(&target).await;
    host.apply(&app("other", Some(slug))).await;
    host
}

/// Attacks a path in one of slowhttptest's modes while another client asks. The attack lasts until the node
/// has closed all its connections.
async fn attack(host: &Host, path: &str, mode: &[&str]) {
    let url = format!("http://{}{path}", host.address);
    let attack = Command::new(PROGRAM)
        .args(["-c", CLIENTS, "-r", CLIENTS, "-l", "50", "-u", &url])
        .args(mode)
        .output();
    let mut served = 0;
    let others = async {
        loop {
            assert_eq!(host.get_from("other.localhost", "/ok").await.ok(), "ok");
            served += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let output = tokio::select! {
        output = soon(attack) => output.expect("run tests/setup/debian.sh"),
        () = others => unreachable!("it goes on for ever"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, end) = text.rsplit_once("Exit status:").unwrap_or_else(|| panic!("{text}"));
    assert!(end.contains("No open connections left"), "{text}");
    assert!(served > 10, "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads() {
    let host = attacked_slowly(|_| {}).await;
    attack(&host, "/ok", &["-H", "-i", "1", "-x", "24"]).await;
    // None of them has become a request.
    assert!(!host.log.lines().iter().any(|line| line.contains("host=127.0.0.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies() {
    let host = attacked_slowly(|_| {}).await;
    attack(&host, "/upload", &["-B", "-i", "3", "-s", "8192", "-x", "10", "-t", "POST"]).await;
    host.log.line("code=H28").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers() {
    let host = attacked_slowly(|_| {}).await;
    let pace = ["-X", "-n", "3", "-z", "8", "-w", "64", "-y", "128", "-k", "1"];
    attack(&host, "/big?bytes=10000000&chunk=4096", &pace).await;
    host.log.line("code=H15").await;
}
