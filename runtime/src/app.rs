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
    ComponentRef, Digest, ProcessType, World,
    feed::{AppSpec, DynoStatus, ReleaseSpec, Scale},
};

use crate::{
    Error, cgi,
    checkout::{Checkout, Checkouts},
    code::{Code, CodeCache, GuestPre},
    dyno::{DynoSpec, Host, environment},
    dynos::Dynos,
    formation::{Formation, Web},
    process::Workers,
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
}

/// An app in the routing table. Replaced, never changed.
pub(crate) struct App {
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) release: Option<Arc<Release>>,
}

/// A release on this node. It is prepared once: before it is switched to, or, after a start of the node, in
/// the background or by its first request.
pub(crate) struct Release {
    app: Uuid,
    spec: ReleaseSpec,
    scale: Mutex<BTreeMap<String, Scale>>,
    ready: OnceCell<Ready>,
    failure: Mutex<Option<(Instant, Arc<Error>)>>,
    /// It is the app's current release, so its dynos may start.
    current: AtomicBool,
}

struct Ready {
    /// The stack and the component of it that this release runs on.
    stack: Option<(String, Digest)>,
    web: Option<Arc<Formation>>,
    /// Those of all process types, also of web.
    formations: BTreeMap<String, Arc<dyn Dynos>>,
}

impl Release {
    pub(crate) fn new(app: &AppSpec, spec: ReleaseSpec) -> Arc<Self> {
        Self::with(app.id, spec, app.formation.clone())
    }

    /// The same release from scratch, on whatever its stack is now.
    pub(crate) fn renewed(&self) -> Arc<Self> {
        Self::with(self.app, self.spec.clone(), self.scale.lock().clone())
    }

    fn with(app: Uuid, spec: ReleaseSpec, scale: BTreeMap<String, Scale>) -> Arc<Self> {
        Arc::new(Self {
            app,
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
            self.make(resources).await.map_err(|error| {
                let error = Arc::new(error);
                *self.failure.lock() = Some((Instant::now(), Arc::clone(&error)));
                error
            })
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
        let parts = Parts::get(resources, self.spec.slug).await?;
        // Held until the formations are in place, so that no change of the scale is lost in between.
        let scale = self.scale.lock();
        let mut web = None;
        let mut formations: BTreeMap<String, Arc<dyn Dynos>> = BTreeMap::new();
        for (name, process) in &parts.checkout.config.processes {
            let Some(guest) = parts.guests.get(name) else { continue };
            let host = Arc::clone(&resources.host);
            let scale = scale.get(name).copied().unwrap_or(OFF);
            let spec = parts.dyno_spec(&host, self.app, &self.spec, (name, process), guest);
            let serving = match guest.pre.clone() {
                GuestPre::Command(pre) => {
                    formations.insert(name.clone(), Workers::new(host, spec, pre, scale));
                    continue;
                }
                GuestPre::Http(pre) => Web::Http(pre),
                GuestPre::Cgi(pre) => Web::Cgi(pre),
            };
            let formation = Formation::new(host, spec, serving, scale);
            if name == WEB {
                web = Some(Arc::clone(&formation));
            }
            formations.insert(name.clone(), formation);
        }
        Ok(Ready { stack: parts.stack, web, formations })
    }

    /// The formation that gets the app's requests, once the release is prepared.
    pub(crate) fn web(&self) -> Option<&Arc<Formation>> {
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

/// A slug on disk with the code of its process types.
pub(crate) struct Parts {
    pub(crate) checkout: Arc<Checkout>,
    /// By process type.
    pub(crate) guests: BTreeMap<String, Guest>,
    pub(crate) stack: Option<(String, Digest)>,
}

/// What the dynos of one process type run.
pub(crate) struct Guest {
    pub(crate) code: Arc<Code>,
    pub(crate) pre: GuestPre,
}

impl Parts {
    /// Fetches and compiles what is not there yet.
    pub(crate) async fn get(resources: &Resources, slug: Digest) -> Result<Self, Error> {
        let checkout = resources.checkouts.get(slug).await?;
        let config = &checkout.config;
        let stack = match &config.stack {
            None => None,
            Some(name) => {
                let component = resources.stacks.read().get(name).copied();
                Some((name.clone(), component.ok_or_else(|| Error::UnknownStack(name.clone()))?))
            }
        };
        let mut guests = BTreeMap::new();
        for (name, process) in &config.processes {
            if name == WEB && process.world == World::Cli {
                return Err(Error::NotHttp { name: name.clone() });
            }
            let component = match (&process.component, &stack) {
                (ComponentRef::Own { digest, .. }, _) => *digest,
                (ComponentRef::Stack, Some((_, component))) => *component,
                // The slug's own check has refused this.
                (ComponentRef::Stack, None) => continue,
            };
            let code = resources.codes.get(component).await?;
            let pre = code.guest(process.world)?;
            guests.insert(name.clone(), Guest { code, pre });
        }
        Ok(Self { checkout, guests, stack })
    }

    /// What all dynos of a process type of `release` have in common.
    pub(crate) fn dyno_spec(
        &self,
        host: &Host,
        app: Uuid,
        release: &ReleaseSpec,
        (name, process): (&str, &ProcessType),
        guest: &Guest,
    ) -> DynoSpec {
        let boots_on_request =
            process.component == ComponentRef::Stack && process.world == World::Http;
        let mut args = process.args.clone();
        if boots_on_request {
            args.insert(0, format!("--boot-timeout-ms={}", host.limits.boot_ms));
        }
        let mut env = environment(&release.config);
        if process.world == World::Cgi {
            env.retain(|(name, _)| !cgi::is_reserved(name));
        }
        DynoSpec {
            app,
            process_type: name.to_owned(),
            command: process.command.clone(),
            release_id: release.id,
            release_version: release.version,
            env,
            args,
            boots_on_request,
            isolation: process.isolation,
            checkout: Arc::clone(&self.checkout),
            _code: Arc::clone(&guest.code),
        }
    }
}
