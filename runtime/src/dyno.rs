//! A dyno: one Wasm instance with its world around it.

use std::{future::Future, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use wasmtime::{
    Engine, PoolConcurrencyLimitError, Store, UpdateDeadline, component::ResourceTable,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, cli::StdoutStream};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, p2::bindings::Proxy};
use wpaas_slug::{
    Isolation, Limits,
    feed::{self, DynoStatus},
    log::LogSink,
};

use crate::{
    Error,
    active::Active,
    checkout::Checkout,
    code::Code,
    exchange::Exchange,
    fs::{Disk, FilesView},
    lane::Lanes,
    lines::{DynoLog, Lines},
    memory::Memory,
    metrics::{AppMetrics, Hit, Metrics},
    net::{Egress, Net, Network, Outgoing, VNet},
    p3::Calls,
    stdio::Input,
    threads::{Place, Threads},
    tmp::TmpRoot,
    trace::SpanSink,
};

/// The port that a web process is told to listen on. Each dyno has it to itself.
pub(crate) const PORT: u16 = 8080;

/// An argument with `$PORT` and `${PORT}` filled in, as Heroku's shell would; there is no shell here.
pub(crate) fn with_port(argument: &str) -> String {
    let argument = argument.replace("${PORT}", &PORT.to_string());
    let mut parts = argument.split("$PORT");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // `$PORTAL` is another variable.
        let is_longer = part.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        filled += &if is_longer { "$PORT".to_owned() } else { PORT.to_string() };
        filled += part;
    }
    filled
}

/// What all dynos of one process type of one release have in common.
pub(crate) struct DynoSpec {
    pub(crate) app: Uuid,
    pub(crate) metrics: Arc<AppMetrics>,
    pub(crate) process_type: Arc<str>,
    /// The Procfile's command, for people.
    pub(crate) command: String,
    pub(crate) release_id: Uuid,
    pub(crate) release_version: u64,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) args: Vec<String>,
    /// The first request loads the app into the stack's engine, which counts as booting.
    pub(crate) boots_on_request: bool,
    pub(crate) checkout: Arc<Checkout>,
    pub(crate) isolation: Isolation,
    /// Requests that one instance works on at once, where it is given any.
    pub(crate) concurrency: Option<NonZeroU32>,
    /// What the node's cache finds again as long as it is used.
    pub(crate) _code: Arc<Code>,
    /// What its dynos may connect to.
    pub(crate) egress: Arc<Egress>,
}

impl DynoSpec {
    /// `web.1`
    pub(crate) fn dyno(&self, number: u32) -> String {
        format!("{}.{number}", self.process_type)
    }

    /// The dyno `number` as `ps` shows it.
    pub(crate) fn status(
        &self,
        number: u32,
        state: feed::DynoState,
        since: Timestamp,
    ) -> DynoStatus {
        DynoStatus {
            name: self.dyno(number),
            process_type: self.process_type.to_string(),
            command: self.command.clone(),
            state,
            since,
            release_id: self.release_id,
            release_version: self.release_version,
            isolation: self.isolation,
            concurrency: self.concurrency,
        }
    }
}

/// Where the standard streams of one instance lead, and what its environment has beyond its process type's.
#[derive(Default)]
pub(crate) struct Io {
    pub(crate) env: Vec<(String, String)>,
    /// Without it there is nothing to read.
    pub(crate) stdin: Option<Input>,
    /// Without it, what is written goes to the app's log.
    pub(crate) stdout: Option<Box<dyn StdoutStream + Sync>>,
    /// As `stdout`.
    pub(crate) stderr: Option<Box<dyn StdoutStream + Sync>>,
}

/// What all dynos of a node have in common.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) limits: Arc<Limits>,
    pub(crate) sink: Arc<dyn LogSink>,
    /// `None` when nothing is traced.
    pub(crate) spans: Option<Arc<dyn SpanSink>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) network: Arc<Network>,
    /// The tasks of all processes.
    pub(crate) processes: TaskTracker,
    /// The node stops: processes are asked to end.
    pub(crate) stopping: CancellationToken,
    tmp: Arc<TmpRoot>,
    /// One permit per instance.
    places: Arc<Semaphore>,
    /// Formations with instances.
    pub(crate) active: Active,
    pub(crate) lanes: Lanes,
    threads: Threads,
    /// For tasks that belong to no request: connections may have runtimes of their own, which end before the node.
    pub(crate) runtime: Handle,
}

/// How often a dyno that found the node full looks for another one that became idle.
const PLACE_RETRY: Duration = Duration::from_millis(50);

