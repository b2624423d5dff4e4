//! One request between the router and the worker that runs the guest.
//!
//! The router waits for the response and streams bodies; the worker polls the guest. Both know each other
//! only through the exchange: it holds the deadline that every byte moves, and the outcome.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use futures::task::AtomicWaker;
use http::Response;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};
use wasmtime_wasi_http::p2::{bindings::http::types::ErrorCode, body::HyperOutgoingBody};
use wpaas_slug::Limits;

use crate::{hcode::HCode, socket::Share};

/// What the router gets: the guest's response, or the code of the page to send instead.
pub(crate) type Outcome = Result<Response<HyperOutgoingBody>, HCode>;

/// How the instance was come by, for the router's log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It had served before, or waited for work.
    Warm,
    /// Started for this request.
    Fresh,
    /// Started for this request, and its code or slug had to be brought to memory first.
    Cold,
}

impl Start {
    /// As in the router's log line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Fresh => "fresh",
            Self::Cold => "cold",
        }
    }
}

/// What the guest said instead of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GuestError {
    /// `R10 …`: the app did not listen in time.
    BootTimeout,
    /// `H10 …`: the app failed to load.
    Crashed,
    /// Anything else.
    Other(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No response yet.
    Waiting,
    /// The response's body is on its way.
    Responding,
    /// The client has all it will get.
    Over,
}

struct State {
    phase: Phase,
    deadline: Instant,
    /// The request's body is not complete and the guest waits for the client to send more of it.
    stalled: bool,
    answer: Answer,
    guest_error: Option<GuestError>,
}

/// The one answer that a request gets.
enum Answer {
    /// The guest has given none yet. The waker is the router's.
    Awaited(Option<Waker>),
    /// The router has not taken it yet.
    Given(Outcome),
    /// Nobody waits for one any more.
    Taken,
}

/// One request under way.
pub(crate) struct Exchange {
    state: Mutex<State>,
    /// The deadline came closer, or the request is over.
    sooner: Notify,
    /// The guest has set an error instead of a response.
    failed: Notify,
    /// The first byte is never due before this.
    floor: Instant,
    times: Times,
    /// Why the body ends before its end.
    cut: OnceLock<HCode>,
    /// The guest has returned and will write no more.
    returned: AtomicBool,
    body: AtomicWaker,
    /// The client broke the request's body off.
    broken_off: AtomicBool,
    cpu_ns: AtomicU64,
    /// What of it is known to be for this request, where the guest works on several.
    computing_ns: AtomicU64,
    /// The guest has used up the time on a CPU that it may have.
    exhausted: AtomicBool,
    /// What its part of the time of an instance that serves several is.
    share: OnceLock<Share>,
    /// Client and guest are done with each other.
    ended: Notify,
    /// The instance's memory in bytes.
    memory: OnceLock<Arc<AtomicUsize>>,
    start: OnceLock<Start>,
}

struct Times {
    first_byte: Duration,
    idle: Duration,
    after_response: Duration,
    cpu: Duration,
}

impl Exchange {
    /// A request whose first byte is due within `first_byte_ms`.
    pub(crate) fn new(limits: &Limits) -> Self {
        let first_byte = Limits::ms(limits.first_byte_ms);
        let deadline = Instant::now() + first_byte;
        Self {
            state: Mutex::new(State {
                phase: Phase::Waiting,
                deadline,
                stalled: false,
                answer: Answer::Awaited(None),
                guest_error: None,
            }),
            sooner: Notify::new(),
            failed: Notify::new(),
            floor: deadline,
            times: Times {
                first_byte,
                idle: Limits::ms(limits.idle_ms),
                after_response: Limits::ms(limits.after_response_ms),
                cpu: Limits::ms(limits.request_cpu_ms),
            },
            cut: OnceLock::new(),
            returned: AtomicBool::new(false),
            body: AtomicWaker::new(),
            broken_off: AtomicBool::new(false),
            cpu_ns: AtomicU64::new(0),
            computing_ns: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
            share: OnceLock::new(),
            ended: Notify::new(),
            memory: OnceLock::new(),
            start: OnceLock::new(),
        }
    }

    // -- the worker's side

    /// Gives the instance `boot` more for its first response.
    pub(crate) fn allow_boot(&self, boot: Duration) {
        let mut state = self.state.lock();
        if state.phase == Phase::Waiting {
            state.deadline += boot;
        }
    }

    /// Whether the deadline has passed, or the time on a CPU is used up.
    pub(crate) fn is_late(&self) -> bool {
        self.is_exhausted() || Instant::now() >= self.state.lock().deadline
    }

