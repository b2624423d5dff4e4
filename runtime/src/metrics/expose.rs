//! Everything that is counted as OpenMetrics text, which is Prometheus' format made a standard
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::{fmt, sync::Arc, sync::atomic::Ordering, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::PoolingAllocatorMetrics;

use super::{AppMetrics, CodeStats, Hit, LATENCY_US, Metrics, OTHER, START_US, Series};
use crate::{hcode::HCode, metrics::histogram::Counted};

/// What other parts of the node know at the moment of a scrape.
#[derive(Debug, Default)]
pub(crate) struct NodeState {
    /// Apps in the routing table.
    pub(crate) apps: usize,
    /// Dynos that work on a request or start.
    pub(crate) busy: usize,
    /// Dynos that wait for a request.
    pub(crate) idle: usize,
    /// Requests that wait for a dyno.
    pub(crate) queued: usize,
    /// Instances that there may be.
    pub(crate) places: usize,
    /// Instances that there are.
    pub(crate) places_used: usize,
    /// `None` when the engine allocates on demand.
    pub(crate) pool: Option<PoolState>,
    pub(crate) code: CodeState,
    /// Log lines that the sink has dropped.
    pub(crate) lines_dropped: u64,
    /// Spans that the sink has dropped.
    pub(crate) spans_dropped: u64,
}

/// Use of the engine's pools.
#[derive(Debug)]
pub(crate) struct PoolState {
    /// In use, by kind of resource.
    used: [(&'static str, u64); 5],
    /// Free, but used before, so that taking them is quick.
    warm: [(&'static str, u64); 3],
    /// What the free ones keep in memory.
    resident_bytes: u64,
}

impl From<PoolingAllocatorMetrics> for PoolState {
    fn from(pool: PoolingAllocatorMetrics) -> Self {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            used: [
                ("component_instances", pool.component_instances()),
                ("core_instances", pool.core_instances()),
                ("memories", count(pool.memories())),
                ("tables", count(pool.tables())),
                ("stacks", count(pool.stacks())),
            ],
            warm: [
                ("memories", pool.unused_warm_memories().into()),
                ("tables", pool.unused_warm_tables().into()),
                ("stacks", pool.unused_warm_stacks().into()),
            ],
            resident_bytes: count(pool.unused_memory_bytes_resident())
                .saturating_add(count(pool.unused_table_bytes_resident()))
                .saturating_add(count(pool.unused_stack_bytes_resident().unwrap_or(0))),
        }
    }
}

/// What the cache of machine code has counted.
#[derive(Debug, Default)]
pub(crate) struct CodeState {
    hits: u64,
    compiles: u64,
    failures: u64,
    compile_seconds: f64,
}

impl From<&CodeStats> for CodeState {
    fn from(stats: &CodeStats) -> Self {
        Self {
            hits: stats.hits.load(Ordering::Relaxed),
            compiles: stats.compiles.load(Ordering::Relaxed),
            failures: stats.failures.load(Ordering::Relaxed),
            compile_seconds: seconds(stats.compile_ns.load(Ordering::Relaxed)),
        }
    }
}

/// One scrape.
#[derive(Debug)]
pub(crate) struct Exposition {
    metrics: Arc<Metrics>,
    /// By label, ascending: the apps with counters of their own, and the sum of the others.
    series: Vec<(String, Arc<Series>)>,
    node: NodeState,
}

impl Exposition {
    pub(crate) fn new(
        metrics: &Arc<Metrics>,
        apps: impl IntoIterator<Item = (String, Arc<AppMetrics>)>,
        node: NodeState,
    ) -> Self {
        let own = |(name, app): (String, Arc<AppMetrics>)| Some((name, Arc::clone(app.own()?)));
        let mut series: Vec<_> = apps.into_iter().filter_map(own).collect();
        series.push((OTHER.into(), Arc::clone(&metrics.other)));
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { metrics: Arc::clone(metrics), series, node }
    }

    /// The text, with its end mark.
    pub(crate) fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        let written = encode(&mut text, &registry);
        // Writing to a string does not fail.
        debug_assert!(written.is_ok());
        text
    }

    fn requests(&self, to: &mut Families<'_>) -> fmt::Result {
        let mut family = to.family(
            "wpaas_requests",
            "Requests that are over, by app and class of the response's status",
            None,
            MetricType::Counter,
        )?;
        for (app, series) in &self.series {
            for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&series.classes) {
                let labels = [("app", app.as_str()), ("status", class)];
                count_if_any(&mut family, &labels, count.load(Ordering::Relaxed))?;
            }
        }
        let mut family = to.family(
            "wpaas_errors",
            "Heroku's error codes, by app: H codes of requests, R14 and R15 of dynos",
            None,
            MetricType::Counter,
        )?;
        for (app, series) in &self.series {
            let requests = HCode::ALL.iter().map(|code| code.code()).zip(&series.codes);
            let dynos = [("R14", &series.r14), ("R15", &series.r15)];
            for (code, count) in requests.chain(dynos) {
                let labels = [("app", app.as_str()), ("code", code)];
                count_if_any(&mut family, &labels, count.load(Ordering::Relaxed))?;
            }
        }
        let mut family = to.family(
            "wpaas_request_duration",
            "From a request's arrival to the end of its response, by app",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (app, series) in &self.series {
            let labels = [("app", app.as_str())];
            histogram(&mut family, &labels, &LATENCY_US, &series.latency.read())?;
        }
        to.counter(
            "wpaas_unrouted_requests",
            "Requests that no app got: their host is unknown or malformed",
            self.metrics.unrouted.load(Ordering::Relaxed),
        )
    }

    fn dynos(&self, to: &mut Families<'_>) -> fmt::Result {
        let mut family = to.family(
            "wpaas_start_duration",
            "From a request's arrival to the head of its response, of requests for which a dyno was \
             started; cold when its code or slug had to be brought to memory first",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (app, series) in &self.series {
            for (start, counted) in [("fresh", series.fresh.read()), ("cold", series.cold.read())] {
                let labels = [("app", app.as_str()), ("start", start)];
                histogram(&mut family, &labels, &START_US, &counted)?;
            }
        }
        let mut family = to.family(
            "wpaas_guest_cpu",
            "Time that guests, and the host on their behalf, have used a CPU, by app",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?;
        for (app, series) in &self.series {
            let cpu = series.cpu_ns.load(Ordering::Relaxed);
            if cpu > 0 {
                let labels = [("app", app.as_str())];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(
                    &seconds(cpu),
                    None,
                )?;
            }
        }
        let node = &self.node;
        let mut family = to.family(
            "wpaas_dynos",
            "Dynos of all apps: busy ones work on a request or start, idle ones wait",
            None,
            MetricType::Gauge,
        )?;
        for (state, count) in [("busy", node.busy), ("idle", node.idle)] {
            family.encode_family(&[("state", state)])?.encode_gauge(&gauge(count))?;
        }
        to.gauge("wpaas_dyno_places", "Dynos that there may be (dynos_per_node)", node.places)?;
        to.gauge("wpaas_dyno_places_used", "Dynos that there are", node.places_used)?;
        to.gauge("wpaas_queued_requests", "Requests that wait for a dyno", node.queued)?;
        to.gauge("wpaas_apps", "Apps that this node serves", node.apps)
    }

    fn engine(&self, to: &mut Families<'_>) -> fmt::Result {
        if let Some(pool) = &self.node.pool {
            for (name, help, counts) in [
                ("wpaas_pool_used", "Slots of the engine's pools in use", pool.used.as_slice()),
                (
                    "wpaas_pool_warm",
                    "Free slots that were used before, which are quicker to take",
                    &pool.warm,
                ),
            ] {
                let mut family = to.family(name, help, None, MetricType::Gauge)?;
                for (kind, count) in counts {
                    family.encode_family(&[("kind", *kind)])?.encode_gauge(count)?;
                }
            }
            let help = "Memory that free slots keep, so that taking them is quick";
            let unit = Some(&Unit::Bytes);
            let mut family =
                to.family("wpaas_pool_resident", help, unit, MetricType::Gauge)?;
            family.encode_gauge(&pool.resident_bytes)?;
        }
        let code = &self.node.code;
        to.counter("wpaas_code_cache_hits", "Components whose code was there", code.hits)?;
        to.counter("wpaas_compiles", "Components that were compiled", code.compiles)?;
        let help = "Components that could not be compiled";
        to.counter("wpaas_compile_failures", help, code.failures)?;
        to.seconds("wpaas_compile", "Time spent compiling", code.compile_seconds)
    }

    fn node(&self, to: &mut Families<'_>) -> fmt::Result {
        let mut family = to.family(
            "wpaas_limit_hits",
            "How often a limit was reached, by its name in the table of limits",
            None,
            MetricType::Counter,
        )?;
        let hits = Hit::ALL.iter().zip(&self.metrics.hits);
        let hits = hits.map(|(hit, count)| (hit.limit(), count.load(Ordering::Relaxed)));
        let sinks = [
            ("log_queue_lines", self.node.lines_dropped),
            ("trace_queue_spans", self.node.spans_dropped),
        ];
        for (limit, count) in hits.chain(sinks) {
            let labels = [("limit", limit)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        let open = self.metrics.connections.load(Ordering::Relaxed);
        to.gauge("wpaas_connections", "Open connections of clients", open)?;
        if let Some(bytes) = resident_bytes() {
            let help = "Memory of the whole process in RAM";
            let unit = Some(&Unit::Bytes);
            let mut family =
                to.family("process_resident_memory", help, unit, MetricType::Gauge)?;
            family.encode_gauge(&bytes)?;
        }
        let cpu = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
        to.seconds("process_cpu", "Time that the whole process has used a CPU", cpu.as_secs_f64())
    }
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.requests(&mut families)?;
        self.dynos(&mut families)?;
        self.engine(&mut families)?;
        self.node(&mut families)
    }
}

struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut family = self.family(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&count, None)
    }

    fn seconds(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        let mut family = self.family(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&seconds, None)
    }

    fn gauge(&mut self, name: &str, help: &str, count: usize) -> fmt::Result {
        self.family(name, help, None, MetricType::Gauge)?.encode_gauge(&gauge(count))
    }
}

/// One counter of a family. A series appears with its first event: most apps never see most codes.
fn count_if_any(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    count: u64,
) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn histogram<const COUNTS: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    bounds_us: &[u64],
    counted: &Counted<COUNTS>,
) -> fmt::Result {
    let total = counted.total();
    if total == 0 {
        return Ok(());
    }
    let bounds = bounds_us.iter().map(|us| Duration::from_micros(*us).as_secs_f64());
    let bounds = bounds.chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counted.counts).collect();
    family.encode_family(labels)?.encode_histogram::<NoLabelSet>(
        counted.sum_seconds,
        total,
        &buckets,
        None,
    )
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

fn gauge(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The second field of `/proc/self/statm` is in pages (proc_pid_statm(5)).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page)
}
