//! Apps and releases as the node runs them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;
use uuid::Uuid;
use wpaas_slug::{
    Digest,
    feed::{AppSpec, DynoStatus, ReleaseSpec, Scale},
};

use crate::{
    Error,
    checkout::Checkouts,
    code::{Code, CodeCache, GuestPre},
    compile::Urgency,
    dyno::Host,
    dynos::Dynos,
    formation::{Formation, Web},
    metrics::AppMetrics,
    parts::{Parts, Tenant},
    process::Workers,
    socket::Sockets,
};

/// The process type that gets the app's requests.
pub(crate) const WEB: &str = "web";
/// The scale of a process type that the formation does not name.
const OFF: Scale = Scale { min: 0, max: 0 };
/// A release that could not be prepared is not tried again before this.
const RETRY: Duration = Duration::from_secs(2);

/// What releases are made from.
pub(crate) struct Resources {
    pub(crate) host: Arc<Host>,
    pub(crate) checkouts: Checkouts,
    pub(crate) codes: CodeCache,
    /// Component by stack name.
    pub(crate) stacks: RwLock<BTreeMap<String, Digest>>,
    /// Code by stack name. Stays mapped while no app runs, for the first one that does.
    pub(crate) stack_codes: Mutex<BTreeMap<String, Arc<Code>>>,
}

/// An app in the routing table. Replaced, never changed.
pub(crate) struct App {
    pub(crate) spec: Arc<AppSpec>,
    /// The same for as long as the app is there.
    pub(crate) metrics: Arc<AppMetrics>,
    pub(crate) release: Option<Arc<Release>>,
}

/// A release on this node. It is prepared once: before it is switched to, or, after a start of the node, in
/// the background or by its first request.
pub(crate) struct Release {
    app: Uuid,
    metrics: Arc<AppMetrics>,
    spec: ReleaseSpec,
    scale: Mutex<BTreeMap<String, Scale>>,
    ready: OnceCell<Ready>,
    failure: Mutex<Option<(Instant, Arc<Error>)>>,
    /// It is the app's current release, so its dynos may start.
    current: AtomicBool,
}

/// What gets an app's requests.
#[derive(Clone)]
pub(crate) enum Serving {
    /// Dynos that are called for each request.
    Called(Arc<Formation>),
    /// Dynos that listen on `$PORT`.
    Listening(Arc<Sockets>),
}

struct Ready {
    /// The stack and the component of it that this release runs on.
    stack: Option<(String, Digest)>,
    web: Option<Serving>,
    /// Those of all process types, also of web.
    formations: BTreeMap<String, Arc<dyn Dynos>>,
}

impl Release {
    pub(crate) fn new(app: &AppSpec, metrics: Arc<AppMetrics>, spec: ReleaseSpec) -> Arc<Self> {
        Self::with(app.id, metrics, spec, app.formation.clone())
    }

    /// The same release from scratch, on whatever its stack is now.
    pub(crate) fn renewed(&self) -> Arc<Self> {
        let (metrics, scale) = (Arc::clone(&self.metrics), self.scale.lock().clone());
        Self::with(self.app, metrics, self.spec.clone(), scale)
    }

    fn with(
        app: Uuid,
        metrics: Arc<AppMetrics>,
        spec: ReleaseSpec,
        scale: BTreeMap<String, Scale>,
    ) -> Arc<Self> {
        Arc::new(Self {
            app,
            metrics,
            spec,
            scale: Mutex::new(scale),
            ready: OnceCell::new(),
            failure: Mutex::new(None),
            current: AtomicBool::new(false),
        })
    }

    pub(crate) fn is(&self, spec: &ReleaseSpec) -> bool {
        self.spec == *spec
    }

    /// Whether it runs on `stack`, but on another component than `component`.
    pub(crate) fn needs_stack(&self, stack: &str, component: Digest) -> bool {
        self.ready
            .get()
            .and_then(|ready| ready.stack.as_ref())
            .is_some_and(|(name, current)| name == stack && *current != component)
    }

    /// What it runs.
    pub(crate) fn slug(&self) -> Digest {
        self.spec.slug
    }

    /// Whether dynos of it run without load.
    pub(crate) fn must_run(&self) -> bool {
        self.scale.lock().values().any(|scale| scale.min > 0)
    }

    /// Prepares it as far as it must be before somebody needs it: what takes long is done at the lowest
    /// priority, so that a request that comes meanwhile need not wait for that.
    pub(crate) async fn prepare_ahead(&self, resources: &Resources) -> Result<(), Arc<Error>> {
        if self.ready.initialized() {
            return Ok(());
        }
        if let Err(error) = Parts::get(resources, self.spec.slug, Urgency::Later).await {
            return Err(self.failed(error));
        }
        if self.must_run() { self.prepare(resources).await.map(drop) } else { Ok(()) }
    }

