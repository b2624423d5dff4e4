//! Slots whose instances serve many requests at once.
//!
//! What a slot holds is a handle `T`: a cheap clone that leads to an instance which runs as a task of its own.
//! The pool has one clone and each request's [`Lease`] another, and an instance ends when the last is gone: so
//! one that is to be replaced leaves the pool at once, its number is free for the next, and the requests that
//! it still has are what keeps it.
//!
//! Instances are started by the pool's owner. One start serves everybody who waits for it:
//!
//! 1. The pool calls the function it was made with, which spawns a task and moves the [`Starting`] there.
//! 2. The task ends it by [`Starting::up`] with a handle, or by [`Starting::failed`], which is the answer for
//!    the requests that waited for it.
//! 3. What `up` gives is the instance's [`Membership`]. Dropping it says that the instance is dead: new requests
//!    get another one, and those in flight find out by themselves.
//!
//! An instance that left the pool with requests in flight is beyond the scale's maximum until they end. Whoever
//! makes it leave gets its handle, to give it a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::Notify, time::Instant};
use wpaas_slug::feed::{DynoState, Scale};

use super::{Refused, Usage, queue::Queue, roster::Roster};
use crate::hcode::HCode;

/// Starts an instance, without waiting for it. Called without the pool's lock.
type Start<T> = Box<dyn Fn(Starting<T>) + Send + Sync>;

/// What a request that waits gets.
type Turn<T> = Result<Lease<T>, Refused>;

/// The slots of one process type.
pub(crate) struct Shared<T: Clone> {
    state: Mutex<State<T>>,
    /// Requests that one instance has at most at the same time.
    concurrency: usize,
    start: Start<T>,
    /// Nothing is in flight and nobody waits.
    quiet: Notify,
}

struct State<T: Clone> {
    roster: Roster,
    /// By dyno number: those that get new requests, and those that start.
    entries: BTreeMap<u32, Entry<T>>,
    queue: Queue<Turn<T>>,
    /// Of all instances, also of those that have left.
    in_flight: usize,
    next_id: u64,
}

struct Entry<T> {
    /// Tells it from others that had the same number.
    id: u64,
    /// `None` while it starts.
    handle: Option<T>,
    in_flight: usize,
    /// When the last request was given back.
    idle_since: Instant,
}

/// What an instance leaves behind.
struct Left<T> {
    handle: T,
    busy: bool,
}

/// Which instance: its dyno number, and what tells it from others with that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    number: u32,
    id: u64,
}