impl Host {
    pub(crate) fn new(
        engine: Engine,
        limits: Arc<Limits>,
        sink: Arc<dyn LogSink>,
        spans: Option<Arc<dyn SpanSink>>,
        network: Arc<Network>,
        threads: Threads,
        cache: &Path,
    ) -> Result<Self, Error> {
        let places = Limits::size(limits.dynos_per_node).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            engine,
            metrics: Metrics::new(&limits),
            limits,
            sink,
            spans,
            network,
            threads,
            processes: TaskTracker::new(),
            stopping: CancellationToken::new(),
            tmp: Arc::new(TmpRoot::new(cache)?),
            places: Arc::new(Semaphore::new(places)),
            active: Active::new(),
            runtime: Handle::try_current().map_err(|_| Error::NoRuntime)?,
            lanes: Lanes::new()
                .map_err(|error| Error::Engine(format!("cannot start threads: {error}")))?,
        })
    }

    /// Room for one more instance on this node. When it is full, an idle instance has to go.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return place;
        }
        self.metrics.hit(Hit::Places);
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return place;
            }
            if !self.active.evict() {
                tokio::time::sleep(PLACE_RETRY).await;
            }
        }
    }

    /// Runs a guest that lives for many requests among the connections, and in the slow lane while it computes. `add` is
    /// told how long each poll took on a CPU.
    pub(crate) fn drive(
        &self,
        guest: impl Future<Output = ()> + Send + 'static,
        add: impl FnMut(Duration) + Send + Unpin + 'static,
    ) {
        let place = self.threads.place();
        let quick = place.as_ref().map_or(&self.runtime, Place::handle).clone();
        let guest = async move {
            let _place = place;
            guest.await;
        };
        self.lanes.slow.drive(&quick, guest, add);
    }

    /// The log of a dyno.
    pub(crate) fn log(&self, app: Uuid, dyno: &str) -> DynoLog {
        let line_bytes = Limits::size(self.limits.log_line_bytes);
        DynoLog::new(Arc::clone(&self.sink), app, dyno, line_bytes)
    }

    /// Instances that there are.
    pub(crate) fn places_used(&self) -> usize {
        let places = Limits::size(self.limits.dynos_per_node).min(Semaphore::MAX_PERMITS);
        places.saturating_sub(self.places.available_permits())
    }
}

/// The state that host functions see.
pub(crate) struct DynoState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    /// Above the table, because it has to go first: it ends what the table's sockets are sending.
    outgoing: Outgoing,
    table: ResourceTable,
    memory: Memory,
    /// The request that the guest is working on.
    exchange: Option<Arc<Exchange>>,
    /// The requests that the guest is working on, where it works on several.
    calls: Calls,
    disk: Arc<Disk>,
}

impl WasiView for DynoState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for DynoState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

impl DynoState {
    /// What wasi:filesystem works on.
    pub(crate) fn files(&mut self) -> FilesView<'_> {
        FilesView { disk: &self.disk, table: &mut self.table }
    }

    /// The dyno's network, with the table that its sockets are in.
    pub(crate) fn net(&mut self) -> (&Net, &mut ResourceTable) {
        (&self.outgoing.net, &mut self.table)
    }

    /// What the guest works on at once.
    pub(crate) fn calls(&mut self) -> &mut Calls {
        &mut self.calls
    }

    /// The dyno's virtual network.
    pub(crate) fn vnet(&self) -> Arc<VNet> {
        Arc::clone(self.outgoing.net.vnet())
    }

    /// Lets `Host` into the request that is made next; see [`Outgoing::admit_host`].
    pub(crate) fn admit_host(&mut self, admit: bool) {
        self.outgoing.admit_host = admit;
    }
}

/// A running dyno; `G` are the functions that its component exports.
pub(crate) struct Instance<G = Proxy> {
    pub(crate) store: Store<DynoState>,
    pub(crate) guest: G,
    pub(crate) log: DynoLog,
    /// Requests answered so far.
    pub(crate) served: u64,
    stdout: Lines,
    stderr: Lines,
    _permit: OwnedSemaphorePermit,
}

/// The guest was running when its request's time was over. Carried by the trap, so that the log shows where.
#[derive(Debug, thiserror::Error)]
#[error("the request's time is over")]
pub(crate) struct DeadlinePassed;