    /// Whether the guest has used up the time on a CPU that it may have.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    /// Returns when the request [is late](Self::is_late).
    pub(crate) async fn late(&self) {
        loop {
            let sooner = self.sooner.notified();
            let deadline = self.state.lock().deadline;
            if self.is_exhausted() || Instant::now() >= deadline {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {}
                () = sooner => {}
            }
        }
    }

    /// Returns when client and guest are done with each other.
    pub(crate) async fn closed(&self) {
        loop {
            let changed = self.sooner.notified();
            if self.is_over() {
                return;
            }
            changed.await;
        }
    }

    /// Takes what the guest set as the response. Called inside the guest's call.
    pub(crate) fn respond(&self, set: Result<Response<HyperOutgoingBody>, ErrorCode>) {
        let mut state = self.state.lock();
        match set {
            Ok(response) => {
                if state.phase == Phase::Waiting {
                    state.phase = Phase::Responding;
                    self.set_deadline(&mut state, self.times.idle);
                }
                drop(state);
                self.answer(Ok(response));
            }
            Err(error) => {
                state.guest_error = Some(GuestError::from(error));
                self.failed.notify_one();
            }
        }
    }

    /// Returns when the guest has said that it cannot go on ([`GuestError::BootTimeout`] or
    /// [`GuestError::Crashed`]).
    pub(crate) async fn guest_failed(&self) {
        loop {
            self.failed.notified().await;
            if !matches!(self.guest_error(), None | Some(GuestError::Other(_))) {
                return;
            }
        }
    }

    /// What the guest said instead of a response.
    pub(crate) fn guest_error(&self) -> Option<GuestError> {
        self.state.lock().guest_error.clone()
    }

    /// Whether the guest has given its response.
    pub(crate) fn responded(&self) -> bool {
        !matches!(self.state.lock().answer, Answer::Awaited(_))
    }

