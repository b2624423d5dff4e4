//! The node: what embedders see.

use std::{
    future::Future,
    io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use uuid::Uuid;
use wpaas_slug::{
    Digest, Limits, Store,
    feed::{AppSpec, ApplyError, Change, DynoStatus, EgressRule, NodeLink, Snapshot},
    log::{LogLine, LogSink},
    one_off::{OneOff, OneOffError, Run},
};

use crate::{
    Compiler, Error, Prepared,
    app::{App, Release, Resources},
    blobs::Blobs,
    checkout::Checkouts,
    code::CodeCache,
    compile::Urgency,
    dyno::Host,
    engine::{self, Wasi},
    metrics::{Exposition, NodeState},
    net::{self, Network, Resolve},
    parts::Parts,
    prepare,
    process::{self, OneOffs},
    router::Router,
    server::{self, Doors},
    table::{Naming, Table},
    threads::Threads,
    tls::Tls,
    trace::SpanSink,
};

/// How often formations are looked after.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// Holds requests back until what they ask for is there.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Awaited before a request is routed. `Err` is the text of the 503 page that the client gets
    /// instead.
    async fn ready(&self) -> Result<(), String>;
}

/// Makes a [`Node`].
pub struct Builder {
    store: Store,
    cache: PathBuf,
    codes: Option<PathBuf>,
    limits: Limits,
    sink: Arc<dyn LogSink>,
    spans: Option<Arc<dyn SpanSink>>,
    compiler: Compiler,
    gate: Option<Arc<dyn Gate>>,
    naming: Naming,
    network: net::Options,
    threads: usize,
    wasi: Wasi,
}

impl Builder {
    /// How many threads of the node's own serve connections and guests with many requests; default is 0, which is the runtime that
    /// [`Node::serve`] is called in. As many as the machine has cores serve the most requests.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Where machine code is kept, so that several nodes of one user share it; default is a directory
    /// below the cache. Nothing untrusted may be able to write there: machine code is loaded from it.
    #[must_use]
    pub fn code_dir(mut self, directory: PathBuf) -> Self {
        self.codes = Some(directory);
        self
    }

    /// The limits; default is [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where log lines of dynos and router go; default is nowhere.
    #[must_use]
    pub fn log_sink(mut self, sink: Arc<dyn LogSink>) -> Self {
        self.sink = sink;
        self
    }

    /// Where the router's spans go; default is that nothing is traced.
    #[must_use]
    pub fn span_sink(mut self, sink: Arc<dyn SpanSink>) -> Self {
        self.spans = Some(sink);
        self
    }

    /// How components are compiled; default is [`Compiler::InProcess`], without the feature `compiler`
    /// [`Compiler::None`].
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Awaited before each request is routed.
    #[must_use]
    pub fn gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Whether every host leads to the only app; default is no.
    #[must_use]
    pub fn single_app(mut self, single_app: bool) -> Self {
        self.naming.single_app = single_app;
        self
    }

    /// The domain below which each app has its name; default is `localhost`.
    #[must_use]
    pub fn apps_domain(mut self, domain: impl Into<String>) -> Self {
        self.naming.apps_domain = domain.into();
        self
    }

    /// Networks of addresses that are not public (private, loopback, the node's own) which apps' egress rules may
    /// open; default is none, so that no rule reaches them.
    #[must_use]
    pub fn egress_networks(mut self, networks: Vec<ipnet::IpNet>) -> Self {
        self.network.networks = networks;
        self
    }