impl<G> Instance<G> {
    /// Starts a dyno under the name `dyno`. The guest's start functions run in `instantiate`, under the exchange's
    /// deadline when there is one.
    pub(crate) async fn start(
        host: &Host,
        spec: &DynoSpec,
        dyno: &str,
        io: Io,
        exchange: Option<Arc<Exchange>>,
        instantiate: impl AsyncFnOnce(&mut Store<DynoState>) -> wasmtime::Result<G>,
    ) -> Result<Self, StartError> {
        let permit = host.place().await;
        let log = host.log(spec.app, dyno);
        let stdout = Lines::new(log.clone());
        let stderr = Lines::new(log.clone());
        let wasi = wasi(spec, dyno, io, (&stdout, &stderr));
        let limits = &host.limits;
        let disk = Disk::new(Arc::clone(&spec.checkout.base), &host.tmp, limits, log.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(Limits::size(limits.dyno_handles));
        let mut http = WasiHttpCtx::new();
        // Counted in memory, where a field takes more than on the wire.
        http.set_field_size_limit(Limits::size(limits.request_header_bytes).saturating_mul(4));
        let net = Net::new(Arc::clone(&host.network), Arc::clone(&spec.egress), log.clone());
        let state = DynoState {
            wasi,
            http,
            outgoing: Outgoing::new(net, Limits::size(limits.body_chunk_bytes)),
            table,
            memory: Memory::new(limits),
            exchange,
            calls: Calls::default(),
            disk,
        };
        let mut store = Store::new(&host.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let late = store.data().exchange.as_ref().is_some_and(|exchange| exchange.is_late());
            if late { Err(DeadlinePassed.into()) } else { Ok(UpdateDeadline::Yield(1)) }
        });
        let guest = instantiate(&mut store).await.map_err(StartError::from)?;
        Ok(Self { store, guest, log, served: 0, stdout, stderr, _permit: permit })
    }

    /// The request that the guest works on from now on.
    pub(crate) fn set_exchange(&mut self, exchange: Option<Arc<Exchange>>) {
        self.store.data_mut().exchange = exchange;
    }

    /// Standard output and standard error.
    pub(crate) fn output(&self) -> [Lines; 2] {
        [self.stdout.clone(), self.stderr.clone()]
    }

    /// How much memory the guest has, and whether it wanted too much.
    pub(crate) fn memory(&self) -> &Memory {
        &self.store.data().memory
    }

    /// Logs what the guest wrote without a line end.
    pub(crate) fn flush_output(&self) {
        self.stdout.flush_line();
        self.stderr.flush_line();
    }
}

/// Why a dyno did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The host could not make its world.
    Host(wasmtime::Error),
    /// The guest trapped, or wants more than it may have.
    Guest(wasmtime::Error),
}

impl From<wasmtime::Error> for StartError {
    /// Sorts why instantiating failed.
    fn from(error: wasmtime::Error) -> Self {
        if error.is::<PoolConcurrencyLimitError>() { Self::Host(error) } else { Self::Guest(error) }
    }
}

fn wasi(spec: &DynoSpec, dyno: &str, io: Io, (stdout, stderr): (&Lines, &Lines)) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    if let Some(stdin) = io.stdin {
        wasi.stdin(stdin);
    }
    wasi.args(&spec.args)
        .envs(&spec.env)
        .envs(&io.env)
        .env("PORT", PORT.to_string())
        .env("DYNO", dyno)
        .initial_cwd("/app")
        .stdout(io.stdout.unwrap_or_else(|| Box::new(stdout.clone())))
        .stderr(io.stderr.unwrap_or_else(|| Box::new(stderr.clone())))
        // The linker has put the dyno's own network in the place of the system's; should it ever not, this
        // is closed.
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    wasi.build()
}

/// The environment of a process type: config vars, without those that the platform sets itself, and with URLs as
/// the guest has to see them.
pub(crate) fn environment<'a>(
    config: impl IntoIterator<Item = (&'a String, &'a String)>,
    egress: &Egress,
) -> Vec<(String, String)> {
    config
        .into_iter()
        .filter(|(name, _)| !matches!(name.as_str(), "PORT" | "DYNO"))
        .map(|(name, value)| (name.clone(), egress.for_guest(value.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_filled_in_and_nothing_else() {
        for (argument, filled) in [
            ("$PORT", "8080"),
            ("0.0.0.0:$PORT", "0.0.0.0:8080"),
            ("--bind=[::]:${PORT}/$PORT", "--bind=[::]:8080/8080"),
            ("$PORTAL $PORT_1 $HOME ${PORT1} $", "$PORTAL $PORT_1 $HOME ${PORT1} $"),
            ("", ""),
        ] {
            assert_eq!(with_port(argument), filled);
        }
    }
}
