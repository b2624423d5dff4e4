//! The task of a guest that lives for many requests: where it is polled, and how long that takes.
//!
//! A guest that waits for its requests belongs among the tasks that answer clients. One that computes would hold a
//! thread of theirs until the next epoch tick again and again, so it goes on in the slow lane, and comes back when it
//! has calmed down.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::COMPUTES;
use crate::{attend::Guest, meter::thread_time};

/// A poll that took less lets the guest back among the quick.
const CALM: Duration = Duration::from_millis(1);

/// A guest that runs; `A` is told how long each poll took on a CPU.
pub(super) struct Drive<A> {
    /// `None` when it has ended or moved.
    running: Option<(Guest, A)>,
    quick: Handle,
    slow: Handle,
    is_slow: bool,
}

impl<A: FnMut(Duration) + Send + Unpin + 'static> Drive<A> {
    /// Runs `guest` in the background, on `quick` as long as it does not compute.
    pub(super) fn spawn(
        guest: impl Future<Output = ()> + Send + 'static,
        quick: &Handle,
        slow: &Handle,
        add: A,
    ) {
        let running = Some((Box::pin(guest) as _, add));
        let drive = Self { running, quick: quick.clone(), slow: slow.clone(), is_slow: false };
        quick.spawn(drive);
    }

    /// Goes on in the other lane.
    fn moved(&mut self) {
        let is_slow = !self.is_slow;
        let lane = if is_slow { &self.slow } else { &self.quick };
        lane.spawn(Self {
            running: self.running.take(),
            quick: self.quick.clone(),
            slow: self.slow.clone(),
            is_slow,
        });
    }
}

impl<A: FnMut(Duration) + Send + Unpin + 'static> Future for Drive<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let is_slow = self.is_slow;
        let Some((guest, add)) = &mut self.running else { return Poll::Ready(()) };
        // Not a `Meter`: one long poll would make a guest that lives for long pay for the exact clock ever after.
        // The wall clock takes no system call, and is as good while polls are short.
        let (wall, cpu) = (Instant::now(), is_slow.then(thread_time));
        let polled = guest.as_mut().poll(cx);
        let wall = wall.elapsed();
        add(cpu.map_or(wall, |before| thread_time().saturating_sub(before)));
        if polled.is_ready() {
            self.running = None;
            return Poll::Ready(());
        }
        let moves = if is_slow { wall < CALM } else { wall > COMPUTES };
        if moves {
            self.moved();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::lane::Lanes;

    fn compute(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {}
    }

    #[tokio::test]
    async fn a_guest_that_computes_leaves_and_comes_back_when_it_waits() {
        let (node, seen) = (Lanes::new().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&seen);
        let guest = async move {
            let note = || {
                let thread = std::thread::current();
                noted.lock().push(thread.name() == Some("wpaas-slow"));
            };
            for time in [COMPUTES * 2, COMPUTES * 2, Duration::ZERO, Duration::ZERO] {
                compute(time);
                note();
                tokio::task::yield_now().await;
            }
        };
        let (used, tracker) = (Arc::new(Mutex::new(Duration::ZERO)), TaskTracker::new());
        let counted = Arc::clone(&used);
        let guest = tracker.track_future(guest);
        node.slow.drive(&Handle::current(), guest, move |time| *counted.lock() += time);
        tracker.close();
        tracker.wait().await;
        assert_eq!(*seen.lock(), [false, true, true, false]);
        assert!(*used.lock() >= COMPUTES * 2, "{:?}", used.lock());
    }
}
