//! Apps and releases as the node runs them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;
use uuid::Uuid;
use wpaas_slug::{
    ComponentRef, Digest, World,
    feed::{AppSpec, DynoStatus, ReleaseSpec, Scale},
};

use crate::{
    Error,
    checkout::{Checkout, Checkouts},
    code::{Code, CodeCache},
    compile::Urgency,
    dyno::{DynoSpec, Host, environment},
    formation::Formation,
    metrics::AppMetrics,
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
}

struct Ready {
    /// The stack and the component of it that this release runs on.
    stack: Option<(String, Digest)>,
    formations: BTreeMap<String, Arc<Formation>>,
}

impl Release {
    pub(crate) fn new(app: &AppSpec, metrics: Arc<AppMetrics>, spec: ReleaseSpec) -> Arc<Self> {
        Arc::new(Self {
            app: app.id,
            metrics,
            spec,
            scale: Mutex::new(app.formation.clone()),
            ready: OnceCell::new(),
            failure: Mutex::new(None),
        })
    }

    /// The same release from scratch, on whatever its stack is now.
    pub(crate) fn renewed(&self) -> Arc<Self> {
        Arc::new(Self {
            app: self.app,
            metrics: Arc::clone(&self.metrics),
            spec: self.spec.clone(),
            scale: Mutex::new(self.scale.lock().clone()),
            ready: OnceCell::new(),
            failure: Mutex::new(None),
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
        made.await.map(|_| true)
    }

    async fn make(&self, resources: &Resources) -> Result<Ready, Error> {
        let egress = resources.host.network.egress(&self.spec.egress)?;
        let parts = Parts::get(resources, self.spec.slug, Urgency::Now).await?;
        // Held until the formations are in place, so that no change of the scale is lost in between.
        let scale = self.scale.lock();
        let mut formations = BTreeMap::new();
        for (name, code) in parts.codes {
            let Some(process) = parts.checkout.config.processes.get(&name) else { continue };
            let boots_on_request = process.component == ComponentRef::Stack;
            let mut args = process.args.clone();
            if boots_on_request {
                let boot = format!("--boot-timeout-ms={}", resources.host.limits.boot_ms);
                args.insert(0, boot);
            }
            let spec = DynoSpec {
                app: self.app,
                metrics: Arc::clone(&self.metrics),
                process_type: name.as_str().into(),
                env: environment(&self.spec.config),
                args,
                boots_on_request,
                checkout: Arc::clone(&parts.checkout),
                code,
                egress: Arc::clone(&egress),
            };
            let formation = Formation::new(
                Arc::clone(&resources.host),
                spec,
                scale.get(&name).copied().unwrap_or(OFF),
                process.command.clone(),
                (self.spec.id, self.spec.version),
            );
            formations.insert(name, formation);
        }
        Ok(Ready { stack: parts.stack, formations })
    }

    /// The formation that gets the app's requests, once the release is prepared.
    pub(crate) fn web(&self) -> Option<&Arc<Formation>> {
        self.ready.get()?.formations.get(WEB)
    }

    pub(crate) fn rescale(&self, formation: &BTreeMap<String, Scale>) {
        let mut scale = self.scale.lock();
        if *scale == *formation {
            return;
        }
        *scale = formation.clone();
        for (name, running) in self.formations() {
            running.rescale(scale.get(name).copied().unwrap_or(OFF));
        }
    }

    /// Ends all dynos, or the one that is named: `web.1`.
    pub(crate) fn restart(&self, dyno: Option<&str>) {
        for (name, formation) in self.formations() {
            match dyno {
                None => formation.restart(None),
                Some(dyno) => {
                    let number = dyno.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
                    if let Some(Ok(number)) = number.map(str::parse) {
                        formation.restart(Some(number));
                    }
                }
            }
        }
    }

    /// Another release has taken its place.
    pub(crate) fn retire(&self) {
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

    fn formations(&self) -> impl Iterator<Item = (&String, &Arc<Formation>)> {
        self.ready.get().into_iter().flat_map(|ready| &ready.formations)
    }
}

/// A slug on disk with the code of its process types.
pub(crate) struct Parts {
    checkout: Arc<Checkout>,
    /// By process type; those that serve HTTP.
    codes: BTreeMap<String, Arc<Code>>,
    stack: Option<(String, Digest)>,
}

impl Parts {
    /// Fetches and compiles what is not there yet.
    pub(crate) async fn get(
        resources: &Resources,
        slug: Digest,
        urgency: Urgency,
    ) -> Result<Self, Error> {
        let checkout = resources.checkouts.get(slug).await?;
        let config = &checkout.config;
        let stack = match &config.stack {
            None => None,
            Some(name) => {
                let component = resources.stacks.read().get(name).copied();
                Some((name.clone(), component.ok_or_else(|| Error::UnknownStack(name.clone()))?))
            }
        };
        let mut codes = BTreeMap::new();
        for (name, process) in &config.processes {
            if process.world != World::Http {
                if name == WEB {
                    return Err(Error::NotHttp { name: name.clone() });
                }
                continue;
            }
            let component = match (&process.component, &stack) {
                (ComponentRef::Own { digest, .. }, _) => *digest,
                (ComponentRef::Stack, Some((_, component))) => *component,
                // The slug's own check has refused this.
                (ComponentRef::Stack, None) => continue,
            };
            codes.insert(name.clone(), resources.codes.get(component, urgency).await?);
        }
        Ok(Self { checkout, codes, stack })
    }
}