impl<T: Clone> Shared<T> {
    /// A pool of instances that serve up to `concurrency` requests each, and are started by `start`.
    pub(crate) fn new(
        scale: Scale,
        queue_limit: usize,
        concurrency: usize,
        start: impl Fn(Starting<T>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                roster: Roster::new(scale),
                entries: BTreeMap::new(),
                queue: Queue::new(queue_limit),
                in_flight: 0,
                next_id: 0,
            }),
            concurrency: concurrency.max(1),
            start: Box::new(start),
            quiet: Notify::new(),
        })
    }

    /// A place at an instance that is up, if one has room.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Lease<T>> {
        let mut state = self.state.lock();
        if state.roster.is_off() {
            return None;
        }
        let place = state.place(self.concurrency)?;
        Some(self.leased(place, false))
    }

    /// A place for one request: at the instance with the fewest, else at one that is started for it and
    /// others, else the next that is free. While others are busy, an instance is started only after
    /// `patience`: where starting takes long, a place that is about to be free is the quicker one.
    pub(crate) async fn acquire(self: &Arc<Self>, patience: Duration) -> Result<Lease<T>, Refused> {
        let mut waiting = {
            let mut state = self.state.lock();
            if state.roster.is_off() {
                return Err(Refused::Off);
            }
            if let Some(place) = state.place(self.concurrency) {
                return Ok(self.leased(place, false));
            }
            let at_once = patience.is_zero() || state.entries.is_empty();
            let starting = at_once.then(|| self.open_for(&mut state, 1)).flatten();
            let expected = state.starting().saturating_mul(self.concurrency);
            let waiting = state.queue.join(expected);
            drop(state);
            self.start(starting);
            waiting?
        };
        if !patience.is_zero() {
            if let Ok(turn) = tokio::time::timeout(patience, &mut waiting).await {
                return turn.unwrap_or(Err(Refused::Off));
            }
            let starting = self.open_for(&mut self.state.lock(), 0);
            self.start(starting);
        }
        waiting.await.unwrap_or(Err(Refused::Off))
    }

    /// Starts instances until there are as many as the scale's minimum.
    pub(crate) fn keep_minimum(self: &Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            let Some(number) = state.roster.open_for_minimum() else { return };
            let starting = self.starting(&mut state, number);
            drop(state);
            self.start(Some(starting));
        }
    }

    /// Changes how many instances there may be. Those beyond it leave: the idle first, then those with the
    /// highest numbers, whose handles are returned.
    #[must_use = "they have requests in flight, which may last"]
    pub(crate) fn rescale(self: &Arc<Self>, scale: Scale) -> Vec<T> {
        let mut state = self.state.lock();
        state.roster.set_scale(scale);
        let mut left = Vec::new();
        while state.roster.is_over_maximum() {
            let Some(number) = state.last() else { break };
            left.extend(state.leave(number));
        }
        if state.roster.is_off() {
            state.queue.clear();
        }
        let starting = self.open_for(&mut state, 0);
        drop(state);
        self.start(starting);
        left.into_iter().filter(|left| left.busy).map(|left| left.handle).collect()
    }

    /// Ends the idle instances, and the others when their last request is given back. Requests that wait, or
    /// that found this pool just before it was replaced, are still served.
    pub(crate) fn retire(&self) {
        let mut state = self.state.lock();
        state.roster.retire();
        let mut removed = Vec::new();
        while let Some(number) = state.oldest_idle() {
            removed.extend(state.leave(number));
        }
        drop(state);
        drop(removed);
    }

    /// Replaces one instance, or all. The handles of those that have requests in flight are returned.
    #[must_use = "they have requests in flight, which may last"]
    pub(crate) fn restart(self: &Arc<Self>, number: Option<u32>) -> Vec<T> {
        let mut state = self.state.lock();
        let numbers: Vec<u32> = state.entries.keys().copied().collect();
        let mut left = Vec::new();
        for at in numbers.into_iter().filter(|at| number.is_none_or(|number| number == *at)) {
            left.extend(state.leave(at));
        }
        state.roster.forget_crashes(number);
        let starting = self.open_for(&mut state, 0);
        drop(state);
        self.start(starting);
        left.into_iter().filter(|left| left.busy).map(|left| left.handle).collect()
    }

    /// The dyno `number` has crashed and rested. If there has to be a minimum, it is started again; else it takes
    /// a request.
    pub(crate) fn rested(self: &Arc<Self>, number: u32) {
        let mut state = self.state.lock();
        if state.roster.has_minimum() {
            state.roster.forget_crashes(Some(number));
        }
        drop(state);
        self.keep_minimum();
    }

    /// Ends instances that had no request for `age`, down to the scale's minimum.
    pub(crate) fn reap(&self, age: Duration) {
        let mut removed = Vec::new();
        let mut state = self.state.lock();
        while state.roster.is_over_minimum()
            && let Some(number) = state.oldest_idle()
            && state.entries.get(&number).is_some_and(|entry| entry.idle_since.elapsed() >= age)
        {
            removed.extend(state.leave(number));
        }
        drop(state);
        drop(removed);
    }

    /// Ends the instance that was idle longest. `false` when there is none.
    pub(crate) fn evict(&self) -> bool {
        let mut state = self.state.lock();
        let removed = state.oldest_idle().and_then(|number| state.leave(number));
        drop(state);
        removed.is_some()
    }

    /// Since when the oldest idle instance is idle.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        let number = state.oldest_idle()?;
        state.entries.get(&number).map(|entry| entry.idle_since)
    }

    /// Whether there is no instance, and [`Shared::keep_minimum`] would start none.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.roster.is_quiet() && state.in_flight == 0
    }

    /// Returns when no request is in flight, also at instances that have left, and nobody waits.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for instances that are told to end by somebody")
    )]
    pub(crate) async fn drained(&self) {
        loop {
            let quiet = self.quiet.notified();
            let mut quiet = std::pin::pin!(quiet);
            // From here on it is told, so that nothing is missed between looking and waiting.
            quiet.as_mut().enable();
            if self.state.lock().is_drained() {
                return;
            }
            quiet.await;
        }
    }

    /// The dynos as `ps` shows them, by number. None at all is one that is idle.
    pub(crate) fn dynos(&self) -> Vec<(u32, DynoState, Timestamp)> {
        self.state.lock().roster.dynos()
    }

    /// How many instances work or start, how many have no request, and how many requests wait.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.state.lock();
        let idle = state.entries.values().filter(|entry| entry.is_idle()).count();
        let queued = state.queue.len();
        Usage { busy: state.entries.len().saturating_sub(idle), idle, queued }
    }

    fn start(&self, starting: Option<Starting<T>>) {
        if let Some(starting) = starting {
            (self.start)(starting);
        }
    }

    /// One more slot, when more wait (with `coming` more) than the instances that start already will take.
    fn open_for(self: &Arc<Self>, state: &mut State<T>, coming: usize) -> Option<Starting<T>> {
        let expected = state.starting().saturating_mul(self.concurrency);
        if state.queue.len().saturating_add(coming) <= expected {
            return None;
        }
        let number = state.roster.open()?;
        Some(self.starting(state, number))
    }

    fn starting(self: &Arc<Self>, state: &mut State<T>, number: u32) -> Starting<T> {
        let id = state.next_id;
        state.next_id += 1;
        let entry = Entry { id, handle: None, in_flight: 0, idle_since: Instant::now() };
        state.entries.insert(number, entry);
        Starting { pool: Some(Arc::downgrade(self)), key: Key { number, id } }
    }

    fn leased(self: &Arc<Self>, (key, handle): (Key, T), waited_for_start: bool) -> Lease<T> {
        Lease { pool: Some(Arc::clone(self)), key, handle, waited_for_start }
    }

    /// Gives places that are free to whoever waits.
    fn serve(self: &Arc<Self>, state: &mut State<T>, started: Option<Key>) {
        while let Some(waiter) = state.queue.pop() {
            if waiter.is_closed() {
                continue;
            }
            let Some(place) = state.place(self.concurrency) else {
                state.queue.put_back(waiter);
                return;
            };
            let key = place.0;
            let lease = self.leased(place, started == Some(key));
            if let Err(Ok(mut lease)) = waiter.send(Ok(lease)) {
                // Gone in this moment. Dropping the lease would ask for the lock that is held.
                lease.pool = None;
                state.give_back(key);
            }
        }
    }

    /// What has to be done after a change: whoever waits is served, an instance is started when a slot became
    /// free for one, and `left` is dropped without the lock, for that may take long.
    fn settle(self: &Arc<Self>, mut state: MutexGuard<'_, State<T>>, change: Change<T>) {
        self.serve(&mut state, change.started);
        let starting = if change.freed { self.open_for(&mut state, 0) } else { None };
        let drained = state.is_drained();
        drop(state);
        drop(change.left);
        self.start(starting);
        if drained {
            self.quiet.notify_waiters();
        }
    }

    fn give_back(self: &Arc<Self>, key: Key) {
        let mut state = self.state.lock();
        state.give_back(key);
        self.serve(&mut state, None);
        let unused =
            state.roster.is_retired() && state.entry(key).is_some_and(|entry| entry.is_idle());
        let left = if unused { state.leave(key.number) } else { None };
        self.settle(state, Change { left, ..Change::default() });
    }

    /// The instance gets no more requests.
    fn leave(self: &Arc<Self>, key: Key, crashed: bool) {
        let mut state = self.state.lock();
        if state.entry(key).is_none() {
            // It was replaced, and its number may be another one's.
            return;
        }
        let left = state.leave(key.number);
        if crashed {
            state.roster.mark_crashed(key.number);
        }
        self.settle(state, Change { left, freed: true, started: None });
    }

    fn up(self: &Arc<Self>, key: Key, handle: T) {
        let mut state = self.state.lock();
        let Some(entry) = state.entry(key) else {
            drop(state);
            return;
        };
        entry.handle = Some(handle);
        entry.idle_since = Instant::now();
        state.roster.mark_up(key.number);
        self.serve(&mut state, Some(key));
        let unused =
            state.roster.is_retired() && state.entry(key).is_some_and(|entry| entry.is_idle());
        let left = if unused { state.leave(key.number) } else { None };
        self.settle(state, Change { left, ..Change::default() });
    }

    fn failed(self: &Arc<Self>, key: Key, code: HCode, crashed: bool) {
        let mut state = self.state.lock();
        if state.entry(key).is_none() {
            return;
        }
        let left = state.leave(key.number);
        if crashed {
            state.roster.mark_crashed(key.number);
        }
        // As long as there are others, they serve who waits.
        let freed = state.entries.is_empty();
        if freed {
            let mut told = 0;
            while told < self.concurrency
                && let Some(waiter) = state.queue.pop()
            {
                told += usize::from(waiter.send(Err(Refused::NotStarted(code))).is_ok());
            }
        }
        self.settle(state, Change { left, freed, started: None });
    }
}

