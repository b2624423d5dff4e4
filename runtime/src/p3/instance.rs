//! The task of one instance.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};
use tokio_util::sync::CancellationToken;
use wasmtime::{Store, component::ResourceTableError};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wpaas_slug::Limits;

use super::{
    Handle, Job,
    call::{self, Call, Calls},
    watch::{Ended, watch},
};
use crate::{
    dyno::{DeadlinePassed, DynoSpec, DynoState, Host, Instance, Io, StartError},
    exchange::{Exchange, Start},
    hcode::HCode,
    lines::{DynoLog, Lines},
    meter::Meter,
    metrics::{Hit, Quota},
    pool::shared::{Membership, Starting},
    reuse::Reuse,
    worker::{log_memory, log_trap},
};

/// What an instance has of its formation. It does not keep the formation, which would keep the instance.
pub(crate) struct Home {
    pub(crate) host: Arc<Host>,
    pub(crate) spec: Arc<DynoSpec>,
    pub(crate) reuse: Reuse,
    /// Ends what still runs when the release was replaced and the time to finish is over.
    pub(crate) stopped: CancellationToken,
}

/// How an instance came to its end.
enum End {
    /// Nobody wants anything of it any more.
    Unused,
    /// The time to finish is over: its release was replaced, or it was restarted.
    Stopped,
    Trapped(wasmtime::Error),
}

/// Starts an instance and runs it to its end.
pub(crate) async fn run(
    home: Arc<Home>,
    service: ServicePre<DynoState>,
    starting: Starting<Handle>,
) {
    let dyno = home.spec.dyno(starting.number());
    let log = home.host.log(home.spec.app, &dyno);
    let boot = Limits::ms(home.host.limits.boot_ms);
    let instantiate = async |store: &mut Store<DynoState>| service.instantiate_async(store).await;
    let start = Instance::start(&home.host, &home.spec, &dyno, Io::default(), None, instantiate);
    match tokio::time::timeout(boot, start).await {
        Ok(Ok(instance)) => serve(home, instance, starting).await,
        Ok(Err(StartError::Guest(error))) => {
            log_trap(&log, &error);
            log.platform("State changed from starting to crashed");
            starting.failed(HCode::H10, true);
        }
        Ok(Err(StartError::Host(error))) => {
            tracing::error!(dyno, "cannot start: {error:#}");
            starting.failed(HCode::H99, false);
        }
        Err(_) => {
            let seconds = boot.as_secs();
            log.platform(&format!(
                "Error R10 (Boot timeout) -> The component was not instantiated within {seconds} seconds"
            ));
            log.platform("State changed from starting to crashed");
            starting.failed(HCode::H20, true);
        }
    }
}

async fn serve(home: Arc<Home>, mut instance: Instance<Service>, starting: Starting<Handle>) {
    let limits = &home.host.limits;
    let stuck = Arc::new(AtomicBool::new(false));
    let (patience, tick) =
        (Limits::ms(limits.shared_compute_ms), Limits::ms(limits.epoch_tick_ms.max(1)));
    *instance.store.data_mut().calls() = Calls::new(patience, tick);
    let seen = Arc::clone(&stuck);
    instance.store.epoch_deadline_callback(move |mut store| call::tick(&mut store, &seen));

    let flow =
        Flow { turns: instance.store.data_mut().calls().turns(), stuck, patience, held_up: None };
    let ends = home.stopped.child_token();
    let (handle, jobs) = Handle::new(instance.memory().gauge(), ends.clone());
    let (calls, received) = unbounded_channel();
    let mut desk = Desk {
        home: Arc::clone(&home),
        jobs,
        calls: Some(calls),
        current: Vec::new(),
        given: 0,
        member: Some(starting.up(handle)),
        log: instance.log.clone(),
        output: instance.output(),
    };
    let end = {
        let Instance { store, guest, .. } = &mut instance;
        let guest =
            store.run_concurrent(async |accessor| call::serve(accessor, guest, received).await);
        run_both(&mut desk, guest, flow, &ends).await
    };
    let over_memory = instance.memory().refused();
    desk.close(end, |log| {
        if over_memory {
            home.spec.metrics.memory(Quota::R15);
            log_memory(log, &instance, "Error R15 (Memory quota vastly exceeded)");
        }
    });
    // Its bodies end with it, which must come after they were told that it is no good end.
    drop(instance);
}

/// Where requests come in, outside of the guest's event loop.
struct Desk {
    home: Arc<Home>,
    jobs: UnboundedReceiver<Job>,
    /// `None` when no more will come.
    calls: Option<UnboundedSender<Call>>,
    /// Requests that are not over.
    current: Vec<Arc<Exchange>>,
    /// Requests so far.
    given: u64,
    /// `None` when it gets no new requests.
    member: Option<Membership<Handle>>,
    log: DynoLog,
    output: [Lines; 2],
}