    /// Whether client and guest are done with each other.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().phase == Phase::Over
    }

    /// The code for a request whose deadline has passed.
    pub(crate) fn late_code(&self) -> HCode {
        let state = self.state.lock();
        match (state.phase, state.stalled) {
            (Phase::Waiting, _) if self.is_exhausted() => HCode::H13,
            (Phase::Responding, _) if self.is_exhausted() => HCode::H18,
            (Phase::Waiting, true) => HCode::H28,
            (Phase::Waiting, false) => HCode::H12,
            (Phase::Responding | Phase::Over, _) => HCode::H15,
        }
    }

    /// Ends the request with `code`: as a page if there is no response yet, else by cutting the body.
    pub(crate) fn fail(&self, code: HCode) {
        // Before the guest's end of the body goes, so that the router takes it for what it is.
        let _ = self.cut.set(code);
        self.answer(Err(code));
        self.body.wake();
    }

    /// Gives the router `outcome`, if it waits for one.
    fn answer(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        let Answer::Awaited(waker) = &mut state.answer else {
            drop(state);
            // With the response goes its body, and the guest's stream sees that nobody reads it.
            drop(outcome);
            return;
        };
        let waker = waker.take();
        state.answer = Answer::Given(outcome);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The guest's call has returned.
    pub(crate) fn guest_returned(&self) {
        self.returned.store(true, Ordering::Release);
        self.body.wake();
    }

    /// Adds to the guest's time on a CPU.
    pub(crate) fn add_cpu(&self, time: Duration) {
        let used = add(&self.cpu_ns, time);
        self.limit_cpu(used);
    }

    /// Adds a part of the time on a CPU of a guest that works on several requests. It says nothing of what the guest
    /// did for this one, so it does not count for its limit.
    pub(crate) fn share_cpu(&self, time: Duration) {
        add(&self.cpu_ns, time);
    }

    /// A guest that works on several requests was found computing for this one, and is looked at once a `tick`.
    pub(crate) fn found_computing(&self, tick: Duration) {
        let used = add(&self.computing_ns, tick);
        self.limit_cpu(used);
    }

    fn limit_cpu(&self, used: Duration) {
        if used > self.times.cpu && !self.exhausted.swap(true, Ordering::Relaxed) {
            self.sooner.notify_waiters();
        }
    }

    /// Where the request's part of its instance's time on a CPU can be read off.
    pub(crate) fn watch_share(&self, share: Share) {
        let _ = self.share.set(share);
    }

    /// Returns when client and guest are done with each other; for one who waits.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Where the guest's linear memory can be read off, in bytes.
    pub(crate) fn watch_memory(&self, gauge: Arc<AtomicUsize>) {
        let _ = self.memory.set(gauge);
    }

    /// Records how the instance was come by; what was recorded first counts.
    pub(crate) fn set_start(&self, start: Start) {
        let _ = self.start.set(start);
    }

    // -- the router's side

    /// The request's outcome, once. Wakes `waker` when there is one.
    pub(crate) fn poll_outcome(&self, waker: &Waker) -> Poll<Outcome> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.answer, Answer::Taken) {
            Answer::Given(outcome) => Poll::Ready(outcome),
            Answer::Awaited(_) => {
                state.answer = Answer::Awaited(Some(waker.clone()));
                Poll::Pending
            }
            Answer::Taken => Poll::Ready(Err(HCode::H99)),
        }
    }

    /// Whether the guest's call has returned, so that its deadline is of no interest any more.
    pub(crate) fn has_returned(&self) -> bool {
        self.returned.load(Ordering::Acquire)
    }

    /// A part of the request's body was given to the guest.
    pub(crate) fn upload_moved(&self) {
        let mut state = self.state.lock();
        state.stalled = false;
        match state.phase {
            Phase::Waiting => {
                let due = (Instant::now() + self.times.first_byte).max(self.floor);
                state.deadline = state.deadline.max(due);
            }
            Phase::Responding => state.deadline = Instant::now() + self.times.idle,
            Phase::Over => {}
        }
    }

    /// The guest waits for the client to send more of the request's body.
    pub(crate) fn upload_stalled(&self) {
        let mut state = self.state.lock();
        if !state.stalled && state.phase == Phase::Waiting {
            state.stalled = true;
            // The first byte is due only when the request is complete.
            state.deadline = state.deadline.max(Instant::now() + self.times.idle);
        }
    }

    /// The client has broken the request's body off; what the guest does then is not its fault.
    pub(crate) fn upload_broke(&self) {
        self.broken_off.store(true, Ordering::Relaxed);
    }

    /// The code for a guest that ends its response before its end.
    pub(crate) fn interrupted(&self) -> HCode {
        if self.broken_off.load(Ordering::Relaxed) { HCode::H27 } else { HCode::H18 }
    }

    /// A part of the response's body goes to the client.
    pub(crate) fn response_moved(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Responding {
            state.deadline = Instant::now() + self.times.idle;
        }
    }

    /// The client has the whole response, or is gone. The guest may go on for a while.
    pub(crate) fn over(&self) {
        let mut state = self.state.lock();
        let untaken = std::mem::replace(&mut state.answer, Answer::Taken);
        if state.phase != Phase::Over {
            state.phase = Phase::Over;
            state.deadline = Instant::now() + self.times.after_response;
            self.sooner.notify_waiters();
        }
        drop(state);
        drop(untaken);
        self.ended.notify_one();
    }

    /// Why the response's body is not complete, if it is not.
    pub(crate) fn cut(&self) -> Option<HCode> {
        self.cut.get().copied()
    }

    /// Whether the guest will write no more. Wakes `waker` when that changes.
    pub(crate) fn poll_returned(&self, waker: &Waker) -> bool {
        self.body.register(waker);
        self.returned.load(Ordering::Acquire) || self.cut.get().is_some()
    }

    /// The guest's time on a CPU so far.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed))
    }

    /// The guest's time on a CPU so far, its memory in bytes, and how it was started.
    pub(crate) fn accounts(&self) -> (Duration, usize, Option<Start>) {
        let cpu = self.cpu() + self.share.get().map(Share::time).unwrap_or_default();
        let memory = self.memory.get().map_or(0, |gauge| gauge.load(Ordering::Relaxed));
        (cpu, memory, self.start.get().copied())
    }

    fn set_deadline(&self, state: &mut State, after: Duration) {
        let deadline = Instant::now() + after;
        let sooner = deadline < state.deadline;
        state.deadline = deadline;
        if sooner {
            self.sooner.notify_waiters();
        }
    }
}

/// Adds to a counter of nanoseconds, and gives what it is then.
fn add(counter: &AtomicU64, time: Duration) -> Duration {
    let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let before = counter.fetch_add(time, Ordering::Relaxed);
    Duration::from_nanos(before.saturating_add(time))
}

impl From<ErrorCode> for GuestError {
    fn from(error: ErrorCode) -> Self {
        match error {
            ErrorCode::InternalError(Some(text)) if text.starts_with("R10") => Self::BootTimeout,
            ErrorCode::InternalError(Some(text)) if text.starts_with("H10") => Self::Crashed,
            ErrorCode::InternalError(Some(text)) => Self::Other(text),
            other => Self::Other(format!("{other:?}")),
        }
    }
}

#[cfg(test)]
mod tests;
