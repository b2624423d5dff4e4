//! What the node counts: per app and for the node as a whole.
//!
//! Recording is a handful of relaxed atomic additions on counters that the caller holds already: no lock,
//! no allocation, no look-up by name. Everything that takes longer (names, labels, sums over apps, what
//! other parts of the node know) happens when somebody asks, in `expose`.
//!
//! An app's counters are made at its first request and go when the app goes, so an app that nobody calls
//! costs a pointer. At most `metrics_apps` apps have counters of their own: the first ones to get a request.
//! The others share one set, shown under [`OTHER`]. An app never moves from one to the other while it
//! lives, because a counter that goes down would look like a restart of the node.

mod expose;
mod families;
mod histogram;
mod hit;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use wpaas_slug::Limits;

use self::histogram::Histogram;
pub(crate) use self::{
    expose::{Exposition, NodeState},
    hit::{Hit, Quota},
};
use crate::{exchange::Start, hcode::HCode};

/// The `app` label of apps beyond the limit; no app can have this name.
const OTHER: &str = "_other";

/// Upper bounds of request times in microseconds. 1-2.5-5 steps where web apps answer, so that a quantile is
/// off by at most a factor of 2.5; below them one bound for dynos that answer without computing; above them
/// the limits where the router ends a request (30 s, H12).
pub(crate) const LATENCY_US: [u64; 13] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 30_000_000,
];
/// Upper bounds of starts in microseconds: an instance takes tens of microseconds, an app that loads in a
/// shared engine tens of milliseconds, a component that has to be compiled seconds. R10 comes at 60 s.
pub(crate) const START_US: [u64; 9] =
    [250, 1_000, 5_000, 25_000, 100_000, 500_000, 2_000_000, 10_000_000, 60_000_000];

/// The counters of a node.
#[derive(Debug)]
pub(crate) struct Metrics {
    hits: [AtomicU64; Hit::ALL.len()],
    connections: AtomicUsize,
    unrouted: AtomicU64,
    /// Apps that may still get counters of their own.
    free: AtomicUsize,
    other: Arc<Series>,
}

impl Metrics {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            hits: zeroes(),
            connections: AtomicUsize::new(0),
            unrouted: AtomicU64::new(0),
            free: AtomicUsize::new(Limits::size(limits.metrics_apps)),
            other: Arc::new(Series::new()),
        })
    }

    /// The handle of an app that has just been installed.
    pub(crate) fn app(self: &Arc<Self>) -> Arc<AppMetrics> {
        Arc::new(AppMetrics { node: Arc::clone(self), own: OnceLock::new() })
    }

    /// A limit was reached.
    pub(crate) fn hit(&self, hit: Hit) {
        if let Some(count) = self.hits.get(hit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request that no app got: its host is unknown or malformed.
    pub(crate) fn unrouted(&self) {
        self.unrouted.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was accepted; it is open until the guard goes.
    pub(crate) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    fn take_place(&self) -> bool {
        let less_one = |free: usize| free.checked_sub(1);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less_one).is_ok()
    }
}

/// Counts a connection as open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where one app is counted. Made when the app is installed, carried over to what replaces it, held by
/// everything that records.
#[derive(Debug)]
pub(crate) struct AppMetrics {
    node: Arc<Metrics>,
    /// Its own counters, or those of all others.
    own: OnceLock<Arc<Series>>,
}

impl AppMetrics {
    /// A request is over. `time` is from its arrival to the end of its response.
    pub(crate) fn request(&self, status: u16, code: Option<HCode>, time: Duration) {
        let series = self.series();
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(count) = class.and_then(|class| series.classes.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        series.latency.observe(&LATENCY_US, time);
        if let Some(code) = code {
            if let Some(count) = series.codes.get(code as usize) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(hit) = Hit::of(code) {
                self.node.hit(hit);
            }
        }
    }

    /// A request for which a dyno was started has the head of its response, `time` after its arrival.
    /// Nothing is counted for a warm dyno.
    pub(crate) fn started(&self, start: Start, time: Duration) {
        let series = self.series();
        match start {
            Start::Warm => {}
            Start::Fresh => series.fresh.observe(&START_US, time),
            Start::Cold => series.cold.observe(&START_US, time),
        }
    }

    /// A guest has used a CPU for `time`.
    pub(crate) fn cpu(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.series().cpu_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// A dyno was refused memory.
    pub(crate) fn memory(&self, quota: Quota) {
        let series = self.series();
        let count = match quota {
            Quota::R14 => &series.r14,
            Quota::R15 => &series.r15,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.node.hit(Hit::Memory);
    }

    /// A limit was reached that only the node counts.
    pub(crate) fn hit(&self, hit: Hit) {
        self.node.hit(hit);
    }

    fn series(&self) -> &Series {
        self.own.get_or_init(|| match self.node.take_place() {
            true => Arc::new(Series::new()),
            false => Arc::clone(&self.node.other),
        })
    }

    /// Its own counters, if it has any.
    fn own(&self) -> Option<&Arc<Series>> {
        self.own.get().filter(|own| !Arc::ptr_eq(own, &self.node.other))
    }
}

impl Drop for AppMetrics {
    fn drop(&mut self) {
        if self.own().is_some() {
            self.node.free.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The counters of one app.
#[derive(Debug)]
struct Series {
    /// Responses by status: 1xx to 5xx.
    classes: [AtomicU64; 5],
    codes: [AtomicU64; HCode::ALL.len()],
    r14: AtomicU64,
    r15: AtomicU64,
    cpu_ns: AtomicU64,
    latency: Histogram<{ LATENCY_US.len() + 1 }>,
    fresh: Histogram<{ START_US.len() + 1 }>,
    cold: Histogram<{ START_US.len() + 1 }>,
}

impl Series {
    fn new() -> Self {
        Self {
            classes: zeroes(),
            codes: zeroes(),
            r14: AtomicU64::new(0),
            r15: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
            latency: Histogram::new(),
            fresh: Histogram::new(),
            cold: Histogram::new(),
        }
    }
}

/// What the cache of machine code counts.
#[derive(Debug, Default)]
pub(crate) struct CodeStats {
    hits: AtomicU64,
    compiles: AtomicU64,
    failures: AtomicU64,
    compile_ns: AtomicU64,
}

impl CodeStats {
    /// Code was in memory or on disk.
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Components compiled so far.
    pub(crate) fn compiles(&self) -> u64 {
        self.compiles.load(Ordering::Relaxed)
    }

    /// A component was compiled, or could not be.
    pub(crate) fn compiled(&self, time: Duration, succeeded: bool) {
        let count = if succeeded { &self.compiles } else { &self.failures };
        count.fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.compile_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

fn zeroes<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

#[cfg(test)]
mod tests;