/// Runs the guest, and everything that must not wait for it.
async fn run_both(
    desk: &mut Desk,
    guest: impl Future<Output = wasmtime::Result<wasmtime::Result<()>>>,
    mut flow: Flow,
    ends: &CancellationToken,
) -> End {
    let mut guest = pin!(guest);
    let mut stopped = pin!(ends.cancelled());
    let mut watches = FuturesUnordered::new();
    let mut meter = Meter::default();
    let mut left_behind = false;
    let mut last = None;
    let after = Limits::ms(desk.home.host.limits.after_response_ms);
    poll_fn(|cx| {
        let (mut unused, mut more) = (false, false);
        loop {
            match desk.jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) => {
                    more = true;
                    watches.push(desk.take(job));
                }
                Poll::Ready(None) => break unused = true,
                Poll::Pending => break,
            }
        }
        if unused {
            // The guest finishes what it does after its responses, and returns.
            desk.calls = None;
        }
        let turn = flow.turn();
        let (polled, time) = meter.measure(|| guest.as_mut().poll(cx));
        desk.share(time);
        if let Poll::Ready(ended) = polled {
            return Poll::Ready(match ended.flatten() {
                Ok(()) => End::Unused,
                Err(error) => End::Trapped(error),
            });
        }
        if flow.is_stuck(turn, more) {
            desk.member = None;
        }
        while let Poll::Ready(Some(ended)) = watches.poll_next_unpin(cx) {
            left_behind |= ended == Ended::Late;
            desk.tidy();
        }
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Stopped);
        }
        if unused && watches.is_empty() {
            // Whatever it still does for requests that were given up is for nobody.
            let last = last.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
            if left_behind || last.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Unused);
            }
        }
        Poll::Pending
    })
    .await
}

/// Whether the event loop comes forward.
struct Flow {
    turns: Arc<AtomicU64>,
    /// Set when the guest computes for too long.
    stuck: Arc<AtomicBool>,
    patience: Duration,
    /// Since when new requests have been waiting for the loop to turn.
    held_up: Option<Instant>,
}

impl Flow {
    fn turn(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Looks after a poll before which it was turn `before`. A loop with a new request turns unless the guest holds
    /// it up, by computing or by waiting in a function of WASI 0.2.
    fn is_stuck(&mut self, before: u64, new_request: bool) -> bool {
        if self.turn() != before {
            self.held_up = None;
        } else if new_request {
            self.held_up.get_or_insert_with(Instant::now);
        }
        self.stuck.load(Ordering::Relaxed)
            || self.held_up.is_some_and(|since| since.elapsed() >= self.patience)
    }
}

impl Desk {
    /// Hands a request to the guest, and gives what waits for its end.
    fn take(&mut self, job: Job) -> impl Future<Output = Ended> + use<> {
        let Job { request, exchange, lease } = job;
        exchange.set_start(if lease.waited_for_start() { Start::Fresh } else { Start::Warm });
        exchange.watch_memory(lease.handle().gauge());
        self.given += 1;
        if !self.home.reuse.keeps(self.given, lease.handle().memory()) {
            lease.replace();
        }
        self.current.push(Arc::clone(&exchange));
        let (returned, answer) = oneshot::channel();
        if let Some(calls) = &self.calls {
            // Fails when the guest's loop has ended, and then so has the instance.
            let _ = calls.send(Call { request, exchange: Arc::clone(&exchange), returned });
        }
        watch(Arc::clone(&self.home), exchange, lease, answer, self.log.clone())
    }

    /// Shares the guest's time on a CPU out.
    fn share(&self, time: Duration) {
        let count = u32::try_from(self.current.len()).unwrap_or(u32::MAX);
        if let Some(part) = time.checked_div(count) {
            self.current.iter().for_each(|exchange| exchange.share_cpu(part));
        }
    }

    /// Forgets requests that are over.
    fn tidy(&mut self) {
        self.current.retain(|exchange| !exchange.is_over());
        if self.current.is_empty() {
            self.output.iter().for_each(Lines::flush_line);
        }
    }

    /// The end of the instance: nobody gets it any more, and who has it is answered.
    fn close(&mut self, end: End, out_of_memory: impl FnOnce(&DynoLog)) {
        let metrics = &self.home.spec.metrics;
        self.output.iter().for_each(Lines::flush_line);
        match end {
            End::Unused => {}
            End::Stopped => {
                metrics.hit(Hit::Drain);
                self.log.platform("Stopping remaining requests: the dyno was replaced");
            }
            End::Trapped(error) if error.is::<DeadlinePassed>() => {
                log_trap(&self.log, &error);
                self.log.platform("Stopping dyno: it computes for a request whose time is over");
            }
            End::Trapped(error) => {
                out_of_memory(&self.log);
                if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
                    metrics.hit(Hit::Handles);
                }
                match error.downcast_ref::<I32Exit>() {
                    Some(exit) => {
                        self.log.platform(&format!("Process exited with status {}", exit.0));
                    }
                    None => log_trap(&self.log, &error),
                }
                self.log.platform("State changed from up to crashed");
                if let Some(member) = self.member.take() {
                    member.crashed();
                }
            }
        }
        self.member = None;
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            self.current.push(job.exchange);
        }
        for exchange in self.current.drain(..).filter(|exchange| !exchange.is_over()) {
            exchange.fail(match (exchange.responded(), exchange.is_late()) {
                // Its own watch was about to say so.
                (_, true) => exchange.late_code(),
                (true, false) => HCode::H18,
                (false, false) => HCode::H13,
            });
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Only a fault of the host lets a task end otherwise.
        for exchange in self.current.drain(..).filter(|exchange| !exchange.is_over()) {
            exchange.fail(HCode::H99);
        }
    }
}