    /// Looks names up for dynos' outgoing connections; default is the system's resolver. Embedders may
    /// bring their own.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.network.resolver = Some(resolver);
        self
    }

    /// Certificates of authorities, in PEM, that dynos' outgoing HTTPS trusts beside the system's; default
    /// is none.
    #[must_use]
    pub fn trusted_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.network.certificates = pem.into();
        self
    }

    /// Whether components that export `wasi:http/handler@0.3` are served; default is no: such a component is
    /// refused. The project that wpaas has its engine from gives its code for WASI 0.3 no security fixes in the
    /// releases that wpaas is pinned to, so switch this on only for components that you trust as much as
    /// yourself. A [`Compiler::Process`] must be told too.
    #[must_use]
    pub fn wasi_http_p3(mut self, on: bool) -> Self {
        self.wasi = Wasi::new(on);
        self
    }

    /// Starts the node, without apps. Must be called inside a tokio runtime, for the tasks that end
    /// idle dynos.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] when the machine cannot run the engine, [`Error::Cache`] when the cache
    /// directory cannot be used, [`Error::Certificates`] when those to trust cannot be read,
    /// [`Error::NoRuntime`] outside a runtime.
    pub fn build(self) -> Result<Node, Error> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        // Nobody else may write where machine code is loaded from, nor read apps' files.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.cache)
            .map_err(Error::cache(&self.cache))?;
        let limits = Arc::new(self.limits);
        let network = Network::new(self.network, Arc::clone(&limits))?;
        let engine = engine::running(&limits, self.wasi)?;
        let threads = Threads::new(self.threads)
            .map_err(|error| Error::Engine(format!("cannot start threads: {error}")))?;
        let blobs = Blobs::new(self.store, &self.cache)?;
        let resources = Arc::new(Resources {
            checkouts: Checkouts::new(blobs.clone(), &self.cache, Arc::clone(&limits))?,
            codes: CodeCache::new(
                engine.clone(),
                self.codes.unwrap_or_else(|| self.cache.join("code")),
                blobs,
                self.compiler,
                Arc::clone(&limits),
            )?,
            host: Arc::new(Host::new(
                engine,
                Arc::clone(&limits),
                self.sink,
                self.spans,
                network,
                threads.clone(),
                &self.cache,
            )?),
            stacks: RwLock::default(),
            stack_codes: Mutex::default(),
        });
        runtime.spawn(tend(Arc::downgrade(&resources.host)));
        runtime.spawn(resources.codes.upkeep());
        let router = Arc::new(Router {
            table: Table::new(self.naming),
            resources: Arc::clone(&resources),
            gate: self.gate,
        });
        resources.host.network.neighbours.connect(&router);
        let doors = Arc::new(Doors::new(&limits, threads));
        let stopping = resources.host.stopping.clone().drop_guard();
        let inner = Inner {
            router,
            resources,
            limits,
            doors,
            changes: AtomicU64::new(0),
            one_offs: OneOffs::default(),
            _stopping: stopping,
        };
        Ok(Node { inner: Arc::new(inner) })
    }
}

/// Ends idle dynos and keeps the minimum running, for as long as the node lives.
async fn tend(host: Weak<Host>) {
    loop {
        tokio::time::sleep(TEND_INTERVAL).await;
        let Some(host) = host.upgrade() else { return };
        for formation in host.active.all() {
            formation.tend();
        }
    }
}

/// A host of dynos with its router. Clones are handles of the same node.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    router: Arc<Router>,
    resources: Arc<Resources>,
    limits: Arc<Limits>,
    doors: Arc<Doors>,
    /// Counts changes in the order in which they arrive.
    changes: AtomicU64,
    one_offs: OneOffs,
    /// Processes do not outlive the node.
    _stopping: DropGuard,
}

impl Node {
    /// A node that fetches from `store` and keeps what it fetched and compiled in `cache_dir`, which
    /// must be its own: machine code is loaded from there.
    pub fn builder(store: Store, cache_dir: PathBuf) -> Builder {
        Builder {
            store,
            cache: cache_dir,
            codes: None,
            limits: Limits::default(),
            sink: Arc::new(NoLog),
            spans: None,
            compiler: Compiler::default(),
            gate: None,
            naming: Naming { apps_domain: "localhost".into(), single_app: false },
            network: net::Options::default(),
            threads: 0,
            wasi: Wasi::default(),
        }
    }

    /// Takes over a whole state, as after a start. Returns at once: releases are prepared in the
    /// background, or by their first request when that comes earlier.
    pub async fn load(&self, snapshot: Snapshot) {
        let order = self.inner.next_change();
        *self.inner.resources.stacks.write() = snapshot.stacks.clone();
        let apps: Vec<Arc<App>> =
            snapshot.apps.into_iter().map(|spec| self.inner.app(spec)).collect();
        let before = self.inner.router.table.replace(apps.clone(), order);
        for before in &before {
            self.inner.retire_unless_current(before);
        }
        for release in apps.iter().filter_map(|app| app.release.as_ref()) {
            release.make_current();
        }
        let resources = Arc::downgrade(&self.inner.resources);
        tokio::spawn(prepare::ahead(resources, snapshot.stacks, apps));
    }

