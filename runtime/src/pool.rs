//! The dynos of one process type as slots: which are free, which serve, who waits.
//!
//! A request takes a [`Lease`] on a slot and gives it back by dropping it, with or without an instance in
//! it. One request at a time has a slot. The pool knows nothing of Wasm, so that its rules can be tested
//! with any `T`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};
use wpaas_slug::feed::{DynoState, Scale};

/// The slots of one process type.
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
    queue_limit: usize,
}

struct State<T> {
    scale: Scale,
    /// Replaced by a newer release: what comes back is not kept.
    retired: bool,
    /// By dyno number.
    slots: BTreeMap<u32, Slot>,
    /// The one used last is at the end and goes out first, so that those not needed grow old.
    idle: Vec<Idle<T>>,
    waiters: VecDeque<oneshot::Sender<Lease<T>>>,
    /// Numbers whose last instance crashed and that were not started again.
    crashed: BTreeMap<u32, Timestamp>,
    /// Slots whose instance is to be replaced when it comes back.
    replace: BTreeSet<u32>,
}

struct Slot {
    since: Timestamp,
    up: bool,
}

struct Idle<T> {
    number: u32,
    instance: T,
    since: Instant,
}

/// What a pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) busy: usize,
    pub(crate) idle: usize,
    pub(crate) queued: usize,
}

/// Why there is no dyno for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The process type is scaled to zero.
    Off,
    /// Too many requests wait already.
    QueueFull,
}

/// The right to use one slot, until dropped.
pub(crate) struct Lease<T> {
    /// `None` once the slot was passed on.
    pool: Option<Arc<Pool<T>>>,
    number: u32,
    instance: Option<T>,
}

impl<T> Pool<T> {
    pub(crate) fn new(scale: Scale, queue_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                scale,
                retired: false,
                slots: BTreeMap::new(),
                idle: Vec::new(),
                waiters: VecDeque::new(),
                crashed: BTreeMap::new(),
                replace: BTreeSet::new(),
            }),
            queue_limit,
        })
    }

    /// A slot with a warm instance, if there is one.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Lease<T>> {
        let mut state = self.state.lock();
        if state.scale.max == 0 {
            return None;
        }
        let idle = state.idle.pop()?;
        drop(state);
        Some(self.lease(idle.number, Some(idle.instance)))
    }

    /// A slot for one request: one with a warm instance, else a new one, else the next that comes back.
    /// While others are busy, a new one is taken only after `patience`: where starting takes long, an
    /// instance that is about to finish is the quicker one.
    pub(crate) async fn acquire(self: &Arc<Self>, patience: Duration) -> Result<Lease<T>, Refused> {
        let mut waiting = {
            let mut state = self.state.lock();
            if state.scale.max == 0 {
                return Err(Refused::Off);
            }
            if let Some(idle) = state.idle.pop() {
                return Ok(self.lease(idle.number, Some(idle.instance)));
            }
            if (patience.is_zero() || state.slots.is_empty())
                && let Some(number) = state.open_any()
            {
                return Ok(self.lease(number, None));
            }
            if state.waiters.len() >= self.queue_limit {
                state.waiters.retain(|waiter| !waiter.is_closed());
            }
            if state.waiters.len() >= self.queue_limit {
                return Err(Refused::QueueFull);
            }
            let (sender, receiver) = oneshot::channel();
            state.waiters.push_back(sender);
            receiver
        };
        if !patience.is_zero() {
            if let Ok(lease) = tokio::time::timeout(patience, &mut waiting).await {
                return lease.map_err(|_| Refused::Off);
            }
            let number = self.state.lock().open_any();
            if let Some(number) = number {
                return Ok(self.lease(number, None));
            }
        }
        waiting.await.map_err(|_| Refused::Off)
    }

    /// A new slot, if there are fewer than the scale's minimum. After a crash it takes a request to start
    /// again, or an instance that cannot start would be started for ever.
    pub(crate) fn acquire_for_minimum(self: &Arc<Self>) -> Option<Lease<T>> {
        let mut state = self.state.lock();
        let rest = state.retired || !state.crashed.is_empty();
        let minimum = if rest { 0 } else { state.scale.min.min(state.scale.max) };
        let number = state.open(minimum)?;
        Some(self.lease(number, None))
    }

    fn lease(self: &Arc<Self>, number: u32, instance: Option<T>) -> Lease<T> {
        Lease { pool: Some(Arc::clone(self)), number, instance }
    }

    /// Changes how many slots there may be. Instances beyond that go now, or when they come back.
    pub(crate) fn rescale(&self, scale: Scale) {
        let mut removed = Vec::new();
        let mut state = self.state.lock();
        state.scale = scale;
        state.crashed.retain(|number, _| *number <= scale.max);
        while state.slots.len() > size(scale.max) && !state.idle.is_empty() {
            removed.push(state.remove_idle(0));
        }
        if scale.max == 0 {
            // Their receivers see the sender gone.
            state.waiters.clear();
        }
        drop(state);
        drop(removed);
    }

    /// Ends the idle instances, and the others as they come back. Requests that wait, or that found this
    /// pool just before it was replaced, are still served.
    pub(crate) fn retire(&self) {
        let mut state = self.state.lock();
        state.retired = true;
        let removed = state.remove_all_idle();
        drop(state);
        drop(removed);
    }

    /// Replaces one instance, or all: those that are idle now, the others when they come back.
    pub(crate) fn restart(&self, number: Option<u32>) {
        let mut state = self.state.lock();
        let wanted = |at: u32| number.is_none_or(|number| number == at);
        let removed: Vec<T> = match number {
            None => state.remove_all_idle(),
            Some(number) => {
                let found = state.idle.iter().position(|idle| idle.number == number);
                found.map(|at| state.remove_idle(at)).into_iter().collect()
            }
        };
        let busy: Vec<u32> = state.slots.keys().copied().filter(|at| wanted(*at)).collect();
        state.replace.extend(busy);
        state.crashed.retain(|at, _| !wanted(*at));
        drop(state);
        drop(removed);
    }

    /// Ends instances that were idle for `age`, down to the scale's minimum.
    pub(crate) fn reap(&self, age: Duration) {
        let mut removed = Vec::new();
        let mut state = self.state.lock();
        let old = |idle: &Idle<T>| idle.since.elapsed() >= age;
        while state.slots.len() > size(state.scale.min) && state.idle.first().is_some_and(old) {
            removed.push(state.remove_idle(0));
        }
        drop(state);
        drop(removed);
    }

    /// Ends the instance that was idle longest. `false` when there is none.
    pub(crate) fn evict(&self) -> bool {
        let mut state = self.state.lock();
        let removed = (!state.idle.is_empty()).then(|| state.remove_idle(0));
        drop(state);
        removed.is_some()
    }

    /// Since when the oldest idle instance is idle.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.state.lock().idle.first().map(|idle| idle.since)
    }

    /// Whether there is no slot in use and [`Pool::acquire_for_minimum`] has none to give.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.slots.is_empty()
            && (state.retired
                || !state.crashed.is_empty()
                || state.scale.min.min(state.scale.max) == 0)
    }

    /// The dynos as `ps` shows them, by number. None at all is one that is idle.
    pub(crate) fn dynos(&self) -> Vec<(u32, DynoState, Timestamp)> {
        let state = self.state.lock();
        let state_of = |slot: &Slot| if slot.up { DynoState::Up } else { DynoState::Starting };
        let mut dynos: BTreeMap<u32, (DynoState, Timestamp)> =
            state.crashed.iter().map(|(at, since)| (*at, (DynoState::Crashed, *since))).collect();
        dynos.extend(state.slots.iter().map(|(at, slot)| (*at, (state_of(slot), slot.since))));
        dynos.into_iter().map(|(number, (state, since))| (number, state, since)).collect()
    }

    /// How many slots work or start, how many wait for a request, and how many requests wait for a slot.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.state.lock();
        Usage {
            busy: state.slots.len().saturating_sub(state.idle.len()),
            idle: state.idle.len(),
            queued: state.waiters.iter().filter(|waiter| !waiter.is_closed()).count(),
        }
    }

    fn give_back(self: &Arc<Self>, number: u32, instance: Option<T>) {
        let mut instance = instance;
        // Dropped after the lock: dropping an instance takes long.
        let mut discarded = None;
        let mut state = self.state.lock();
        if state.replace.remove(&number) {
            discarded = instance.take();
        }
        if state.slots.len() > size(state.scale.max) {
            state.slots.remove(&number);
        } else {
            while let Some(waiter) = state.waiters.pop_front() {
                if instance.is_none() {
                    state.reopen(number);
                }
                match waiter.send(self.lease(number, instance.take())) {
                    Ok(()) => {
                        drop(state);
                        drop(discarded);
                        return;
                    }
                    Err(mut lease) => {
                        lease.pool = None;
                        instance = lease.instance.take();
                    }
                }
            }
            match instance.take() {
                Some(instance) if !state.retired => {
                    state.idle.push(Idle { number, instance, since: Instant::now() });
                }
                unused => {
                    discarded = discarded.or(unused);
                    state.slots.remove(&number);
                }
            }
        }
        drop(state);
        drop((discarded, instance));
    }
}

