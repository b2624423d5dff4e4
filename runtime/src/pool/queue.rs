//! Requests that wait for a dyno of one process type, in the order in which they came.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::Refused;

/// A bounded queue of those who wait for an `M`.
pub(super) struct Queue<M> {
    waiters: VecDeque<oneshot::Sender<M>>,
    limit: usize,
}

impl<M> Queue<M> {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiters: VecDeque::new(), limit }
    }

    /// A place at the end. Those whose clients gave up take no room.
    pub(super) fn join(&mut self) -> Result<oneshot::Receiver<M>, Refused> {
        if self.waiters.len() >= self.limit {
            self.waiters.retain(|waiter| !waiter.is_closed());
        }
        if self.waiters.len() >= self.limit {
            return Err(Refused::QueueFull);
        }
        let (sender, receiver) = oneshot::channel();
        self.waiters.push_back(sender);
        Ok(receiver)
    }

    /// Whoever waits longest. They may have given up, which sending shows.
    pub(super) fn pop(&mut self) -> Option<oneshot::Sender<M>> {
        self.waiters.pop_front()
    }

    /// Puts somebody back who was popped in vain.
    pub(super) fn put_back(&mut self, waiter: oneshot::Sender<M>) {
        self.waiters.push_front(waiter);
    }

    /// Sends everybody away: their receivers see the sender gone.
    pub(super) fn clear(&mut self) {
        self.waiters.clear();
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiters.iter().filter(|waiter| !waiter.is_closed()).count()
    }
}
