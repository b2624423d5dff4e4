use openmetrics_parser::openmetrics::parse_openmetrics;

use super::*;

fn node(metrics_apps: u64) -> Arc<Metrics> {
    Metrics::new(&Limits { metrics_apps, ..Limits::default() })
}

fn text(metrics: &Arc<Metrics>, apps: &[(&str, &Arc<AppMetrics>)]) -> String {
    let apps = apps.iter().map(|(name, app)| (name.to_string(), Arc::clone(app)));
    let text = Exposition::new(metrics, apps, NodeState::default()).text();
    parse_openmetrics(&text).unwrap();
    text
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
}

#[test]
fn a_request_is_counted_once_in_each_family() {
    let metrics = node(10);
    let app = metrics.app();
    app.request(204, None, Duration::from_micros(900));
    app.request(503, Some(HCode::H12), Duration::from_secs(31));
    app.started(Start::Cold, Duration::from_millis(7));
    app.started(Start::Warm, Duration::from_millis(7));
    app.cpu(Duration::from_millis(1_500));
    app.memory(Quota::R14);
    let text = text(&metrics, &[("shop", &app)]);
    for line in [
        r#"wpaas_requests_total{app="shop",status="2xx"} 1"#,
        r#"wpaas_requests_total{app="shop",status="5xx"} 1"#,
        r#"wpaas_errors_total{app="shop",code="H12"} 1"#,
        r#"wpaas_errors_total{app="shop",code="R14"} 1"#,
        r#"wpaas_request_duration_seconds_bucket{le="0.0005",app="shop"} 0"#,
        r#"wpaas_request_duration_seconds_bucket{le="0.001",app="shop"} 1"#,
        r#"wpaas_request_duration_seconds_bucket{le="30.0",app="shop"} 1"#,
        r#"wpaas_request_duration_seconds_bucket{le="+Inf",app="shop"} 2"#,
        r#"wpaas_request_duration_seconds_count{app="shop"} 2"#,
        r#"wpaas_request_duration_seconds_sum{app="shop"} 31.0009"#,
        r#"wpaas_start_duration_seconds_count{app="shop",start="cold"} 1"#,
        r#"wpaas_guest_cpu_seconds_total{app="shop"} 1.5"#,
        r#"wpaas_limit_hits_total{limit="first_byte_ms"} 1"#,
        r#"wpaas_limit_hits_total{limit="dyno_memory_bytes"} 1"#,
        r#"wpaas_limit_hits_total{limit="queued_requests"} 0"#,
    ] {
        has(&text, line);
    }
    assert!(!text.contains(r#"start="fresh""#) && !text.contains(r#"code="H13""#), "{text}");
}

#[test]
fn strange_statuses_are_not_counted_as_another_class() {
    let metrics = node(10);
    let app = metrics.app();
    for status in [0, 99, 600, u16::MAX] {
        app.request(status, None, Duration::ZERO);
    }
    let text = text(&metrics, &[("a", &app)]);
    assert!(!text.contains("wpaas_requests_total{"), "{text}");
}

/// The attack: more apps than may have counters of their own, all of them busy.
#[test]
fn apps_beyond_the_limit_share_one_set() {
    let metrics = node(2);
    let apps: Vec<_> = (0..1_000).map(|_| metrics.app()).collect();
    for app in &apps {
        app.request(200, None, Duration::ZERO);
    }
    let names: Vec<String> = (0..1_000).map(|n| format!("app-{n}")).collect();
    let named: Vec<_> = names.iter().map(String::as_str).zip(&apps).collect();
    let text = text(&metrics, &named);
    has(&text, r#"wpaas_requests_total{app="_other",status="2xx"} 998"#);
    has(&text, r#"wpaas_requests_total{app="app-1",status="2xx"} 1"#);
    assert_eq!(text.matches(r#",status="2xx"}"#).count(), 3);
}

#[test]
fn a_removed_app_makes_room_for_another() {
    let metrics = node(1);
    let [first, second] = [metrics.app(), metrics.app()];
    first.request(200, None, Duration::ZERO);
    drop(first);
    second.request(200, None, Duration::ZERO);
    assert!(second.own().is_some());
    let third = metrics.app();
    third.request(200, None, Duration::ZERO);
    assert!(third.own().is_none());
    drop(third);
    assert_eq!(metrics.free.load(Ordering::Relaxed), 0, "it never had a place");
}

#[test]
fn an_app_is_small_and_one_without_requests_tiny() {
    assert!(size_of::<Series>() <= 768, "{}", size_of::<Series>());
    assert!(size_of::<AppMetrics>() <= 32, "{}", size_of::<AppMetrics>());
    let metrics = node(1);
    let app = metrics.app();
    assert!(app.own.get().is_none());
    assert_eq!(metrics.free.load(Ordering::Relaxed), 1);
}

#[test]
fn names_cannot_break_the_format() {
    let metrics = node(1);
    let app = metrics.app();
    app.request(200, None, Duration::ZERO);
    let text = text(&metrics, &[("a\"} 1\nb\\", &app)]);
    has(&text, r#"wpaas_requests_total{app="a\"} 1\nb\\",status="2xx"} 1"#);
}

#[test]
fn connections_are_open_until_their_guard_goes() {
    let metrics = node(1);
    let open = [metrics.connection(), metrics.connection()];
    has(&text(&metrics, &[]), "wpaas_connections 2");
    drop(open);
    has(&text(&metrics, &[]), "wpaas_connections 0");
}

#[test]
fn every_hit_names_a_limit_of_the_table() {
    let sinks = ["log_queue_lines", "trace_queue_spans"];
    for limit in Hit::ALL.iter().map(|hit| hit.limit()).chain(sinks) {
        assert!(Limits::TABLE.iter().any(|(name, ..)| *name == limit), "{limit}");
    }
    for (at, hit) in Hit::ALL.iter().enumerate() {
        assert_eq!(*hit as usize, at, "{hit:?}");
    }
    for (at, code) in HCode::ALL.iter().enumerate() {
        assert_eq!(*code as usize, at, "{code:?}");
    }
}

/// docs/operating.md has a row `| name | type | … |` for every family, and no other.
#[test]
fn the_documentation_lists_every_metric() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once("\n## Metrics\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut documented: Vec<String> = section
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|');
            let name = cells.next()?.split('`').next()?;
            Some(format!("{} {}", name.trim_end_matches("_total"), cells.next()?.trim()))
        })
        .collect();
    documented.sort();
    let engine = crate::engine::running(
        &Limits { dynos_per_node: 1, ..Limits::default() },
        crate::engine::Wasi::P2,
    );
    let pool = engine.unwrap().pooling_allocator_metrics().map(Into::into);
    let node = NodeState { pool, ..NodeState::default() };
    let metrics = Metrics::new(&Limits::default());
    let app = metrics.app();
    app.request(503, Some(HCode::H12), Duration::ZERO);
    app.started(Start::Fresh, Duration::ZERO);
    app.cpu(Duration::from_secs(1));
    let text = Exposition::new(&metrics, [("app".to_owned(), app)], node).text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut exposed: Vec<String> = types.map(str::to_owned).collect();
    exposed.sort();
    assert_eq!(documented, exposed, "correct the table of docs/operating.md");
}
