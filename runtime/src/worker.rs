//! Running the guest for one request, to its end: the response, what it does after that, a trap, or a
//! deadline.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use http::Request;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::{WasiHttpView, p2::bindings::http::types::Scheme};
use wpaas_slug::Limits;

use crate::{
    body::RequestBody,
    dyno::{DeadlinePassed, Instance, StartError},
    exchange::{Exchange, GuestError, Start},
    formation::Formation,
    forward::OverTls,
    hcode::HCode,
    lines::DynoLog,
    metrics::{AppMetrics, Hit, Quota},
    pool::Lease,
};

/// Lines of a backtrace that go to the app's log.
const TRAP_LINES: usize = 24;

/// How the guest's call ended.
pub(crate) enum End {
    Returned,
    Trapped(wasmtime::Error),
    /// Its deadline passed while it was waiting or running.
    Late,
    /// Its release was replaced, and the time to finish is over.
    Stopped,
}

/// Serves one request with the leased slot and gives the slot back. Runs as a task of its own: neither a
/// client that goes away nor a response that is complete ends the guest's call.
pub(crate) async fn serve(
    formation: Arc<Formation>,
    mut lease: Lease<Instance>,
    request: Request<RequestBody>,
    exchange: Arc<Exchange>,
) {
    let _answered = Answered(&exchange, &formation.spec.metrics);
    let warm = lease.take();
    let booting =
        formation.spec.boots_on_request && warm.as_ref().is_none_or(|warm| warm.served == 0);
    if booting {
        exchange.allow_boot(Limits::ms(formation.host.limits.boot_ms));
    }
    let mut worker = Worker { formation: &formation, lease, exchange: &exchange, booting };
    let Some(mut instance) = worker.instance(warm).await else { return };
    exchange.watch_memory(instance.memory().gauge());
    let end = worker.call(&mut instance, request).await;
    if worker.settle(&mut instance, end) {
        worker.lease.put(instance);
    }
}

/// Answers when the worker ends without an answer, which takes a panic in host code; and counts the CPU time,
/// also what the guest used after its response.
pub(crate) struct Answered<'a>(pub(crate) &'a Exchange, pub(crate) &'a AppMetrics);

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        self.1.cpu(self.0.accounts().0);
        if !self.0.responded() {
            self.0.fail(HCode::H99);
        }
    }
}

pub(crate) struct Worker<'a> {
    pub(crate) formation: &'a Arc<Formation>,
    pub(crate) lease: Lease<Instance>,
    pub(crate) exchange: &'a Arc<Exchange>,
    pub(crate) booting: bool,
}