/// What happened to the slots.
struct Change<T> {
    /// The handle of an instance that left.
    left: Option<Left<T>>,
    /// A slot is free for another instance.
    freed: bool,
    /// The instance that has come up.
    started: Option<Key>,
}

impl<T> Default for Change<T> {
    fn default() -> Self {
        Self { left: None, freed: false, started: None }
    }
}

impl<T> Entry<T> {
    /// It is up and has no requests.
    fn is_idle(&self) -> bool {
        self.handle.is_some() && self.in_flight == 0
    }
}

impl<T: Clone> State<T> {
    fn entry(&mut self, key: Key) -> Option<&mut Entry<T>> {
        self.entries.get_mut(&key.number).filter(|entry| entry.id == key.id)
    }

    fn give_back(&mut self, key: Key) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(entry) = self.entry(key) {
            entry.in_flight = entry.in_flight.saturating_sub(1);
            entry.idle_since = Instant::now();
        }
    }

    /// The instance in slot `number` gets no more requests, and the slot is free.
    fn leave(&mut self, number: u32) -> Option<Left<T>> {
        self.roster.close(number);
        let entry = self.entries.remove(&number)?;
        let busy = entry.in_flight > 0;
        entry.handle.map(|handle| Left { handle, busy })
    }

    /// How many instances start.
    fn starting(&self) -> usize {
        self.entries.values().filter(|entry| entry.handle.is_none()).count()
    }

    fn oldest_idle(&self) -> Option<u32> {
        let idle = self.entries.iter().filter(|(_, entry)| entry.is_idle());
        idle.min_by_key(|(_, entry)| entry.idle_since).map(|(number, _)| *number)
    }

    fn last(&self) -> Option<u32> {
        self.entries.keys().next_back().copied()
    }

    fn is_drained(&self) -> bool {
        self.in_flight == 0 && self.queue.len() == 0
    }
}

