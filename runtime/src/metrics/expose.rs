//! Everything that is counted as OpenMetrics text, which is Prometheus' format made a standard
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode},
    registry::Registry,
};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::PoolingAllocatorMetrics;

use super::{
    AppMetrics, CodeStats, Hit, LATENCY_US, Metrics, OTHER, START_US, Series, families::Families,
};
use crate::hcode::HCode;

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
    used: [(&'static str, usize); 5],
    /// Free, but used before, so that taking them is quick.
    warm: [(&'static str, usize); 3],
    /// What the free ones keep in memory.
    resident_bytes: usize,
}

impl From<PoolingAllocatorMetrics> for PoolState {
    fn from(pool: PoolingAllocatorMetrics) -> Self {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            used: [
                ("component_instances", count(pool.component_instances())),
                ("core_instances", count(pool.core_instances())),
                ("memories", pool.memories()),
                ("tables", pool.tables()),
                ("stacks", pool.stacks()),
            ],
            warm: [
                ("memories", count(pool.unused_warm_memories().into())),
                ("tables", count(pool.unused_warm_tables().into())),
                ("stacks", count(pool.unused_warm_stacks().into())),
            ],
            resident_bytes: pool
                .unused_memory_bytes_resident()
                .saturating_add(pool.unused_table_bytes_resident())
                .saturating_add(pool.unused_stack_bytes_resident().unwrap_or(0)),
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
            compiles: stats.compiles(),
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
        let by_class = self.apps().flat_map(|(app, series)| {
            let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(&series.classes);
            classes.map(move |(class, count)| ([("app", app), ("status", class)], count))
        });
        let help = "Requests that are over, by app and class of the response's status";
        to.counters("wpaas_requests", help, happened(by_class))?;
        let by_code = self.apps().flat_map(|(app, series)| {
            let requests = HCode::ALL.iter().map(|code| code.code()).zip(&series.codes);
            let dynos = [("R14", &series.r14), ("R15", &series.r15)];
            requests.chain(dynos).map(move |(code, count)| ([("app", app), ("code", code)], count))
        });
        let help = "Heroku's error codes by app: H codes of requests, R14 and R15 of dynos";
        to.counters("wpaas_errors", help, happened(by_code))?;
        let latency = self.apps().map(|(app, series)| ([("app", app)], series.latency.read()));
        let help = "From a request's arrival to the end of its response, by app";
        to.histograms("wpaas_request_duration_seconds", help, &LATENCY_US, latency)?;
        let unrouted = self.metrics.unrouted.load(Ordering::Relaxed);
        let help = "Requests that no app got: their host is unknown or malformed";
        to.counter("wpaas_unrouted_requests", help, &unrouted)
    }

    fn dynos(&self, to: &mut Families<'_>) -> fmt::Result {
        let starts = self.apps().flat_map(|(app, series)| {
            let by_start = [("fresh", &series.fresh), ("cold", &series.cold)];
            by_start.map(|(start, times)| ([("app", app), ("start", start)], times.read()))
        });
        let help = "From a request's arrival to the head of its response, of requests for which a \
                    dyno was started; cold when its code or slug had to be brought to memory first";
        to.histograms("wpaas_start_duration_seconds", help, &START_US, starts)?;
        let cpu = self.apps().map(|(app, series)| ([("app", app)], &series.cpu_ns));
        let cpu = happened(cpu).map(|(labels, ns)| (labels, seconds(ns)));
        let help = "Time that guests, and the host on their behalf, have used a CPU, by app";
        to.counters("wpaas_guest_cpu_seconds", help, cpu)?;
        let node = &self.node;
        let states = [([("state", "busy")], node.busy), ([("state", "idle")], node.idle)];
        let help = "Dynos of all apps: busy ones work on a request or start, idle ones wait";
        to.gauges("wpaas_dynos", help, states)?;
        to.gauge("wpaas_dyno_places", "Dynos that there may be (dynos_per_node)", node.places)?;
        to.gauge("wpaas_dyno_places_used", "Dynos that there are", node.places_used)?;
        to.gauge("wpaas_queued_requests", "Requests that wait for a dyno", node.queued)?;
        to.gauge("wpaas_apps", "Apps that this node serves", node.apps)
    }

    fn engine(&self, to: &mut Families<'_>) -> fmt::Result {
        if let Some(pool) = &self.node.pool {
            let by_kind = |(kind, count): (&'static str, usize)| ([("kind", kind)], count);
            let used = pool.used.into_iter().map(by_kind);
            to.gauges("wpaas_pool_used", "Slots of the engine's pools in use", used)?;
            let warm = pool.warm.into_iter().map(by_kind);
            let help = "Free slots that were used before, which are quicker to take";
            to.gauges("wpaas_pool_warm", help, warm)?;
            let help = "Memory that free slots keep, so that taking them is quick";
            to.gauge("wpaas_pool_resident_bytes", help, pool.resident_bytes)?;
        }
        let code = &self.node.code;
        to.counter("wpaas_code_cache_hits", "Components whose code was there", &code.hits)?;
        to.counter("wpaas_compiles", "Components that were compiled", &code.compiles)?;
        let help = "Components that could not be compiled";
        to.counter("wpaas_compile_failures", help, &code.failures)?;
        to.counter("wpaas_compile_seconds", "Time spent compiling", &code.compile_seconds)
    }

    fn node(&self, to: &mut Families<'_>) -> fmt::Result {
        let hits = Hit::ALL.iter().zip(&self.metrics.hits);
        let hits = hits.map(|(hit, count)| (hit.limit(), count.load(Ordering::Relaxed)));
        let sinks = [
            ("log_queue_lines", self.node.lines_dropped),
            ("trace_queue_spans", self.node.spans_dropped),
        ];
        let hits = hits.chain(sinks).map(|(limit, count)| ([("limit", limit)], count));
        let help = "How often a limit was reached, by its name in the table of limits";
        to.counters("wpaas_limit_hits", help, hits)?;
        let open = self.metrics.connections.load(Ordering::Relaxed);
        to.gauge("wpaas_connections", "Open connections of clients", open)?;
        if let Some(bytes) = resident_bytes() {
            let help = "Memory of the whole process in RAM";
            to.gauge("process_resident_memory_bytes", help, bytes)?;
        }
        let cpu = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
        let help = "Time that the whole process has used a CPU";
        to.counter("process_cpu_seconds", help, &cpu.as_secs_f64())
    }

    fn apps(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.series.iter().map(|(app, series)| (app.as_str(), &**series))
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

/// A series appears with its first event: most apps never see most codes.
fn happened<'a, L>(
    counters: impl Iterator<Item = (L, &'a AtomicU64)>,
) -> impl Iterator<Item = (L, u64)> {
    counters
        .map(|(labels, count)| (labels, count.load(Ordering::Relaxed)))
        .filter(|(_, count)| *count > 0)
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// The second field of `/proc/self/statm` is in pages (proc_pid_statm(5)).
fn resident_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size())
}
