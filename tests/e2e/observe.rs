//! What an operator sees of a running server: its metrics and its traces.

use std::sync::Arc;

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use tokio::{net::TcpListener, sync::mpsc};

use super::support::{PATIENCE, Project, Server, test_cache};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector of traces: each export as it came, decoded.
async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let (exports, received) = mpsc::unbounded_channel();
    let router = Router::new().route("/v1/traces", post(export)).with_state(Arc::new(exports));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), received)
}

async fn export(
    State(exports): State<Arc<mpsc::UnboundedSender<ExportTraceServiceRequest>>>,
    body: Bytes,
) {
    exports.send(ExportTraceServiceRequest::decode(body).unwrap()).unwrap();
}

/// An attribute as text.
fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A project of the guest that shows what it was asked.
fn attack() -> Project {
    let project = Project::new([("Procfile", "web: app.wasm\n")]);
    std::fs::copy(test_cache().join("guests/attack.wasm"), project.path().join("app.wasm"))
        .unwrap();
    project
}

#[tokio::test]
async fn a_request_becomes_a_span_of_its_callers_trace_and_the_apps_parent() {
    let (endpoint, mut exports) = collector().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ("WPAAS_LIMIT_TRACE_DELAY_MS", "50"),
    ];
    let mut server = Server::start_with(&[], &variables).await;
    server.deploy(attack().path(), "shop").await;
    // This one has no caller that records it, so there is no span of it.
    server.get("shop", "/ok").await;
    let request = server.request("shop", "/request?secret=1");
    let request = request
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=1");
    let seen = request.send().await.unwrap().text().await.unwrap();

    let export = tokio::time::timeout(PATIENCE, exports.recv()).await.unwrap().unwrap();
    let resource = export.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name").unwrap(), "edge");
    let spans: Vec<&Span> = export.resource_spans[0].scope_spans[0].spans.iter().collect();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), PARENT);
    assert_eq!((span.kind(), span.name.as_str()), (SpanKind::Server, "GET"));
    assert_eq!(span.trace_state, "vendor=1");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    for (name, expected) in [
        ("http.request.method", "GET"),
        ("url.path", "/request"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("server.address", "shop.localhost"),
        ("wpaas.app", "shop"),
        ("wpaas.dyno", "web.1"),
        ("wpaas.start", "warm"),
    ] {
        assert_eq!(
            attribute(&span.attributes, name).as_deref(),
            Some(expected),
            "{name}: {span:?}"
        );
    }
    assert!(!format!("{span:?}").contains("secret"), "{span:?}");

    let child = format!("header traceparent: 00-{TRACE}-{}-01", hex(&span.span_id));
    assert!(seen.lines().any(|line| line == child), "no {child:?} in {seen}");
    assert!(seen.contains("header tracestate: vendor=1"), "{seen}");

    // What has not been exported when the server stops is exported then.
    let last =
        server.request("shop", "/trap").header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(last.send().await.unwrap().status(), 503);
    server.stop().await;
    let export = tokio::time::timeout(PATIENCE, exports.recv()).await.unwrap().unwrap();
    let span = &export.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(attribute(&span.attributes, "wpaas.h_code").as_deref(), Some("H13"));
    assert_eq!(attribute(&span.attributes, "error.type").as_deref(), Some("H13"));
}

#[tokio::test]
async fn metrics_are_served_where_the_operator_says() {
    let server = Server::start_with(&["--metrics", "127.0.0.1:0"], &[]).await;
    server.deploy(attack().path(), "shop").await;
    assert_eq!(server.get("shop", "/status?code=404").await.0, 404);
    let response = reqwest::get(server.said("metrics ")).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = response.text().await.unwrap();
    openmetrics_parser::openmetrics::parse_openmetrics(&text).unwrap();
    let line = r#"wpaas_requests_total{app="shop",status="4xx"} 1"#;
    assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    assert!(text.contains("\nwpaas_compiles_total"), "{text}");
}

#[tokio::test]
async fn settings_of_traces_that_cannot_be_followed_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let arguments = [
        "serve",
        "--api",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ];
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    let run = super::support::run_alone_with(home.path(), &arguments, &variables).await;
    run.fails(1, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: only http/protobuf is spoken");
}
