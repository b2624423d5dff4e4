//! The dynos of one process type of one release.

mod slots;

use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use http::Request;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};
use wpaas_slug::{
    Limits,
    feed::{self, DynoStatus, Scale},
};

use crate::{
    active::Tended,
    attend::Guest,
    body::{IncomingBody, RequestBody},
    cgi,
    dyno::{DynoSpec, DynoState, Host, Instance, Io, StartError},
    dynos::Dynos,
    exchange::{Exchange, Start},
    lane::{Load, Pace},
    lines::DynoLog,
    p3::{self, Home, Job},
    pool::{
        Pool, Refused, Usage, shared,
        shared::{Shared, Starting},
    },
    reuse::Reuse,
    worker,
};
pub(crate) use slots::Place;
use slots::Slots;

/// How long a request waits for a busy dyno before it starts another one that has to load an app into
/// its stack's engine, which takes some 50 ms for Express.
const BOOT_PATIENCE: Duration = Duration::from_millis(20);

/// How the dynos of a formation take requests.
pub(crate) enum Web {
    /// By `wasi:http/incoming-handler`.
    Http(ProxyPre<DynoState>),
    /// By `wasi:http/handler@0.3`.
    HttpP3(ServicePre<DynoState>),
    /// As CGI programs.
    Cgi(CommandPre<DynoState>),
}

/// One process type of one release that serves requests, running.
pub(crate) struct Formation {
    pub(crate) host: Arc<Host>,
    pub(crate) spec: Arc<DynoSpec>,
    web: Web,
    pub(crate) reuse: Reuse,
    /// Ends what still runs when the release was replaced and the time to finish is over.
    pub(crate) stopped: CancellationToken,
    /// What its requests take.
    pub(crate) load: Load,
    slots: Slots,
    created: Timestamp,
    listed: AtomicBool,
}