impl<T> State<T> {
    /// Takes the lowest free number, if the scale allows one more.
    fn open_any(&mut self) -> Option<u32> {
        self.open(self.scale.max)
    }

    /// Takes the lowest free number, if fewer than `max` are taken.
    fn open(&mut self, max: u32) -> Option<u32> {
        if self.slots.len() >= size(max) {
            return None;
        }
        let number = (1..=max).find(|number| !self.slots.contains_key(number))?;
        self.reopen(number);
        Some(number)
    }

    fn reopen(&mut self, number: u32) {
        self.crashed.remove(&number);
        self.slots.insert(number, Slot { since: Timestamp::now(), up: false });
    }

    fn remove_idle(&mut self, at: usize) -> T {
        let idle = self.idle.remove(at);
        self.slots.remove(&idle.number);
        idle.instance
    }

    fn remove_all_idle(&mut self) -> Vec<T> {
        for idle in &self.idle {
            self.slots.remove(&idle.number);
        }
        self.idle.drain(..).map(|idle| idle.instance).collect()
    }
}

impl<T> Lease<T> {
    /// The dyno's number: 1 for `web.1`.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The warm instance, if there is one.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.instance.take()
    }

    /// Leaves an instance for the next request.
    pub(crate) fn put(&mut self, instance: T) {
        self.instance = Some(instance);
    }

    /// The instance is running.
    pub(crate) fn mark_up(&self) {
        let Some(pool) = &self.pool else { return };
        if let Some(slot) = pool.state.lock().slots.get_mut(&self.number) {
            slot.up = true;
        }
    }

    /// The instance ended by a trap or a limit. The slot is then given back without one.
    pub(crate) fn mark_crashed(&self) {
        let Some(pool) = &self.pool else { return };
        let mut state = pool.state.lock();
        if !state.retired {
            state.crashed.insert(self.number, Timestamp::now());
        }
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.give_back(self.number, self.instance.take());
        }
    }
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