    /// Remembers an error for the requests that come soon.
    fn failed(&self, error: Error) -> Arc<Error> {
        let error = Arc::new(error);
        *self.failure.lock() = Some((Instant::now(), Arc::clone(&error)));
        error
    }

    /// Whether requests can be served at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.initialized()
    }

    /// Fetches, compiles and makes the formations, unless that was done. `true` when it was done now.
    pub(crate) async fn prepare(&self, resources: &Resources) -> Result<bool, Arc<Error>> {
        if self.ready.initialized() {
            return Ok(false);
        }
        let made = self.ready.get_or_try_init(|| async {
            if let Some((at, error)) = &*self.failure.lock()
                && (error.permanent() || at.elapsed() < RETRY)
            {
                return Err(Arc::clone(error));
            }
            self.make(resources).await.map_err(|error| self.failed(error))
        });
        made.await?;
        self.start_if_current();
        Ok(true)
    }

    /// The app's requests go to this release from now on.
    pub(crate) fn make_current(&self) {
        self.current.store(true, Ordering::SeqCst);
        self.start_if_current();
    }

    /// Whatever comes first, being current or being prepared, the other finds it done.
    fn start_if_current(&self) {
        if self.current.load(Ordering::SeqCst) {
            self.formations().for_each(|(_, dynos)| Arc::clone(dynos).activate());
        }
    }

    async fn make(&self, resources: &Resources) -> Result<Ready, Error> {
        let egress = resources.host.network.egress(&self.spec.egress)?;
        let parts = Parts::get(resources, self.spec.slug, Urgency::Now).await?;
        // Held until the formations are in place, so that no change of the scale is lost in between.
        let scale = self.scale.lock();
        let (metrics, release) = (Arc::clone(&self.metrics), &self.spec);
        let tenant = Tenant { app: self.app, metrics, release, egress };
        let mut web = None;
        let mut formations: BTreeMap<String, Arc<dyn Dynos>> = BTreeMap::new();
        for (name, process) in &parts.checkout.config.processes {
            let Some(guest) = parts.guests.get(name) else { continue };
            let host = Arc::clone(&resources.host);
            let scale = scale.get(name).copied().unwrap_or(OFF);
            let spec = parts.dyno_spec(&tenant, (name, process), guest, &host.limits);
            let serving = match guest.pre.clone() {
                GuestPre::Command(pre) if name == WEB => {
                    let sockets = Sockets::new(host, spec, pre, scale, process.concurrency);
                    web = Some(Serving::Listening(Arc::clone(&sockets)));
                    formations.insert(name.clone(), sockets);
                    continue;
                }
                GuestPre::Command(pre) => {
                    formations.insert(name.clone(), Workers::new(host, spec, pre, scale));
                    continue;
                }
                GuestPre::Http(pre) => Web::Http(pre),
                GuestPre::HttpP3(pre) => Web::HttpP3(pre),
                GuestPre::Cgi(pre) => Web::Cgi(pre),
            };
            let formation = Formation::new(host, spec, serving, scale);
            if name == WEB {
                web = Some(Serving::Called(Arc::clone(&formation)));
            }
            formations.insert(name.clone(), formation);
        }
        Ok(Ready { stack: parts.stack, web, formations })
    }

    /// The formation that gets the app's requests, once the release is prepared.
    pub(crate) fn web(&self) -> Option<&Serving> {
        self.ready.get()?.web.as_ref()
    }

    pub(crate) fn rescale(&self, formation: &BTreeMap<String, Scale>) {
        let mut scale = self.scale.lock();
        if *scale == *formation {
            return;
        }
        *scale = formation.clone();
        for (name, running) in self.formations() {
            Arc::clone(running).rescale(scale.get(name).copied().unwrap_or(OFF));
        }
    }

    /// Ends all dynos, or the one that is named: `web.1`.
    pub(crate) fn restart(&self, dyno: Option<&str>) {
        for (name, formation) in self.formations() {
            match dyno {
                None => Arc::clone(formation).restart(None),
                Some(dyno) => {
                    let number = dyno.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
                    if let Some(Ok(number)) = number.map(str::parse) {
                        Arc::clone(formation).restart(Some(number));
                    }
                }
            }
        }
    }

    /// Another release has taken its place.
    pub(crate) fn retire(&self) {
        self.current.store(false, Ordering::SeqCst);
        for (_, formation) in self.formations() {
            formation.retire();
        }
    }

    pub(crate) fn dynos(&self) -> Vec<DynoStatus> {
        let scale = self.scale.lock();
        self.formations()
            .flat_map(|(name, formation)| formation.dynos(scale.get(name).copied().unwrap_or(OFF)))
            .collect()
    }

    fn formations(&self) -> impl Iterator<Item = (&String, &Arc<dyn Dynos>)> {
        self.ready.get().into_iter().flat_map(|ready| &ready.formations)
    }
}
