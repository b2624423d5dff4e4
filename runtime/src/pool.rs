//! The dynos of one process type as slots: which are free, which serve, who waits.
//!
//! A request takes a [`Lease`] on a slot and gives it back by dropping it, with or without an instance in
//! it. One request at a time has a slot; [`shared`] is the kind for instances that serve many at once. Neither
//! knows anything of Wasm, so that its rules can be tested with any `T`.

mod queue;
mod roster;
pub(crate) mod shared;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use wpaas_slug::feed::{DynoState, Scale};

use self::{queue::Queue, roster::Roster};
use crate::hcode::HCode;

/// The slots of one process type.
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    roster: Roster,
    /// The one used last is at the end and goes out first, so that those not needed grow old.
    idle: Vec<Idle<T>>,
    queue: Queue<Lease<T>>,
    /// Slots whose instance is to be replaced when it comes back.
    replace: BTreeSet<u32>,
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
    /// The instance that the request waited for did not start.
    NotStarted(HCode),
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
                roster: Roster::new(scale),
                idle: Vec::new(),
                queue: Queue::new(queue_limit),
                replace: BTreeSet::new(),
            }),
        })
    }

    /// A slot with a warm instance, if there is one.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Lease<T>> {
        let mut state = self.state.lock();
        if state.roster.is_off() {
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
            if state.roster.is_off() {
                return Err(Refused::Off);
            }
            if let Some(idle) = state.idle.pop() {
                return Ok(self.lease(idle.number, Some(idle.instance)));
            }
            if (patience.is_zero() || state.roster.len() == 0)
                && let Some(number) = state.roster.open()
            {
                return Ok(self.lease(number, None));
            }
            state.queue.join(0)?
        };
        if !patience.is_zero() {
            if let Ok(lease) = tokio::time::timeout(patience, &mut waiting).await {
                return lease.map_err(|_| Refused::Off);
            }
            let number = self.state.lock().roster.open();
            if let Some(number) = number {
                return Ok(self.lease(number, None));
            }
        }
        waiting.await.map_err(|_| Refused::Off)
    }

    /// A new slot, if there are fewer than the scale's minimum and none crashed.
    pub(crate) fn acquire_for_minimum(self: &Arc<Self>) -> Option<Lease<T>> {
        let number = self.state.lock().roster.open_for_minimum()?;
        Some(self.lease(number, None))
    }

    fn lease(self: &Arc<Self>, number: u32, instance: Option<T>) -> Lease<T> {
        Lease { pool: Some(Arc::clone(self)), number, instance }
    }

    /// Changes how many slots there may be. Instances beyond that go now, or when they come back.
    pub(crate) fn rescale(&self, scale: Scale) {
        let mut removed = Vec::new();
        let mut state = self.state.lock();
        state.roster.set_scale(scale);
        while let Some(at) = state.idle.iter().position(|idle| state.roster.is_surplus(idle.number))
        {
            removed.push(state.remove_idle(at));
        }
        if state.roster.is_off() {
            state.queue.clear();
        }
        drop(state);
        drop(removed);
    }

    /// Ends the idle instances, and the others as they come back. Requests that wait, or that found this
    /// pool just before it was replaced, are still served.
    pub(crate) fn retire(&self) {
        let mut state = self.state.lock();
        state.roster.retire();
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
        let busy: Vec<u32> = state.roster.numbers().filter(|at| wanted(*at)).collect();
        state.replace.extend(busy);
        state.roster.forget_crashes(number);
        drop(state);
        drop(removed);
    }

    /// Ends instances that were idle for `age`, down to the scale's minimum.
    pub(crate) fn reap(&self, age: Duration) {
        let mut removed = Vec::new();
        let mut state = self.state.lock();
        let old = |idle: &Idle<T>| idle.since.elapsed() >= age;
        while state.roster.is_over_minimum() && state.idle.first().is_some_and(old) {
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
        self.state.lock().roster.is_quiet()
    }

    /// The dynos as `ps` shows them, by number. None at all is one that is idle.
    pub(crate) fn dynos(&self) -> Vec<(u32, DynoState, Timestamp)> {
        self.state.lock().roster.dynos()
    }

    /// How many slots work or start, how many wait for a request, and how many requests wait for a slot.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.state.lock();
        Usage {
            busy: state.roster.len().saturating_sub(state.idle.len()),
            idle: state.idle.len(),
            queued: state.queue.len(),
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
        if state.roster.is_surplus(number) {
            state.roster.close(number);
        } else {
            while let Some(waiter) = state.queue.pop() {
                if instance.is_none() {
                    state.roster.reopen(number);
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
                Some(instance) if !state.roster.is_retired() => {
                    state.idle.push(Idle { number, instance, since: Instant::now() });
                }
                unused => {
                    discarded = discarded.or(unused);
                    state.roster.close(number);
                }
            }
        }
        drop(state);
        drop((discarded, instance));
    }
}

impl<T> State<T> {
    fn remove_idle(&mut self, at: usize) -> T {
        let idle = self.idle.remove(at);
        self.roster.close(idle.number);
        idle.instance
    }

    fn remove_all_idle(&mut self) -> Vec<T> {
        for idle in &self.idle {
            self.roster.close(idle.number);
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
        pool.state.lock().roster.mark_up(self.number);
    }

    /// The instance ended by a trap or a limit. The slot is then given back without one.
    pub(crate) fn mark_crashed(&self) {
        let Some(pool) = &self.pool else { return };
        pool.state.lock().roster.mark_crashed(self.number);
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
