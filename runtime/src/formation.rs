//! The dynos of one process type of one release.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http::Request;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    feed::{DynoState, DynoStatus, Scale},
};

use crate::{
    active::Tended,
    attend::Guest,
    body::{IncomingBody, RequestBody},
    dyno::{DynoSpec, Host, Instance, StartError},
    exchange::{Exchange, Start},
    lines::DynoLog,
    pool::{Lease, Pool, Refused, Usage},
    worker,
};

/// How long a request waits for a busy dyno before it starts another one that has to load an app into
/// its stack's engine, which takes some 50 ms for Express.
const BOOT_PATIENCE: Duration = Duration::from_millis(20);

/// One process type of one release, running.
pub(crate) struct Formation {
    pub(crate) host: Arc<Host>,
    pub(crate) spec: DynoSpec,
    /// Ends what still runs when the release was replaced and the time to finish is over.
    pub(crate) stopped: CancellationToken,
    pool: Arc<Pool<Instance>>,
    command: String,
    release_id: Uuid,
    release_version: u64,
    created: Timestamp,
    listed: AtomicBool,
}

/// A request that a dyno works on.
pub(crate) struct Dispatched {
    pub(crate) dyno: DynoName,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) guest: Guest,
}

/// `web.1`, written when somebody wants to read it.
#[derive(Clone)]
pub(crate) struct DynoName {
    pub(crate) process_type: Arc<str>,
    pub(crate) number: u32,
}

impl std::fmt::Display for DynoName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.process_type, self.number)
    }
}

impl Formation {
    pub(crate) fn new(
        host: Arc<Host>,
        spec: DynoSpec,
        scale: Scale,
        command: String,
        release: (Uuid, u64),
    ) -> Arc<Self> {
        let queue = Limits::size(host.limits.queued_requests);
        let formation = Arc::new(Self {
            host,
            spec,
            stopped: CancellationToken::new(),
            pool: Pool::new(scale, queue),
            command,
            release_id: release.0,
            release_version: release.1,
            created: Timestamp::now(),
            listed: AtomicBool::new(false),
        });
        formation.keep_minimum();
        formation
    }

    /// A dyno of this formation, if one can be had without waiting.
    pub(crate) fn try_acquire(&self) -> Option<Lease<Instance>> {
        self.pool.try_acquire()
    }

    /// Waits for a dyno of this formation.
    pub(crate) async fn acquire(&self) -> Result<Lease<Instance>, Refused> {
        let patience = if self.spec.boots_on_request { BOOT_PATIENCE } else { Duration::ZERO };
        self.pool.acquire(patience).await
    }

    /// Hands a request to the dyno of `lease`. `cold` when the request had to wait for the release.
    pub(crate) fn dispatch(
        self: &Arc<Self>,
        lease: Lease<Instance>,
        request: Request<IncomingBody>,
        cold: bool,
    ) -> Dispatched {
        let process_type = Arc::clone(&self.spec.process_type);
        let dyno = DynoName { process_type, number: lease.number() };
        let exchange = Exchange::new(&self.host.limits);
        if cold {
            exchange.set_start(Start::Cold);
        }
        let exchange = Arc::new(exchange);
        let request = request.map(|body| RequestBody::new(body, Arc::clone(&exchange)));
        let guest = worker::serve(Arc::clone(self), lease, request, Arc::clone(&exchange));
        Dispatched { dyno, exchange, guest: Box::pin(guest) }
    }

    /// Starts the instance of slot `number`.
    pub(crate) async fn start(
        self: &Arc<Self>,
        number: u32,
        exchange: Option<Arc<Exchange>>,
    ) -> Result<Instance, StartError> {
        self.host.active.list(self);
        let permit = self.host.place().await;
        let log = self.log(number);
        Instance::start(&self.host, &self.spec, log, &self.dyno(number), permit, exchange).await
    }

    /// `web.1`
    pub(crate) fn dyno(&self, number: u32) -> String {
        format!("{}.{number}", self.spec.process_type)
    }

    /// The log of slot `number`.
    pub(crate) fn log(&self, number: u32) -> DynoLog {
        let line_bytes = Limits::size(self.host.limits.log_line_bytes);
        DynoLog::new(Arc::clone(&self.host.sink), self.spec.app, &self.dyno(number), line_bytes)
    }

    /// Changes how many dynos there may and must be.
    pub(crate) fn rescale(self: &Arc<Self>, scale: Scale) {
        self.pool.rescale(scale);
        self.keep_minimum();
    }

    /// Starts dynos in the background until there are as many as the scale's minimum.
    fn keep_minimum(self: &Arc<Self>) {
        while let Some(mut lease) = self.pool.acquire_for_minimum() {
            let formation = Arc::clone(self);
            tokio::spawn(async move {
                let starting = formation.start(lease.number(), None);
                let boot = Limits::ms(formation.host.limits.boot_ms);
                match tokio::time::timeout(boot, starting).await {
                    Ok(Ok(instance)) => {
                        lease.mark_up();
                        lease.put(instance);
                    }
                    // The next request tries again, and reports what is wrong.
                    failed => {
                        let error = failed.map(Result::err);
                        let dyno = formation.dyno(lease.number());
                        tracing::warn!(dyno, "did not start: {error:?}");
                        lease.mark_crashed();
                    }
                }
            });
        }
    }

    /// Ends dynos that had nothing to do for long, and replaces those of the minimum that ended.
    pub(crate) fn tend(self: &Arc<Self>) {
        self.pool.reap(Limits::ms(self.host.limits.instance_idle_ms));
        self.keep_minimum();
    }

    /// Ends dynos: idle ones now, busy ones after their request.
    pub(crate) fn restart(self: &Arc<Self>, number: Option<u32>) {
        self.pool.restart(number);
        self.keep_minimum();
    }

    /// The release was replaced: requests under way have `drain_ms` to finish.
    pub(crate) fn retire(&self) {
        self.pool.retire();
        let (stopped, drain) = (self.stopped.clone(), Limits::ms(self.host.limits.drain_ms));
        tokio::spawn(async move {
            tokio::time::sleep(drain).await;
            stopped.cancel();
        });
    }

    /// How many dynos work and wait, and how many requests wait.
    pub(crate) fn usage(&self) -> Usage {
        self.pool.usage()
    }

    /// The dynos as `ps` shows them.
    pub(crate) fn dynos(&self, scale: Scale) -> Vec<DynoStatus> {
        let status = |(number, state, since)| DynoStatus {
            name: self.dyno(number),
            process_type: self.spec.process_type.to_string(),
            command: self.command.clone(),
            state,
            since,
            release_id: self.release_id,
            release_version: self.release_version,
        };
        let dynos: Vec<_> = self.pool.dynos().into_iter().map(status).collect();
        if dynos.is_empty() && scale.max > 0 {
            return vec![status((1, DynoState::Idle, self.created))];
        }
        dynos
    }
}

impl Tended for Formation {
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
}
