//! What the node counts, as a scrape shows it.

use std::collections::BTreeMap;

use openmetrics_parser::openmetrics::parse_openmetrics;
use wpaas_slug::feed::{Change, NodeLink};

use crate::support::{Host, attacked, host};

/// All samples of a scrape by name and labels.
fn scrape(host: &Host) -> BTreeMap<String, f64> {
    let text = host.node.metrics();
    // A strict parser, for the format; then the lines themselves, for their values.
    parse_openmetrics(&text).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[track_caller]
fn is(samples: &BTreeMap<String, f64>, name: &str, expected: f64) {
    assert_eq!(samples.get(name), Some(&expected), "{name} in {samples:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_app_status_and_code() {
    let host = host(|limits| limits.first_byte_ms = 300).await;
    host.deploy("app", "attack").await;
    host.deploy("other", "attack").await;
    host.get("/ok").await.ok();
    host.get("/ok").await.ok();
    host.get("/status?code=404").await;
    host.get("/slow?ms=60000").await.is_page("H12");
    host.get_from("other.localhost", "/trap").await.is_page("H13");
    host.get_from("unknown.localhost", "/").await;
    let samples = scrape(&host);
    is(&samples, r#"wpaas_requests_total{app="app",status="2xx"}"#, 2.0);
    is(&samples, r#"wpaas_requests_total{app="app",status="4xx"}"#, 1.0);
    is(&samples, r#"wpaas_requests_total{app="app",status="5xx"}"#, 1.0);
    is(&samples, r#"wpaas_errors_total{app="app",code="H12"}"#, 1.0);
    is(&samples, r#"wpaas_errors_total{app="other",code="H13"}"#, 1.0);
    is(&samples, r#"wpaas_request_duration_seconds_count{app="app"}"#, 4.0);
    is(&samples, r#"wpaas_limit_hits_total{limit="first_byte_ms"}"#, 1.0);
    is(&samples, "wpaas_unrouted_requests_total", 1.0);
    is(&samples, "wpaas_apps", 2.0);
    assert!(!samples.keys().any(|name| name.contains("unknown")), "{samples:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_dynos_and_cpu_are_counted() {
    let host = attacked(|_| {}).await;
    host.get("/ok").await.ok();
    host.get("/ok").await.ok();
    let samples = scrape(&host);
    is(&samples, r#"wpaas_start_duration_seconds_count{app="app",start="fresh"}"#, 1.0);
    assert!(samples[r#"wpaas_guest_cpu_seconds_total{app="app"}"#] > 0.0);
    assert!(samples["process_resident_memory_bytes"] > 1e6, "{samples:#?}");
    is(&samples, "wpaas_dyno_places", 20.0);
    is(&samples, "wpaas_dyno_places_used", 1.0);
    is(&samples, r#"wpaas_pool_used{kind="component_instances"}"#, 1.0);
    is(&samples, r#"wpaas_pool_used{kind="memories"}"#, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_dynos_are_counted() {
    let host = attacked(|limits| {
        limits.dyno_memory_bytes = 16 << 20;
        limits.dyno_handles = 1_000;
        limits.after_response_ms = 100;
    })
    .await;
    host.get("/alloc?bytes=100000000").await.ok();
    host.get("/alloc").await.is_page("H13");
    host.get("/handles").await.is_page("H13");
    host.get("/after?ms=60000").await.ok();
    host.log.line("heroku[web.1]: Stopping dyno: it went on for more than").await;
    let samples = scrape(&host);
    is(&samples, r#"wpaas_errors_total{app="app",code="R14"}"#, 1.0);
    is(&samples, r#"wpaas_errors_total{app="app",code="R15"}"#, 1.0);
    is(&samples, r#"wpaas_limit_hits_total{limit="dyno_memory_bytes"}"#, 2.0);
    is(&samples, r#"wpaas_limit_hits_total{limit="dyno_handles"}"#, 1.0);
    is(&samples, r#"wpaas_limit_hits_total{limit="after_response_ms"}"#, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_survive_a_release_and_go_with_the_app() {
    let host = host(|_| {}).await;
    let mut app = host.deploy("app", "attack").await;
    host.get("/ok").await.ok();
    crate::support::configure(&mut app, &[("A", "b")]);
    host.apply(&app).await;
    host.get("/ok").await.ok();
    is(&scrape(&host), r#"wpaas_requests_total{app="app",status="2xx"}"#, 2.0);
    host.node.apply(Change::AppRemoved { id: app.id }).await.unwrap();
    let samples = scrape(&host);
    assert!(!samples.keys().any(|name| name.contains(r#"app="app""#)), "{samples:#?}");
    is(&samples, "wpaas_apps", 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn compiled_code_is_counted() {
    let host = attacked(|_| {}).await;
    let samples = scrape(&host);
    assert!(samples["wpaas_code_cache_hits_total"] >= 1.0, "{samples:#?}");
    is(&samples, "wpaas_compiles_total", 0.0);
}
