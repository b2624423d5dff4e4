//! What one dyno uses, and which part of it each of its requests has caused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// The accounts of one dyno.
#[derive(Default)]
pub(super) struct Accounts {
    /// The time that each request would have if all had been there from the beginning, in nanoseconds: each poll of
    /// the guest adds its time divided by the number of requests. A request's share is how far it has moved.
    shared_ns: AtomicU64,
    requests: AtomicUsize,
    idle: Notify,
}

impl Accounts {
    /// The guest has used `time`.
    pub(super) fn add(&self, time: Duration) {
        let requests = self.requests.load(Ordering::Relaxed).max(1) as u64;
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.shared_ns.fetch_add(time / requests, Ordering::Relaxed);
    }

    /// One more request, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Present {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Present(Arc::clone(self))
    }

    /// A request's share, which begins now.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        let since = self.shared_ns.load(Ordering::Relaxed);
        Share { accounts: Arc::clone(self), since }
    }

    /// Returns when there is no request.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            let mut idle = std::pin::pin!(idle);
            idle.as_mut().enable();
            if self.requests.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// A request that a dyno has.
pub(super) struct Present(Arc<Accounts>);

impl Drop for Present {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

/// One request's part of its dyno's time on a CPU.
pub(crate) struct Share {
    accounts: Arc<Accounts>,
    since: u64,
}

impl Share {
    /// So far.
    pub(crate) fn time(&self) -> Duration {
        let now = self.accounts.shared_ns.load(Ordering::Relaxed);
        Duration::from_nanos(now.saturating_sub(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_are_there_at_the_same_time_share_what_the_dyno_uses() {
        let accounts = Arc::new(Accounts::default());
        let ms = Duration::from_millis;
        accounts.add(ms(5));
        let (_one, first) = (accounts.enter(), accounts.share());
        accounts.add(ms(4));
        let (two, second) = (accounts.enter(), accounts.share());
        accounts.add(ms(6));
        drop(two);
        assert_eq!(second.time(), ms(3));
        accounts.add(ms(1));
        assert_eq!(first.time(), ms(4 + 3 + 1));
    }

    #[tokio::test]
    async fn idle_is_when_the_last_request_has_gone() {
        use futures::FutureExt;
        let accounts = Arc::new(Accounts::default());
        let (one, two) = (accounts.enter(), accounts.enter());
        drop(one);
        let mut idle = Box::pin(accounts.idle());
        assert!((&mut idle).now_or_never().is_none());
        drop(two);
        idle.await;
    }
}