    /// Compiles what `snapshot` needs, and every component that the code directory has only code of
    /// another shape for (another version of wpaas, another CPU), one at a time and at the lowest
    /// priority. Then another node of the same version that shares the directory need not compile anything at
    /// its start. Nothing is served, and nothing that a running node uses is touched.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] when the directory cannot be read. What does not compile is in [`Prepared::failed`].
    pub async fn prepare_code(&self, snapshot: &Snapshot) -> Result<Prepared, Error> {
        prepare::code(&self.inner.resources, snapshot).await
    }

    /// The formation that gets an app's requests.
    #[cfg(feature = "bench")]
    pub(crate) fn web(&self, app: Uuid) -> Option<Arc<crate::formation::Formation>> {
        match self.inner.router.table.get(app)?.release.as_ref()?.web()? {
            crate::app::Serving::Called(formation) => Some(Arc::clone(formation)),
            crate::app::Serving::Listening(_) => None,
        }
    }

    /// What the node has counted and what it is doing now, as OpenMetrics text. Takes long with many apps, so
    /// not to be called where something waits.
    pub fn metrics(&self) -> String {
        let apps = self.inner.router.table.all();
        let apps = apps.iter().map(|app| (app.spec.name.clone(), Arc::clone(&app.metrics)));
        let metrics = &self.inner.resources.host.metrics;
        Exposition::new(metrics, apps, self.inner.state()).text()
    }

    /// Serves HTTP on `listener` until `shutdown`; then stops accepting and lets requests under way
    /// finish, for at most `drain_ms`.
    ///
    /// # Errors
    ///
    /// Those of the listener.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        self.inner.serve(listener, None, shutdown).await
    }

    /// Asks all workers and one-off dynos to end, and waits until they have, for at most `drain_ms` (then R12). None
    /// is started after that.
    pub async fn stop_processes(&self) {
        let host = &self.inner.resources.host;
        host.stopping.cancel();
        host.processes.close();
        host.processes.wait().await;
    }

    /// The same over TLS, with HTTP/2 or HTTP/1.1 as the client chooses. When the certificate's files
    /// change, new connections get what they hold then.
    ///
    /// # Errors
    ///
    /// Those of the listener.
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        tls: Tls,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        self.inner.serve(listener, Some(tls), shutdown).await
    }
}

impl Inner {
    async fn serve(
        &self,
        listener: TcpListener,
        tls: Option<Tls>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (router, limits) = (Arc::clone(&self.router), Arc::clone(&self.limits));
        server::serve(router, limits, Arc::clone(&self.doors), tls, listener, shutdown).await
    }

