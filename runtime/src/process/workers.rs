//! The dynos of a process type that serves no requests: as many as the scale's minimum, kept running.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi::p2::bindings::CommandPre;
use wpaas_slug::feed::{self, DynoStatus, Scale};

use super::{
    rest::Crashes,
    run::{Process, asked_to_end, silent, until},
};
use crate::{
    dyno::{DynoSpec, DynoState, Host, Io},
    dynos::Dynos,
};

/// One process type of one release that runs as commands.
pub(crate) struct Workers {
    host: Arc<Host>,
    spec: DynoSpec,
    program: CommandPre<DynoState>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// How many are to run while the release is current.
    wanted: u32,
    /// By number. Each has a task, which removes it.
    dynos: BTreeMap<u32, Dyno>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Prepared, but not the app's release yet.
    Prepared,
    Current,
    Retired,
}

struct Dyno {
    state: feed::DynoState,
    since: Timestamp,
    /// Asks the process that runs now to end.
    asked: CancellationToken,
}

impl Workers {
    pub(crate) fn new(
        host: Arc<Host>,
        spec: DynoSpec,
        program: CommandPre<DynoState>,
        scale: Scale,
    ) -> Arc<Self> {
        let state = State { phase: Phase::Prepared, wanted: wanted(scale), dynos: BTreeMap::new() };
        Arc::new(Self { host, spec, program, state: Mutex::new(state) })
    }

    /// Starts what is to run and does not.
    fn keep_running(self: Arc<Self>, state: &mut State) {
        for number in 1..=state.runs() {
            if let Entry::Vacant(entry) = state.dynos.entry(number) {
                entry.insert(self.starting());
                let supervised = Arc::clone(&self).supervise(number);
                // Nobody waits for it as a client waits for an answer.
                let slow = self.host.lanes.slow.handle();
                self.host.processes.spawn_on(Box::pin(supervised), slow);
            }
        }
    }

    fn starting(&self) -> Dyno {
        Dyno {
            state: feed::DynoState::Starting,
            since: Timestamp::now(),
            asked: self.host.stopping.child_token(),
        }
    }

    /// Runs the dyno `number` again and again, as long as it is wanted.
    async fn supervise(self: Arc<Self>, number: u32) {
        let dyno = self.spec.dyno(number);
        let log = self.host.log(self.spec.app, &dyno);
        let mut crashes = Crashes::default();
        let mut before = None;
        while let Some(asked) = self.begin(number) {
            if let Some(before) = before {
                log.platform(&format!("State changed from {before} to starting"));
            }
            let started = Instant::now();
            let io = Io { stdin: Some(until(&asked, silent())), ..Io::default() };
            let (host, spec, program) = (&*self.host, &self.spec, &self.program);
            let process = Process { host, spec, program, dyno: &dyno, log: &log };
            let run = process.run(io, || self.set(number, feed::DynoState::Up));
            let status = asked_to_end(run, &asked, &self.host.limits, &log).await;
            log.platform(&format!("Process exited with status {status}"));
            before = Some("up");
            if asked.is_cancelled() {
                crashes = Crashes::default();
                continue;
            }
            log.platform("State changed from up to crashed");
            before = Some("crashed");
            self.set(number, feed::DynoState::Crashed);
            let rest = crashes.ended(started.elapsed(), &self.host.limits);
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                // Someone wants it to run again, or never again.
                () = asked.cancelled() => crashes = Crashes::default(),
            }
        }
        if let Some(before) = before {
            log.platform(&format!("State changed from {before} to down"));
        }
    }

    /// What asks the next run to end, or `None` if there is to be none.
    fn begin(&self, number: u32) -> Option<CancellationToken> {
        let mut state = self.state.lock();
        if number > state.runs() || self.host.stopping.is_cancelled() {
            state.dynos.remove(&number);
            return None;
        }
        let dyno = self.starting();
        let asked = dyno.asked.clone();
        state.dynos.insert(number, dyno);
        Some(asked)
    }

    fn set(&self, number: u32, to: feed::DynoState) {
        if let Some(dyno) = self.state.lock().dynos.get_mut(&number) {
            dyno.state = to;
            dyno.since = Timestamp::now();
        }
    }
}

impl State {
    /// How many are to run now.
    fn runs(&self) -> u32 {
        if self.phase == Phase::Current { self.wanted } else { 0 }
    }
}

/// Load starts no workers, so those of the minimum are all.
fn wanted(scale: Scale) -> u32 {
    scale.min.min(scale.max)
}

impl Dynos for Workers {
    fn activate(self: Arc<Self>) {
        let mut state = self.state.lock();
        if state.phase == Phase::Prepared {
            state.phase = Phase::Current;
            Arc::clone(&self).keep_running(&mut state);
        }
    }

    fn rescale(self: Arc<Self>, scale: Scale) {
        let mut state = self.state.lock();
        state.wanted = wanted(scale);
        let surplus = state.runs().saturating_add(1)..;
        state.dynos.range(surplus).for_each(|(_, dyno)| dyno.asked.cancel());
        Arc::clone(&self).keep_running(&mut state);
    }

    fn restart(self: Arc<Self>, number: Option<u32>) {
        let state = self.state.lock();
        let named = |at: &u32| number.is_none_or(|number| number == *at);
        state.dynos.iter().filter(|(at, _)| named(at)).for_each(|(_, dyno)| dyno.asked.cancel());
    }

    fn retire(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Retired;
        state.dynos.values().for_each(|dyno| dyno.asked.cancel());
    }

    fn dynos(&self, _: Scale) -> Vec<DynoStatus> {
        let state = self.state.lock();
        let status =
            |(number, dyno): (&u32, &Dyno)| self.spec.status(*number, dyno.state, dyno.since);
        state.dynos.iter().map(status).collect()
    }
}
