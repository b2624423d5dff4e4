//! Traces: the router's part in a request that is followed through several programs.
//!
//! The runtime knows W3C trace context and what a span of the router says; where spans go and which traces
//! are recorded is for the [`SpanSink`] to decide, so that no telemetry library is needed to embed a node.
//! Without a sink nothing of this runs, and `traceparent` and `tracestate` reach the guest as they came.

mod context;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, uri::PathAndQuery};

use self::context::Context;
use crate::{exchange::Start, formation::DynoName, hcode::HCode, request_log::RequestInfo};

/// Takes the router's spans. Both methods are called on the request path: they must not block.
pub trait SpanSink: Send + Sync + 'static {
    /// Whether the request of this trace is recorded. `parent` is what whoever sent the request has decided
    /// of it, or `None` when the trace begins here.
    fn sample(&self, trace_id: [u8; 16], parent: Option<bool>) -> bool;

    /// Takes a span that is over. Drops it (and counts it) rather than grow without bound.
    fn write(&self, span: Span);

    /// Spans dropped so far.
    fn dropped(&self) -> u64 {
        0
    }
}

/// One request in the router, from its arrival to the end of its response.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace_id: [u8; 16],
    /// Its own id, which is the parent id that the guest sees.
    pub span_id: [u8; 8],
    /// The span of whoever sent the request; `None` when the trace begins here.
    pub parent_id: Option<[u8; 8]>,
    /// Flags of the context, as they were passed on.
    pub flags: u8,
    /// `tracestate`, as it was passed on.
    pub state: String,
    /// When the request arrived.
    pub start: SystemTime,
    /// When the response had been sent.
    pub end: SystemTime,
    /// The request's method.
    pub method: String,
    /// Its path, without the query, which may hold secrets.
    pub path: String,
    /// `http` or `https`
    pub scheme: &'static str,
    /// The host that the request named, with its port if it named one.
    pub host: String,
    /// The response's status.
    pub status: u16,
    /// The request's id, as in the router's log line.
    pub request_id: String,
    /// The app's name.
    pub app: Arc<str>,
    /// The dyno that worked on it: `web.1`.
    pub dyno: Option<String>,
    /// How the dyno was come by: `warm`, `fresh` or `cold`.
    pub dyno_start: Option<&'static str>,
    /// Heroku's error code: `H12`.
    pub code: Option<&'static str>,
    /// What the code means.
    pub description: Option<&'static str>,
}

/// A request that is being recorded.
pub(crate) struct Trace {
    sink: Arc<dyn SpanSink>,
    context: Context,
    state: String,
    app: Arc<str>,
    start: SystemTime,
}

/// What became of a request that was recorded.
pub(crate) struct Ended<'a> {
    pub(crate) info: &'a RequestInfo,
    pub(crate) status: u16,
    pub(crate) code: Option<HCode>,
    pub(crate) dyno: Option<&'a DynoName>,
    pub(crate) dyno_start: Option<Start>,
    /// Since [`Trace::enter`].
    pub(crate) time: Duration,
}

impl Trace {
    /// Continues the context that a request brings, or starts one, and makes the router the guest's parent
    /// in it. `None` when this request is not recorded; its context is passed on nevertheless, so that
    /// whoever comes later takes the same decision.
    pub(crate) fn enter(
        sink: &Arc<dyn SpanSink>,
        headers: &mut HeaderMap,
        app: &str,
    ) -> Option<Box<Self>> {
        let parent = context::parent(headers);
        let state = context::state(headers, parent.is_some());
        let context = Context::child(parent, |trace, parent| sink.sample(trace, parent));
        context.write(headers);
        context.sampled().then(|| {
            Box::new(Self {
                sink: Arc::clone(sink),
                context,
                state,
                app: app.into(),
                start: SystemTime::now(),
            })
        })
    }

    /// Gives the span to the sink.
    pub(crate) fn end(self, ended: Ended<'_>) {
        let info = ended.info;
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        self.sink.write(Span {
            trace_id: self.context.trace_id,
            span_id: self.context.span_id,
            parent_id: self.context.parent_id,
            flags: self.context.flags,
            state: self.state,
            start: self.start,
            end: self.start.checked_add(ended.time).unwrap_or(self.start),
            method: info.method.to_string(),
            path: info.target.as_ref().map_or("/", PathAndQuery::path).to_owned(),
            scheme: info.protocol,
            host: text(&info.host),
            status: ended.status,
            request_id: text(&info.request_id),
            app: self.app,
            dyno: ended.dyno.map(ToString::to_string),
            dyno_start: ended.dyno_start.map(Start::name),
            code: ended.code.map(HCode::code),
            description: ended.code.map(HCode::description),
        });
    }
}

#[cfg(test)]
mod tests;