/// A request that a dyno works on.
pub(crate) struct Dispatched {
    pub(crate) dyno: DynoName,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) guest: Guest,
    pub(crate) pace: Pace,
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
    pub(crate) fn new(host: Arc<Host>, spec: DynoSpec, web: Web, scale: Scale) -> Arc<Self> {
        let queue = Limits::size(host.limits.queued_requests);
        let formation = Arc::new_cyclic(|this: &Weak<Self>| Self {
            reuse: Reuse::new(spec.isolation, &host.limits),
            slots: match &web {
                Web::Http(_) | Web::Cgi(_) => Slots::One(Pool::new(scale, queue)),
                Web::HttpP3(service) => {
                    let concurrency = spec.concurrency.map_or(1, |requests| requests.get());
                    let concurrency = usize::try_from(concurrency).unwrap_or(usize::MAX);
                    let (this, service) = (Weak::clone(this), service.clone());
                    Slots::Many(Shared::new(scale, queue, concurrency, move |starting| {
                        // Without a formation nobody waits for the instance.
                        if let Some(this) = this.upgrade() {
                            this.start_shared(service.clone(), starting);
                        }
                    }))
                }
            },
            host,
            spec: Arc::new(spec),
            web,
            stopped: CancellationToken::new(),
            load: Load::default(),
            created: Timestamp::now(),
            listed: AtomicBool::new(false),
        });
        formation.keep_minimum();
        formation
    }

    /// A place at a dyno of this formation, if one can be had without waiting.
    pub(crate) fn try_acquire(&self) -> Option<Place> {
        self.slots.try_acquire()
    }

    /// Waits for a place at a dyno of this formation.
    pub(crate) async fn acquire(&self) -> Result<Place, Refused> {
        let patience = if self.spec.boots_on_request { BOOT_PATIENCE } else { Duration::ZERO };
        self.slots.acquire(patience).await
    }

    /// Hands a request to the dyno of `place`. `cold` when the request had to wait for the release.
    pub(crate) fn dispatch(
        self: &Arc<Self>,
        place: Place,
        request: Request<IncomingBody>,
        cold: bool,
    ) -> Dispatched {
        let process_type = Arc::clone(&self.spec.process_type);
        let dyno = DynoName { process_type, number: place.number() };
        let exchange = Exchange::new(&self.host.limits);
        if cold {
            exchange.set_start(Start::Cold);
        }
        let exchange = Arc::new(exchange);
        let request = request.map(|body| RequestBody::new(body, Arc::clone(&exchange)));
        let (formation, serving) = (Arc::clone(self), Arc::clone(&exchange));
        let guest: Guest = match (place, &self.web) {
            (Place::One(lease), Web::Cgi(program)) => {
                Box::pin(cgi::serve(formation, program.clone(), lease, request, serving))
            }
            (Place::One(lease), _) => Box::pin(worker::serve(formation, lease, request, serving)),
            (Place::Many(lease), _) => {
                Box::pin(p3::hand_over(formation, Job { request, exchange: serving, lease }))
            }
        };
        Dispatched { dyno, exchange, guest, pace: self.load.pace() }
    }

    /// Starts the instance of slot `number`.
    pub(crate) async fn start(
        self: &Arc<Self>,
        number: u32,
        exchange: Option<Arc<Exchange>>,
    ) -> Result<Instance, StartError> {
        self.host.active.list(self);
        let Web::Http(pre) = &self.web else {
            let error = wasmtime::Error::msg("it is not started by a request");
            return Err(StartError::Host(error));
        };
        let instantiate = async |store: &mut Store<DynoState>| pre.instantiate_async(store).await;
        let dyno = self.dyno(number);
        Instance::start(&self.host, &self.spec, &dyno, Io::default(), exchange, instantiate).await
    }

    /// Starts an instance that serves many requests.
    fn start_shared(
        self: &Arc<Self>,
        service: ServicePre<DynoState>,
        starting: Starting<p3::Handle>,
    ) {
        self.host.active.list(self);
        let home = Home {
            host: Arc::clone(&self.host),
            spec: Arc::clone(&self.spec),
            reuse: self.reuse,
            stopped: self.stopped.clone(),
        };
        let run = p3::run(Arc::new(home), service, starting);
        // Its requests have their own accounts.
        self.host.drive(run, |_| ());
    }

    /// Another place for a request whose instance ended before it had the request.
    pub(crate) async fn place_again(&self) -> Result<shared::Lease<p3::Handle>, Refused> {
        match self.acquire().await? {
            Place::Many(lease) => Ok(lease),
            Place::One(_) => Err(Refused::Off),
        }
    }

    /// `web.1`
    pub(crate) fn dyno(&self, number: u32) -> String {
        self.spec.dyno(number)
    }

    /// The log of slot `number`.
    pub(crate) fn log(&self, number: u32) -> DynoLog {
        self.host.log(self.spec.app, &self.dyno(number))
    }

    /// Starts dynos in the background until there are as many as the scale's minimum.
    fn keep_minimum(self: &Arc<Self>) {
        let pool = match (&self.slots, &self.web) {
            // Its request is part of what a program is started with.
            (_, Web::Cgi(_)) => return,
            (Slots::Many(pool), _) => return pool.keep_minimum(),
            (Slots::One(pool), _) => pool,
        };
        while let Some(mut lease) = pool.acquire_for_minimum() {
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
}

impl Dynos for Formation {
    /// Requests start dynos; those of the minimum are there since the release was prepared.
    fn activate(self: Arc<Self>) {}

    fn rescale(self: Arc<Self>, scale: Scale) {
        self.slots.rescale(scale, &self.host.limits);
        self.keep_minimum();
    }

    /// Idle dynos end now, busy ones after their request.
    fn restart(self: Arc<Self>, number: Option<u32>) {
        self.slots.restart(number, &self.host.limits);
        self.keep_minimum();
    }

    /// Requests under way have `drain_ms` to finish.
    fn retire(&self) {
        self.slots.retire();
        let (stopped, drain) = (self.stopped.clone(), Limits::ms(self.host.limits.drain_ms));
        tokio::spawn(async move {
            tokio::time::sleep(drain).await;
            stopped.cancel();
        });
    }

    fn dynos(&self, scale: Scale) -> Vec<DynoStatus> {
        let status = |(number, state, since)| self.spec.status(number, state, since);
        let dynos: Vec<_> = self.slots.dynos().into_iter().map(status).collect();
        if dynos.is_empty() && scale.max > 0 {
            return vec![status((1, feed::DynoState::Idle, self.created))];
        }
        dynos
    }
}

impl Tended for Formation {
    fn listed(&self) -> &AtomicBool {
        &self.listed
    }

    fn is_quiet(&self) -> bool {
        self.slots.is_quiet()
    }

    fn idle_since(&self) -> Option<Instant> {
        self.slots.idle_since()
    }

    fn evict(&self) -> bool {
        self.slots.evict()
    }

    fn tend(self: Arc<Self>) {
        self.slots.reap(Limits::ms(self.host.limits.instance_idle_ms));
        self.keep_minimum();
    }

    fn usage(&self) -> Usage {
        self.slots.usage()
    }
}
