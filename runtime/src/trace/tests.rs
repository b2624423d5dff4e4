use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::*;

/// Records traces whose id ends in an even byte, and what a parent recorded.
#[derive(Default)]
struct Sink {
    spans: Mutex<Vec<Span>>,
    asked: AtomicU64,
}

impl SpanSink for Sink {
    fn sample(&self, trace_id: [u8; 16], parent: Option<bool>) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        parent.unwrap_or(trace_id[15].is_multiple_of(2))
    }

    fn write(&self, span: Span) {
        self.spans.lock().push(span);
    }
}

fn info() -> RequestInfo {
    RequestInfo {
        method: http::Method::GET,
        target: Some(PathAndQuery::from_static("/cart?token=secret")),
        host: HeaderValue::from_static("shop.localhost:8080"),
        request_id: HeaderValue::from_static("id"),
        fwd: HeaderValue::from_static("1.2.3.4"),
        protocol: "http",
    }
}

fn headers(flags: &str) -> HeaderMap {
    let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", parent.parse().unwrap());
    headers.insert("tracestate", "vendor=1".parse().unwrap());
    headers
}

fn ended<'a>(info: &'a RequestInfo, dyno: &'a DynoName) -> Ended<'a> {
    Ended {
        info,
        status: 503,
        code: Some(HCode::H12),
        dyno: Some(dyno),
        dyno_start: Some(Start::Fresh),
        time: Duration::from_millis(20),
    }
}

#[test]
fn a_recorded_request_becomes_a_span() {
    let sink = Arc::new(Sink::default());
    let erased: Arc<dyn SpanSink> = sink.clone();
    let mut headers = headers("01");
    let trace = Trace::enter(&erased, &mut headers, "shop").unwrap();
    let dyno = DynoName { process_type: "web".into(), number: 1 };
    trace.end(ended(&info(), &dyno));
    let span = sink.spans.lock().pop().unwrap();
    let seen = headers["traceparent"].to_str().unwrap();
    assert_eq!(
        seen,
        format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", hex::encode(span.span_id))
    );
    assert_eq!(hex::encode(span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex::encode(span.parent_id.unwrap()), "00f067aa0ba902b7");
    assert_eq!((span.state.as_str(), span.flags), ("vendor=1", 1));
    assert_eq!(span.path, "/cart", "a query may hold secrets");
    assert_eq!((span.dyno.as_deref(), span.host.as_str()), (Some("web.1"), "shop.localhost:8080"));
    assert_eq!((span.status, span.code, span.dyno_start), (503, Some("H12"), Some("fresh")));
    assert_eq!(span.end.duration_since(span.start).unwrap(), Duration::from_millis(20));
}

#[test]
fn a_request_that_is_not_recorded_passes_its_context_on() {
    let sink: Arc<dyn SpanSink> = Arc::new(Sink::default());
    let mut headers = headers("00");
    assert!(Trace::enter(&sink, &mut headers, "shop").is_none());
    let seen = headers["traceparent"].to_str().unwrap();
    assert!(seen.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && seen.ends_with("-00"));
    assert!(!seen.contains("00f067aa0ba902b7"), "the router is the parent: {seen}");
    assert_eq!(headers["tracestate"], "vendor=1");
}

#[test]
fn an_invalid_context_is_replaced_by_a_new_trace() {
    let sink = Arc::new(Sink::default());
    let erased: Arc<dyn SpanSink> = sink.clone();
    let mut recorded = 0;
    for _ in 0..200 {
        let mut headers = headers("zz");
        let trace = Trace::enter(&erased, &mut headers, "shop");
        let seen = headers["traceparent"].to_str().unwrap();
        assert!(!seen.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{seen}");
        assert!(seen.ends_with(if trace.is_some() { "-03" } else { "-02" }), "{seen}");
        assert!(!headers.contains_key("tracestate"));
        recorded += u32::from(trace.is_some());
    }
    assert_eq!(sink.asked.load(Ordering::Relaxed), 200, "once a request");
    assert!((1..200).contains(&recorded), "{recorded}");
}
