//! A span of the router in OpenTelemetry's words
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span>).

use std::borrow::Cow;

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use wpaas_runtime::Span;

/// Methods that may be used as they are; any other could be anything, and is `_OTHER`.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The span as the exporter takes it.
pub(super) fn data(span: Span, scope: InstrumentationScope) -> SpanData {
    let known = METHODS.iter().find(|method| **method == span.method).copied();
    let status = match (span.status, span.code) {
        (500.., Some(code)) => Status::error(code),
        (500.., None) => Status::error(""),
        _ => Status::Unset,
    };
    let flags = TraceFlags::new(span.flags);
    let state = span.state.parse::<TraceState>().unwrap_or_default();
    let (trace, id) = (TraceId::from_bytes(span.trace_id), SpanId::from_bytes(span.span_id));
    SpanData {
        span_context: SpanContext::new(trace, id, flags, false, state),
        parent_span_id: span.parent_id.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: span.parent_id.is_some(),
        span_kind: SpanKind::Server,
        // Without the path, of which there may be any number.
        name: Cow::Borrowed(known.unwrap_or("HTTP")),
        start_time: span.start,
        end_time: span.end,
        attributes: attributes(span, known),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: scope,
    }
}

fn attributes(span: Span, known: Option<&'static str>) -> Vec<KeyValue> {
    let (host, port) = match span.host.rsplit_once(':') {
        Some((host, port)) => (host.to_owned(), port.parse::<u16>().ok()),
        None => (span.host, None),
    };
    let error = match (span.code, span.status) {
        (Some(code), _) => Some(Cow::Borrowed(code)),
        (None, status @ 500..) => Some(Cow::Owned(status.to_string())),
        (None, _) => None,
    };
    let mut attributes = vec![
        KeyValue::new("http.request.method", known.unwrap_or("_OTHER")),
        KeyValue::new("url.path", span.path),
        KeyValue::new("url.scheme", span.scheme),
        KeyValue::new("server.address", host),
        KeyValue::new("http.response.status_code", i64::from(span.status)),
        KeyValue::new("wpaas.app", span.app),
        KeyValue::new("wpaas.request_id", span.request_id),
    ];
    let mut add = |name: &'static str, value: Option<opentelemetry::Value>| {
        attributes.extend(value.map(|value| KeyValue::new(name, value)));
    };
    add("server.port", port.map(|port| i64::from(port).into()));
    add("http.request.method_original", known.is_none().then(|| span.method.into()));
    add("error.type", error.map(Into::into));
    add("wpaas.dyno", span.dyno.map(Into::into));
    add("wpaas.start", span.dyno_start.map(Into::into));
    add("wpaas.h_code", span.code.map(Into::into));
    attributes
}
