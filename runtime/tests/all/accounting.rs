//! CPU time, memory and start of a request, as its log line tells them.

use std::sync::Arc;

use wpaas_slug::feed::{Scale, Snapshot};

use crate::support::{Host, app, attacked, guest, host_in, slug};

/// A field at the end of the router's line for `path`.
async fn field(host: &Host, path: &str, name: &str) -> String {
    let line = host.log.line(&format!("path=\"{path}\"")).await;
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap();
    rest.split(' ').next().unwrap().to_owned()
}

async fn number(host: &Host, path: &str, name: &str, unit: &str) -> f64 {
    let text = field(host, path, name).await;
    text.strip_suffix(unit).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_the_peak_of_the_instance() {
    let host = attacked(|_| {}).await;
    host.get("/ok").await.ok();
    host.get("/alloc?bytes=33554432").await.ok();
    host.get("/count").await.ok();
    let before = number(&host, "/ok", "mem", "MB").await;
    let grown = number(&host, "/alloc?bytes=33554432", "mem", "MB").await;
    assert!(before > 0.0 && before < 32.0, "{before}");
    // Some of it was there already: small memories start with room.
    assert!(grown >= before + 31.0 && grown < before + 40.0, "{before} {grown}");
    // The same instance, so its memory is still there.
    assert_eq!(number(&host, "/count", "mem", "MB").await, grown);
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_counts_computing_and_not_waiting() {
    let host = attacked(|limits| limits.first_byte_ms = 1_000).await;
    host.get("/ok").await.ok();
    host.get("/slow?ms=300").await.ok();
    host.get("/spin").await.is_page("H12");
    let waiting = number(&host, "/slow?ms=300", "cpu", "ms").await;
    let computing = number(&host, "/spin", "cpu", "ms").await;
    assert!(waiting < 150.0, "{waiting}");
    // Other tests want the CPUs too, so a second on the clock is not a second on a CPU.
    assert!(computing > waiting && computing <= 1_200.0, "{waiting} {computing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_counts_the_hosts_work_for_the_guest() {
    let host = attacked(|_| {}).await;
    host.get("/random?bytes=16").await.ok();
    host.get("/random?bytes=20000000").await.ok();
    let little = number(&host, "/random?bytes=16", "cpu", "ms").await;
    let much = number(&host, "/random?bytes=20000000", "cpu", "ms").await;
    assert!(much > little, "{little} {much}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_cold_then_warm_and_fresh_after_a_crash() {
    // Nothing is compiled in this directory, and stacks are prepared before apps, so the request comes first.
    let host = host_in(tempfile::tempdir().unwrap(), |_| {}, |builder| builder).await;
    let (stack, _) = host.store.put(guest("component-hello").into()).await.unwrap();
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let mut app = app("app", Some(slug));
    app.formation.insert("web".into(), Scale { min: 0, max: 1 });
    let stacks = [("stack".to_owned(), stack)].into();
    let snapshot = Snapshot { stacks, apps: vec![Arc::new(app)], ..Snapshot::default() };
    host.node.load(snapshot).await;
    for (path, start) in [("/ok", "cold"), ("/count", "warm"), ("/trap", "warm"), ("/env", "fresh")]
    {
        host.get(path).await;
        assert_eq!(field(&host, path, "start").await, start, "{path}");
    }
    let metrics = host.node.metrics();
    for line in [
        r#"wpaas_start_duration_seconds_count{app="app",start="cold"} 1"#,
        r#"wpaas_start_duration_seconds_count{app="app",start="fresh"} 1"#,
    ] {
        assert!(metrics.contains(line), "no {line:?} in {metrics}");
    }
    // The stack's component may still be on its way.
    assert!(!metrics.contains("wpaas_compiles_total 0"), "{metrics}");
}
