//! The socket dynos of one process type of one release.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use http::Request;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi::p2::bindings::CommandPre;
use wpaas_slug::{
    Limits,
    feed::{self, DynoStatus, Scale},
};

use super::{
    dyno::{self, Dyno},
    serve::serve,
};
use crate::{
    active::Tended,
    attend::Guest,
    body::{IncomingBody, RequestBody},
    dyno::{DynoSpec, DynoState, Host},
    dynos::Dynos,
    exchange::{Exchange, Start},
    formation::{Dispatched, DynoName},
    lane::Pace,
    metrics::Hit,
    pool::{
        Refused, Usage,
        shared::{self, Shared},
    },
    process::Crashes,
};

pub(crate) type Starting = shared::Starting<Arc<Dyno>>;
pub(crate) type Lease = shared::Lease<Arc<Dyno>>;

/// See the module.
pub(crate) struct Sockets {
    pub(super) host: Arc<Host>,
    pub(super) spec: DynoSpec,
    pub(super) program: CommandPre<DynoState>,
    pool: Arc<Shared<Arc<Dyno>>>,
    /// The release was replaced: what is open for long is closed.
    pub(super) draining: CancellationToken,
    /// The time to finish is over.
    pub(super) stopped: CancellationToken,
    /// By dyno number.
    crashes: Mutex<HashMap<u32, Crashed>>,
    created: Timestamp,
    listed: AtomicBool,
}

/// What is known of a number whose dynos crash.
struct Crashed {
    crashes: Crashes,
    /// It is not started again before this.
    until: Instant,
}

impl Sockets {
    /// `concurrency` is the process type's.
    pub(crate) fn new(
        host: Arc<Host>,
        spec: DynoSpec,
        program: CommandPre<DynoState>,
        scale: Scale,
        concurrency: Option<u32>,
    ) -> Arc<Self> {
        let queue = Limits::size(host.limits.queued_requests);
        let concurrency = concurrency.map_or(host.limits.dyno_requests, u64::from);
        let concurrency = concurrency.min(host.limits.dyno_sockets);
        let sockets = Arc::new_cyclic(|this: &Weak<Self>| {
            let this = Weak::clone(this);
            let start = move |starting| {
                if let Some(sockets) = this.upgrade() {
                    sockets.host.active.list(&sockets);
                    dyno::start(&sockets, starting);
                }
            };
            Self {
                pool: Shared::new(scale, queue, Limits::size(concurrency), start),
                host,
                spec,
                program,
                draining: CancellationToken::new(),
                stopped: CancellationToken::new(),
                crashes: Mutex::default(),
                created: Timestamp::now(),
                listed: AtomicBool::new(false),
            }
        });
        sockets.pool.keep_minimum();
        sockets
    }

    /// A place at a dyno, if one can be had without waiting.
    pub(crate) fn try_acquire(&self) -> Option<Lease> {
        self.pool.try_acquire()
    }

    /// Waits for a place at a dyno.
    pub(crate) async fn acquire(&self) -> Result<Lease, Refused> {
        self.pool.acquire(Duration::ZERO).await
    }

    /// Hands a request to the dyno of `lease`. `cold` when the request had to wait for the release.
    pub(crate) fn dispatch(
        self: &Arc<Self>,
        lease: Lease,
        request: Request<IncomingBody>,
        cold: bool,
    ) -> Dispatched {
        let process_type = Arc::clone(&self.spec.process_type);
        let dyno = DynoName { process_type, number: lease.number() };
        let exchange = Arc::new(Exchange::new(&self.host.limits));
        exchange.set_start(match (cold, lease.waited_for_start()) {
            (true, _) => Start::Cold,
            (false, true) => Start::Fresh,
            (false, false) => Start::Warm,
        });
        let request = request.map(|body| RequestBody::new(body, Arc::clone(&exchange)));
        let guest: Guest = Box::pin(serve(Arc::clone(self), lease, request, Arc::clone(&exchange)));
        Dispatched { dyno, exchange, guest, pace: Pace::Quick }
    }

