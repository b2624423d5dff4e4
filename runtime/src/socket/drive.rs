//! The task of a dyno: where its guest is polled, and how long that takes.
//!
//! A guest that waits for its requests belongs among the tasks that answer clients. One that computes would hold a
//! thread of theirs until the next epoch tick again and again, so it goes on in the [slow lane](crate::lane), and
//! comes back when it has calmed down.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::accounts::Accounts;
use crate::{lane::COMPUTES, meter::thread_time, metrics::AppMetrics};

/// A poll that took less lets the guest back among the quick.
const CALM: Duration = Duration::from_millis(1);

/// Where the guest may run.
#[derive(Clone)]
pub(super) struct Lanes {
    pub(super) quick: Handle,
    pub(super) slow: Handle,
}

/// A guest that runs.
pub(super) struct Drive {
    /// `None` when it has ended or moved.
    guest: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    lanes: Lanes,
    is_slow: bool,
    accounts: Arc<Accounts>,
    metrics: Arc<AppMetrics>,
    token: TaskTrackerToken,
}

impl Drive {
    /// Runs `guest` in the background.
    pub(super) fn spawn(
        guest: impl Future<Output = ()> + Send + 'static,
        lanes: Lanes,
        accounts: Arc<Accounts>,
        metrics: Arc<AppMetrics>,
        token: TaskTrackerToken,
    ) {
        let quick = lanes.quick.clone();
        let guest: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(guest);
        quick.spawn(Self { guest: Some(guest), lanes, is_slow: false, accounts, metrics, token });
    }

    fn moved(&mut self) {
        let Some(guest) = self.guest.take() else { return };
        let is_slow = !self.is_slow;
        let lane = if is_slow { &self.lanes.slow } else { &self.lanes.quick };
        lane.spawn(Self {
            guest: Some(guest),
            lanes: self.lanes.clone(),
            is_slow,
            accounts: Arc::clone(&self.accounts),
            metrics: Arc::clone(&self.metrics),
            token: self.token.clone(),
        });
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(guest) = &mut this.guest else { return Poll::Ready(()) };
        // The wall clock takes no system call, and is as good while polls are short; see `worker::metered`.
        let (wall, cpu) = (Instant::now(), this.is_slow.then(thread_time));
        let polled = guest.as_mut().poll(cx);
        let wall = wall.elapsed();
        let used = cpu.map_or(wall, |before| thread_time().saturating_sub(before));
        self.accounts.add(used);
        self.metrics.cpu(used);
        if polled.is_ready() {
            self.guest = None;
            return Poll::Ready(());
        }
        let moves = if self.is_slow { wall < CALM } else { wall > COMPUTES };
        if moves {
            self.moved();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio_util::task::TaskTracker;
    use wpaas_slug::Limits;

    use super::*;
    use crate::{lane, metrics::Metrics};

    fn compute(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {}
    }

    #[tokio::test]
    async fn a_guest_that_computes_leaves_and_comes_back_when_it_waits() {
        let (node, seen) = (lane::Lanes::new().unwrap(), Arc::new(Mutex::new(Vec::new())));
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
        let (accounts, tracker) = (Arc::new(Accounts::default()), TaskTracker::new());
        let share = accounts.share();
        let lanes = Lanes { quick: Handle::current(), slow: node.slow.handle().clone() };
        let metrics = Metrics::new(&Limits::default()).app();
        Drive::spawn(guest, lanes, accounts, metrics, tracker.token());
        tracker.close();
        tracker.wait().await;
        assert_eq!(*seen.lock(), [false, true, true, false]);
        assert!(share.time() >= COMPUTES * 2, "{:?}", share.time());
    }
}