impl Worker<'_> {
    /// The warm instance, or a new one.
    async fn instance(&mut self, warm: Option<Instance>) -> Option<Instance> {
        if let Some(mut warm) = warm {
            self.exchange.set_start(Start::Warm);
            warm.set_exchange(Some(Arc::clone(self.exchange)));
            return Some(warm);
        }
        self.exchange.set_start(Start::Fresh);
        let start = self.formation.start(self.lease.number(), Some(Arc::clone(self.exchange)));
        self.started(start).await
    }

    /// The instance that `start` gives, or an answer to the request.
    pub(crate) async fn started<G>(
        &mut self,
        start: impl Future<Output = Result<Instance<G>, StartError>>,
    ) -> Option<Instance<G>> {
        let number = self.lease.number();
        let started = tokio::select! {
            biased;
            started = metered(self.exchange, start) => Some(started),
            () = self.exchange.late() => None,
        };
        let log = self.formation.log(number);
        let late_code = if self.formation.spec.boots_on_request { HCode::H20 } else { HCode::H12 };
        let code = match started {
            Some(Ok(instance)) => {
                self.lease.mark_up();
                return Some(instance);
            }
            Some(Err(StartError::Guest(error))) if error.is::<DeadlinePassed>() => late_code,
            None => late_code,
            Some(Err(StartError::Guest(error))) => {
                log_trap(&log, &error);
                HCode::H10
            }
            Some(Err(StartError::Host(error))) => {
                tracing::error!(dyno = self.formation.dyno(number), "cannot start: {error:#}");
                HCode::H99
            }
        };
        if code == HCode::H10 {
            log.platform("State changed from starting to crashed");
            self.lease.mark_crashed();
        }
        self.exchange.fail(code);
        None
    }

    async fn call(&mut self, instance: &mut Instance, request: Request<RequestBody>) -> End {
        let call = async {
            let store = &mut instance.store;
            store.data_mut().admit_host(true);
            let over_tls = request.extensions().get::<OverTls>().is_some();
            let scheme = if over_tls { Scheme::Https } else { Scheme::Http };
            let request = store.data_mut().http().new_incoming_request(scheme, request);
            store.data_mut().admit_host(false);
            let exchange = Arc::clone(self.exchange);
            let respond = move |response| exchange.respond(response);
            let out = store.data_mut().http().new_response_outparam_from_callback(respond)?;
            let handler = instance.guest.wasi_http_incoming_handler();
            handler.call_handle(store, request?, out).await
        };
        self.finished(call).await
    }

    /// Runs the guest's call until it returns, or is to be stopped.
    pub(crate) async fn finished(
        &mut self,
        call: impl Future<Output = wasmtime::Result<()>>,
    ) -> End {
        tokio::select! {
            biased;
            returned = metered(self.exchange, call) => match returned {
                Ok(()) => End::Returned,
                Err(error) => End::Trapped(error),
            },
            () = self.exchange.late() => End::Late,
            () = self.exchange.guest_failed() => End::Returned,
            () = self.formation.stopped.cancelled() => End::Stopped,
        }
    }

    pub(crate) fn metrics(&self) -> &AppMetrics {
        &self.formation.spec.metrics
    }

    /// Answers, logs and accounts for how the call ended. Whether the instance can serve again.
    pub(crate) fn settle<G>(&mut self, instance: &mut Instance<G>, end: End) -> bool {
        let exchange = self.exchange;
        instance.set_exchange(None);
        instance.flush_output();
        let over_memory = instance.memory().refused();
        let log = instance.log.clone();
        match end {
            End::Returned => {
                let unfit = self.returned(&log);
                exchange.guest_returned();
                if unfit {
                    return false;
                }
                instance.served += 1;
                if over_memory {
                    self.metrics().memory(Quota::R14);
                    log_memory(&log, instance, "Error R14 (Memory quota exceeded)");
                }
                let used = instance.memory().used();
                !over_memory && self.formation.reuse.keeps(instance.served, used)
            }
            End::Trapped(error) if error.is::<DeadlinePassed>() => {
                self.late(&log, Some(&error));
                false
            }
            End::Late => {
                self.late(&log, None);
                false
            }
            End::Stopped => {
                self.metrics().hit(Hit::Drain);
                log.platform("Stopping remaining request: its release was replaced");
                let responded = exchange.responded();
                exchange.fail(if responded { HCode::H18 } else { HCode::H13 });
                false
            }
            End::Trapped(error) => {
                if over_memory {
                    self.metrics().memory(Quota::R15);
                    log_memory(&log, instance, "Error R15 (Memory quota vastly exceeded)");
                }
                if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
                    self.metrics().hit(Hit::Handles);
                }
                self.trapped(&log, &error);
                false
            }
        }
    }

    /// The guest's call ended by itself. Whether the guest has declared itself unfit to go on.
    fn returned(&self, log: &DynoLog) -> bool {
        let exchange = self.exchange;
        match exchange.guest_error() {
            Some(GuestError::BootTimeout) => {
                self.boot_timeout(log);
                true
            }
            Some(GuestError::Crashed) => {
                self.crashed(log);
                exchange.fail(HCode::H10);
                true
            }
            Some(GuestError::Other(text)) if !exchange.responded() => {
                log.platform(&format!("Request failed without a response: {text}"));
                exchange.fail(HCode::H13);
                false
            }
            _ if !exchange.responded() => {
                log.platform("The request's handler ended without a response");
                exchange.fail(HCode::H13);
                false
            }
            _ => false,
        }
    }

    fn trapped(&self, log: &DynoLog, error: &wasmtime::Error) {
        match error.downcast_ref::<I32Exit>() {
            Some(exit) => log.platform(&format!("Process exited with status {}", exit.0)),
            None => log_trap(log, error),
        }
        self.crashed(log);
        let exchange = self.exchange;
        exchange.fail(match (exchange.responded(), self.booting) {
            (true, _) => HCode::H18,
            (false, true) => HCode::H10,
            (false, false) => HCode::H13,
        });
    }

    fn late(&self, log: &DynoLog, running: Option<&wasmtime::Error>) {
        let exchange = self.exchange;
        if let Some(error) = running {
            log_trap(log, error);
        }
        if exchange.is_over() {
            self.metrics().hit(Hit::AfterResponse);
            let seconds = self.formation.host.limits.after_response_ms / 1000;
            log.platform(&format!(
                "Stopping dyno: it went on for more than {seconds} seconds after its response"
            ));
        }
        match exchange.late_code() {
            HCode::H12 if self.booting => self.boot_timeout(log),
            code => exchange.fail(code),
        }
    }

    fn boot_timeout(&self, log: &DynoLog) {
        let seconds = self.formation.host.limits.boot_ms / 1000;
        log.platform(&format!(
            "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {seconds} \
             seconds of launch"
        ));
        self.crashed(log);
        self.exchange.fail(HCode::H20);
    }

    fn crashed(&self, log: &DynoLog) {
        let from = if self.booting { "starting" } else { "up" };
        log.platform(&format!("State changed from {from} to crashed"));
        self.lease.mark_crashed();
    }
}

pub(crate) fn log_trap(log: &DynoLog, error: &wasmtime::Error) {
    for line in format!("{error:?}").lines().take(TRAP_LINES) {
        log.platform(line);
    }
}

pub(crate) fn log_memory<G>(log: &DynoLog, instance: &Instance<G>, error: &str) {
    let mib = |bytes: usize| bytes / (1024 * 1024);
    let (used, limit) = (instance.memory().used(), instance.memory().limit());
    log.platform(&format!("Process running mem={}M of {}M", mib(used), mib(limit)));
    log.platform(error);
}

/// A poll that took longer makes the rest of its request be measured exactly.
const LONG_POLL: Duration = Duration::from_millis(1);

/// Adds the time that polling `future` takes on a CPU to the exchange.
///
/// The thread's own clock takes a system call, and two of them for each request were 6 % of the router's time.
/// Polls are short as long as the guest computes little, so the wall clock, which takes none, is as good; a
/// guest that computes yields at each epoch tick, and from its first long poll on the exact clock is used.
async fn metered<F: Future>(exchange: &Exchange, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut exact = false;
    std::future::poll_fn(move |cx| {
        let cpu = exact.then(thread_time);
        let begun = std::time::Instant::now();
        let polled = future.as_mut().poll(cx);
        let wall = begun.elapsed();
        exact |= wall > LONG_POLL;
        exchange.add_cpu(cpu.map_or(wall, |before| thread_time().saturating_sub(before)));
        polled
    })
    .await
}

/// Time that this thread has spent on a CPU.
pub(crate) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
