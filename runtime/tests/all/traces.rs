//! The router's part in a trace, as the guest and the sink of spans see it.

use std::sync::Arc;

use http::Request;
use http_body_util::Full;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wpaas_runtime::{Span, SpanSink};

use crate::support::{Host, host, host_with, soon};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Records what a parent records, and every new trace.
struct Sink(UnboundedSender<Span>);

impl SpanSink for Sink {
    fn sample(&self, _: [u8; 16], parent: Option<bool>) -> bool {
        parent.unwrap_or(true)
    }

    fn write(&self, span: Span) {
        self.0.send(span).unwrap();
    }
}

async fn traced() -> (Host, UnboundedReceiver<Span>) {
    let (spans, written) = unbounded_channel();
    let host = host_with(|_| {}, |builder| builder.span_sink(Arc::new(Sink(spans)))).await;
    host.deploy("app", "attack").await;
    (host, written)
}

/// What the guest sees of a request's trace.
async fn seen(host: &Host, path: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let mut request = Request::get(path).header("host", "app.localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let text = host.send(request.body(Full::default()).unwrap()).await.ok();
    let lines = text.lines().filter_map(|line| line.strip_prefix("header "));
    lines.filter(|line| line.starts_with("trace")).map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guest_is_a_child_of_the_routers_span() {
    let (host, mut spans) = traced().await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let seen = seen(&host, "/request?secret=1", &headers).await;
    let span = soon(spans.recv()).await.unwrap();
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_id.unwrap()), PARENT);
    let child = format!("traceparent: 00-{TRACE}-{}-01", hex(&span.span_id));
    assert_eq!(seen, [child, "tracestate: a=1,b=2".into()]);
    assert_eq!(
        (&*span.app, span.dyno.as_deref(), span.dyno_start),
        ("app", Some("web.1"), Some("fresh"))
    );
    assert_eq!((span.method.as_str(), span.path.as_str(), span.status), ("GET", "/request", 200));
    assert_eq!((span.code, span.host.as_str()), (None, "app.localhost"));
    assert!(span.end >= span.start);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_context_starts_a_trace() {
    let (host, mut spans) = traced().await;
    let seen = seen(&host, "/request", &[("tracestate", "a=1")]).await;
    let span = soon(spans.recv()).await.unwrap();
    assert_eq!(span.parent_id, None);
    let child = format!("traceparent: 00-{}-{}-03", hex(&span.trace_id), hex(&span.span_id));
    assert_eq!(seen, [child], "a tracestate without a traceparent belongs to nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_router_are_spans_too() {
    let (host, mut spans) = traced().await;
    host.get("/trap").await.is_page("H13");
    let span = soon(spans.recv()).await.unwrap();
    assert_eq!((span.status, span.code, span.dyno.as_deref()), (503, Some("H13"), Some("web.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_recorded_is_passed_on_but_not_written() {
    let (host, mut spans) = traced().await;
    let parent = format!("00-{TRACE}-{PARENT}-00");
    let seen = seen(&host, "/request", &[("traceparent", &parent)]).await;
    assert!(seen[0].starts_with(&format!("traceparent: 00-{TRACE}-")), "{seen:?}");
    assert!(seen[0].ends_with("-00") && !seen[0].contains(PARENT), "{seen:?}");
    host.log.line("at=info").await;
    assert!(spans.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sink_headers_pass_untouched() {
    let host = host(|_| {}).await;
    host.deploy("app", "attack").await;
    let headers = [("traceparent", "anything"), ("tracestate", "at all")];
    let seen = seen(&host, "/request", &headers).await;
    assert_eq!(seen, ["traceparent: anything", "tracestate: at all"]);
}