impl<T: Clone> State<T> {
    /// Takes a place at the instance that has the fewest requests, if one has room.
    fn place(&mut self, concurrency: usize) -> Option<(Key, T)> {
        let up = self.entries.iter_mut().filter(|(_, entry)| entry.handle.is_some());
        let (number, entry) = up.min_by_key(|(_, entry)| entry.in_flight)?;
        if entry.in_flight >= concurrency {
            return None;
        }
        let handle = entry.handle.clone()?;
        entry.in_flight += 1;
        self.in_flight += 1;
        Some((Key { number: *number, id: entry.id }, handle))
    }
}

/// The right to use an instance for one request, until dropped.
pub(crate) struct Lease<T: Clone> {
    /// `None` when the place was given back already.
    pool: Option<Arc<Shared<T>>>,
    key: Key,
    handle: T,
    waited_for_start: bool,
}

impl<T: Clone> Lease<T> {
    /// The dyno's number: 1 for `web.1`.
    pub(crate) fn number(&self) -> u32 {
        self.key.number
    }

    /// The instance.
    pub(crate) fn handle(&self) -> &T {
        &self.handle
    }

    /// Whether the request waited until the instance was up.
    pub(crate) fn waited_for_start(&self) -> bool {
        self.waited_for_start
    }

    /// The instance gets no new requests, and ends when its last request is given back.
    pub(crate) fn replace(&self) {
        if let Some(pool) = &self.pool {
            pool.leave(self.key, false);
        }
    }
}

impl<T: Clone> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.give_back(self.key);
        }
    }
}

/// An instance that is to be started. Dropped without a word, it has failed by a fault of the host.
pub(crate) struct Starting<T: Clone> {
    /// `None` once it is known how it ended.
    pool: Option<Weak<Shared<T>>>,
    key: Key,
}

impl<T: Clone> Starting<T> {
    /// The dyno's number: 1 for `web.1`.
    pub(crate) fn number(&self) -> u32 {
        self.key.number
    }

    /// The instance takes requests, for as long as the membership is kept. When nobody wants it any more, the
    /// handle is dropped.
    pub(crate) fn up(mut self, handle: T) -> Membership<T> {
        let pool = self.pool.take().unwrap_or_default();
        if let Some(pool) = pool.upgrade() {
            pool.up(self.key, handle);
        }
        Membership { pool, key: self.key, crashed: false }
    }

    /// It does not come up. Requests that waited for it get `code`, unless another instance can serve them.
    pub(crate) fn failed(mut self, code: HCode, crashed: bool) {
        self.fail(code, crashed);
    }

    fn fail(&mut self, code: HCode, crashed: bool) {
        if let Some(pool) = self.pool.take().and_then(|pool| pool.upgrade()) {
            pool.failed(self.key, code, crashed);
        }
    }
}

impl<T: Clone> Drop for Starting<T> {
    fn drop(&mut self) {
        self.fail(HCode::H99, false);
    }
}

/// That an instance lives, held by its task. Dropping it removes the instance from the pool.
pub(crate) struct Membership<T: Clone> {
    pool: Weak<Shared<T>>,
    key: Key,
    crashed: bool,
}

impl<T: Clone> Membership<T> {
    /// The instance ended by a trap or a limit.
    pub(crate) fn crashed(mut self) {
        self.crashed = true;
    }
}

impl<T: Clone> Drop for Membership<T> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.leave(self.key, self.crashed);
        }
    }
}

#[cfg(test)]
mod tests;