    fn next_change(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What the node is doing.
    fn state(&self) -> NodeState {
        let host = &self.resources.host;
        let mut state = NodeState {
            apps: self.router.table.all().len(),
            places: Limits::size(self.limits.dynos_per_node),
            places_used: host.places_used(),
            pool: host.engine.pooling_allocator_metrics().map(Into::into),
            code: self.resources.codes.stats().into(),
            lines_dropped: host.sink.dropped(),
            spans_dropped: host.spans.as_ref().map_or(0, |spans| spans.dropped()),
            ..NodeState::default()
        };
        for formation in host.active.all() {
            let usage = formation.usage();
            state.busy += usage.busy;
            state.idle += usage.idle;
            state.queued += usage.queued;
        }
        state
    }

    /// The app with the release that is running already, if that is the one.
    fn app(&self, spec: Arc<AppSpec>) -> Arc<App> {
        let before = self.router.table.get(spec.id);
        let metrics = match &before {
            Some(before) => Arc::clone(&before.metrics),
            None => self.resources.host.metrics.app(),
        };
        let current = before.and_then(|app| app.release.clone());
        let release = spec.release.as_ref().map(|release| match current {
            Some(current) if current.is(release) => current,
            _ => Release::new(&spec, Arc::clone(&metrics), release.clone()),
        });
        Arc::new(App { spec, metrics, release })
    }

    async fn apply_app(&self, spec: Arc<AppSpec>) -> Result<(), ApplyError> {
        let order = self.next_change();
        let app = self.app(spec);
        if let Some(release) = &app.release {
            release.prepare(&self.resources).await.map_err(|error| to_apply(&error))?;
        }
        self.install(app.spec.id, Some(app), order);
        Ok(())
    }

    /// Switches the router, and ends what the change replaced.
    fn install(&self, id: Uuid, app: Option<Arc<App>>, order: u64) {
        let Ok(before) = self.router.table.install(id, app.clone(), order) else { return };
        if let Some(App { spec, release: Some(release), .. }) = app.as_deref() {
            release.rescale(&spec.formation);
            release.make_current();
        }
        if let Some(before) = before {
            self.retire_unless_current(&before);
        }
    }

    fn retire_unless_current(&self, before: &App) {
        let Some(release) = &before.release else { return };
        let current = self.router.table.get(before.spec.id).and_then(|app| app.release.clone());
        if !current.is_some_and(|current| Arc::ptr_eq(&current, release)) {
            release.retire();
        }
    }

    async fn apply_stack(&self, name: String, component: Digest) -> Result<(), ApplyError> {
        let code = self.resources.codes.get(component, Urgency::Now).await;
        let code = code.map_err(ApplyError::from)?;
        self.resources.stacks.write().insert(name.clone(), component);
        self.resources.stack_codes.lock().insert(name.clone(), code);
        for app in self.router.table.all() {
            let order = self.next_change();
            let Some(release) = &app.release else { continue };
            if !release.needs_stack(&name, component) {
                continue;
            }
            let renewed = release.renewed();
            match renewed.prepare(&self.resources).await {
                Ok(_) => {
                    let spec = Arc::clone(&app.spec);
                    let metrics = Arc::clone(&app.metrics);
                    let app = Arc::new(App { spec, metrics, release: Some(renewed) });
                    self.install(app.spec.id, Some(app), order);
                }
                // It goes on with the old component.
                Err(error) => tracing::error!(app = app.spec.name, "cannot move to stack: {error}"),
            }
        }
        Ok(())
    }
}

fn to_apply(error: &Error) -> ApplyError {
    ApplyError { message: error.to_string(), permanent: error.permanent() }
}

#[async_trait]
impl NodeLink for Node {
    async fn apply(&self, change: Change) -> Result<(), ApplyError> {
        match change {
            Change::App(spec) => self.inner.apply_app(spec).await,
            Change::AppRemoved { id } => {
                let order = self.inner.next_change();
                self.inner.install(id, None, order);
                self.inner.one_offs.stop(id, None);
                Ok(())
            }
            Change::Stack { name, component } => self.inner.apply_stack(name, component).await,
        }
    }

    async fn prepare(&self, app: Arc<AppSpec>) -> Result<(), ApplyError> {
        if let Some(release) = &app.release {
            self.inner.resources.host.network.egress(&release.egress)?;
            Parts::get(&self.inner.resources, release.slug, Urgency::Now).await?;
        }
        Ok(())
    }

    async fn check_egress(&self, rules: &[EgressRule]) -> Result<(), ApplyError> {
        Ok(self.inner.resources.host.network.admits(rules)?)
    }

    fn dynos(&self, app: Uuid) -> Vec<DynoStatus> {
        let release = self.inner.router.table.get(app).and_then(|app| app.release.clone());
        let mut dynos = release.map(|release| release.dynos()).unwrap_or_default();
        dynos.extend(self.inner.one_offs.dynos(app));
        dynos
    }

    async fn restart(&self, app: Uuid, dyno: Option<String>) {
        let release = self.inner.router.table.get(app).and_then(|app| app.release.clone());
        if let Some(release) = release {
            release.restart(dyno.as_deref());
        }
        // A one-off dyno is stopped by its name only; it would not be started again.
        if let Some(dyno) = dyno {
            self.inner.one_offs.stop(app, Some(&dyno));
        }
    }

    async fn run(&self, job: OneOff) -> Result<Run, OneOffError> {
        let Inner { router, resources, one_offs, .. } = &*self.inner;
        Box::pin(process::run(resources, &router.table, one_offs, job)).await
    }
}

/// Drops all lines.
struct NoLog;

impl LogSink for NoLog {
    fn write(&self, _line: LogLine) {}
}
