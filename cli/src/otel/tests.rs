use std::{sync::mpsc, time::SystemTime};

use opentelemetry_sdk::error::OTelSdkError;

use super::*;

fn span(path: &str) -> Span {
    Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_id: Some([3; 8]),
        flags: 1,
        state: "a=1".into(),
        start: SystemTime::UNIX_EPOCH,
        end: SystemTime::UNIX_EPOCH,
        method: "BREW".into(),
        path: path.into(),
        scheme: "http",
        host: "[::1]:8080".into(),
        status: 503,
        request_id: "id".into(),
        app: "shop".into(),
        dyno: None,
        dyno_start: None,
        code: Some("H14"),
        description: Some("No web processes running"),
    }
}

/// An exporter that says when it begins, then waits until it may go on.
#[derive(Debug)]
struct Slow {
    begun: mpsc::SyncSender<usize>,
    go: parking_lot::Mutex<mpsc::Receiver<()>>,
}

impl SpanExporter for Slow {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.begun.send(batch.len()).unwrap();
        self.go.lock().recv().map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }
}

/// The attack: a collector that hangs while requests go on.
#[test]
fn spans_beyond_the_queue_are_dropped_and_counted() {
    let (begun, begins) = mpsc::sync_channel(100);
    let (go, wait) = mpsc::channel();
    let queue = Arc::new(Queue::default());
    let slow = Slow { begun, go: parking_lot::Mutex::new(wait) };
    let exporter = Counted { exporter: slow, queue: Arc::clone(&queue) };
    let batch =
        BatchConfigBuilder::default().with_max_queue_size(4).with_max_export_batch_size(2).build();
    let spans = Spans {
        sampling: Config::new(|name| {
            (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://localhost".into())
        })
        .unwrap()
        .unwrap()
        .sampling,
        scope: InstrumentationScope::builder("test").build(),
        processor: BatchSpanProcessor::builder(exporter).with_batch_config(batch).build(),
        queue,
        limit: 4,
        patience: Duration::from_secs(60),
    };
    assert!(spans.sample([1; 16], None));
    spans.write(span("/1"));
    spans.write(span("/2"));
    assert_eq!(begins.recv().unwrap(), 2, "the exporter has the first batch and hangs");
    for _ in 0..1_000 {
        spans.write(span("/more"));
    }
    assert_eq!(spans.dropped(), 996);
    drop(go);
    spans.processor.shutdown().unwrap();
    assert_eq!(begins.iter().take(2).sum::<usize>(), 4);
}

#[test]
fn spans_follow_the_conventions() {
    let data = attributes::data(span("/pot"), InstrumentationScope::builder("test").build());
    let attributes: Vec<String> =
        data.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    assert_eq!(
        attributes,
        [
            "http.request.method=_OTHER",
            "url.path=/pot",
            "url.scheme=http",
            "server.address=[::1]",
            "http.response.status_code=503",
            "wpaas.app=shop",
            "wpaas.request_id=id",
            "server.port=8080",
            "http.request.method_original=BREW",
            "error.type=H14",
            "wpaas.h_code=H14",
        ]
    );
    assert_eq!(data.name, "HTTP");
    assert_eq!(data.status, opentelemetry::trace::Status::error("H14"));
    assert_eq!(data.span_context.trace_state().header(), "a=1");
    assert!(data.span_context.is_sampled() && data.parent_span_is_remote);
}
