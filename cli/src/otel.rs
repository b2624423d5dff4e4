//! The router's spans on their way to a collector: OpenTelemetry's exporter behind a queue of ours.
//!
//! The request path puts a span into a bounded queue and goes on. OpenTelemetry's batch processor takes them
//! out on a thread of its own and sends them by OTLP over HTTP. A collector that is slow or away costs spans,
//! which are counted, and never a request.

mod attributes;
mod config;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::{InstrumentationScope, KeyValue, trace::TraceId};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    Protocol, SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _},
};
use tokio::runtime::Handle;
use wpaas_runtime::{Span, SpanSink};
use wpaas_slug::Limits;

use self::config::{Config, Sampling};

/// Where the node's spans go.
#[derive(Debug)]
pub(crate) struct Spans {
    sampling: Sampling,
    scope: InstrumentationScope,
    processor: BatchSpanProcessor,
    queue: Arc<Queue>,
    limit: usize,
    patience: Duration,
}

/// Spans that have been written and not yet been taken out for an export.
#[derive(Debug, Default)]
struct Queue {
    spans: AtomicUsize,
    dropped: AtomicU64,
}

impl Spans {
    /// The sink that the environment asks for, or `None` when it asks for none. To be called inside a tokio
    /// runtime, for the exporter's connections.
    pub(crate) fn of_environment(limits: &Limits) -> anyhow::Result<Option<Arc<Self>>> {
        let config = Config::new(|name| std::env::var(name).ok())?;
        config.map(|config| Self::new(config, limits).map(Arc::new)).transpose()
    }

    fn new(config: Config, limits: &Limits) -> anyhow::Result<Self> {
        let patience = Limits::ms(limits.trace_export_ms);
        // A redirect could carry the headers, with a token in them, to somewhere else.
        let client = reqwest::Client::builder()
            .timeout(patience)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let exporter = Otlp::builder()
            .with_http()
            .with_http_client(OnRuntime { client, runtime: Handle::current() })
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(patience)
            .build()
            .context("cannot export traces")?;
        let limit = Limits::size(limits.trace_queue_spans).max(1);
        let batch = BatchConfigBuilder::default()
            // Never full before ours is, which counts what it drops.
            .with_max_queue_size(limit)
            .with_max_export_batch_size(Limits::size(limits.trace_batch_spans).clamp(1, limit))
            .with_scheduled_delay(Limits::ms(limits.trace_delay_ms))
            .build();
        let queue = Arc::new(Queue::default());
        let exporter = Counted { exporter, queue: Arc::clone(&queue) };
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
        processor.set_resource(&resource(config.service_is_named));
        Ok(Self {
            sampling: config.sampling,
            scope: InstrumentationScope::builder("wpaas.router")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            processor,
            queue,
            limit,
            patience,
        })
    }

    /// Exports what is there, and ends. Returns after one export's time at the latest.
    pub(crate) async fn shutdown(self: Arc<Self>) {
        let end = move || self.processor.shutdown_with_timeout(self.patience);
        match tokio::task::spawn_blocking(end).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last spans are lost: {error}"),
            Err(error) => tracing::warn!("the last spans are lost: {error}"),
        }
    }
}

/// What is known of this node besides `OTEL_RESOURCE_ATTRIBUTES`, which the library reads itself.
fn resource(service_is_named: bool) -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    if service_is_named { resource.build() } else { resource.with_service_name("wpaas").build() }
}

impl SpanSink for Spans {
    fn sample(&self, trace_id: [u8; 16], parent: Option<bool>) -> bool {
        self.sampling.decide(TraceId::from_bytes(trace_id), parent)
    }

    fn write(&self, span: Span) {
        if self.queue.spans.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.queue.spans.fetch_sub(1, Ordering::Relaxed);
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.processor.on_end(attributes::data(span, self.scope.clone()));
    }

    fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

/// Counts what leaves the queue, and tells the operator what was lost.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    queue: Arc<Queue>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.queue.spans.fetch_sub(spans, Ordering::Relaxed);
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported {
            tracing::warn!(spans, "cannot export spans: {error}");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The batch processor waits on a thread without a reactor, which reqwest's connections need.
#[derive(Debug)]
struct OnRuntime {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

#[cfg(test)]
mod tests;
