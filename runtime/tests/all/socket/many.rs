//! Many dynos on one node, and TCP inside one.

use std::collections::BTreeSet;

use wpaas_slug::feed::{DynoState, Scale};

use super::{socket, socket_app};
use crate::support::{host, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_listen_on_the_same_port() {
    const DYNOS: usize = 1_000;
    let host = host(|limits| {
        limits.dynos_per_node = DYNOS as u64;
        limits.dyno_requests = 1;
        limits.instance_idle_ms = 3_600_000;
    })
    .await;
    let mut app = socket_app(&host, &[]).await;
    app.formation.insert("web".into(), Scale { min: 1_000, max: 1_000 });
    host.apply(&app).await;
    soon(async {
        let up = |(_, state): &(String, DynoState)| *state == DynoState::Up;
        while host.node_dynos(&app).iter().filter(|dyno| up(dyno)).count() < DYNOS {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    // Each request that has not ended keeps its dyno from the next.
    let requests = (0..200).map(|_| host.get("/sleep?ms=2000"));
    for reply in soon(futures::future::join_all(requests)).await {
        assert_eq!(reply.ok(), "slept");
    }
    let lines = host.log.lines();
    let served = lines.iter().filter(|line| line.contains("path=\"/sleep"));
    let dynos: BTreeSet<&str> =
        served.filter_map(|line| line.split_once("dyno=")?.1.split(' ').next()).collect();
    assert!(dynos.len() >= 100, "{dynos:?}");
    // All of them go within the time of this test.
    host.node.stop_processes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_behaves_as_wasmtimes_own() {
    let (host, _) = socket(&[], |_| {}).await;
    assert_eq!(host.get("/tcp").await.ok(), "ok");
}