    /// Whether the dyno `number` has crashed so recently that it is not started yet.
    pub(super) fn is_resting(&self, number: u32) -> bool {
        let crashes = self.crashes.lock();
        crashes.get(&number).is_some_and(|crashed| Instant::now() < crashed.until)
    }

    /// The dyno `number` has ended after `ran`, and nobody had asked it to. One of the scale's minimum is started
    /// again when it has rested.
    pub(super) fn crashed(self: &Arc<Self>, number: u32, ran: Duration) {
        let rest = {
            let mut crashes = self.crashes.lock();
            let crashed = crashes
                .entry(number)
                .or_insert_with(|| Crashed { crashes: Crashes::default(), until: Instant::now() });
            let rest = crashed.crashes.ended(ran, &self.host.limits);
            crashed.until = Instant::now() + rest;
            rest
        };
        let sockets = Arc::downgrade(self);
        self.host.runtime.spawn(async move {
            tokio::time::sleep(rest).await;
            if let Some(sockets) = sockets.upgrade() {
                sockets.pool.rested(number);
            }
        });
    }

    /// Gives dynos that have to go, and have requests, the time that requests have to finish.
    fn end(&self, leaving: Vec<Arc<Dyno>>) {
        if leaving.is_empty() {
            return;
        }
        let drain = Limits::ms(self.host.limits.drain_ms);
        leaving.iter().for_each(|dyno| dyno.asked.cancel());
        let metrics = Arc::clone(&self.spec.metrics);
        // What ends by itself is not kept from doing so.
        let leaving: Vec<Weak<Dyno>> = leaving.iter().map(Arc::downgrade).collect();
        self.host.runtime.spawn(async move {
            tokio::time::sleep(drain).await;
            for dyno in leaving.iter().filter_map(Weak::upgrade) {
                metrics.hit(Hit::Drain);
                dyno.kill();
            }
        });
    }
}

impl Dynos for Sockets {
    /// Requests start dynos; those of the minimum are there since the release was prepared.
    fn activate(self: Arc<Self>) {}

    fn rescale(self: Arc<Self>, scale: Scale) {
        let leaving = self.pool.rescale(scale);
        self.end(leaving);
        self.pool.keep_minimum();
    }

    fn restart(self: Arc<Self>, number: Option<u32>) {
        self.crashes.lock().retain(|at, _| number.is_some_and(|number| number != *at));
        let leaving = self.pool.restart(number);
        self.end(leaving);
        self.pool.keep_minimum();
    }

    fn retire(&self) {
        self.draining.cancel();
        self.pool.retire();
        let (stopped, drain) = (self.stopped.clone(), Limits::ms(self.host.limits.drain_ms));
        self.host.runtime.spawn(async move {
            // All of it, also when nothing is in flight: somebody may have found this release just before.
            tokio::time::sleep(drain).await;
            stopped.cancel();
        });
    }

    fn dynos(&self, scale: Scale) -> Vec<DynoStatus> {
        let status = |(number, state, since)| self.spec.status(number, state, since);
        let dynos: Vec<_> = self.pool.dynos().into_iter().map(status).collect();
        if dynos.is_empty() && scale.max > 0 {
            return vec![status((1, feed::DynoState::Idle, self.created))];
        }
        dynos
    }
}

impl Tended for Sockets {
    fn listed(&self) -> &AtomicBool {
        &self.listed
    }

    fn is_quiet(&self) -> bool {
        self.pool.is_quiet()
    }

    fn idle_since(&self) -> Option<Instant> {
        self.pool.idle_since()
    }

    fn evict(&self) -> bool {
        self.pool.evict()
    }

    fn tend(self: Arc<Self>) {
        self.pool.reap(Limits::ms(self.host.limits.instance_idle_ms));
        self.pool.keep_minimum();
    }

    fn usage(&self) -> Usage {
        self.pool.usage()
    }
}
