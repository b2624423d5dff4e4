//! How much of a processor guests take.

use std::{future::Future, pin::pin, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// A poll that took longer makes the rest be measured exactly.
const LONG_POLL: Duration = Duration::from_millis(1);

/// Measures polls of one future.
///
/// The thread's own clock takes a system call, and two of them for each request were 6 % of the router's time.
/// Polls are short as long as the guest computes little, so the wall clock, which takes none, is as good; a
/// guest that computes yields at each epoch tick, and from its first long poll on the exact clock is used.
#[derive(Default)]
pub(crate) struct Meter {
    exact: bool,
}

impl Meter {
    /// What `poll` gives, and the time that it took on a CPU.
    pub(crate) fn measure<T>(&mut self, poll: impl FnOnce() -> T) -> (T, Duration) {
        let cpu = self.exact.then(thread_time);
        let begun = std::time::Instant::now();
        let polled = poll();
        let wall = begun.elapsed();
        self.exact |= wall > LONG_POLL;
        (polled, cpu.map_or(wall, |before| thread_time().saturating_sub(before)))
    }
}

/// Gives the time that polling `future` takes on a CPU to `add`.
pub(crate) async fn metered<F: Future>(add: impl Fn(Duration), future: F) -> F::Output {
    let (mut future, mut meter) = (pin!(future), Meter::default());
    std::future::poll_fn(move |cx| {
        let (polled, time) = meter.measure(|| future.as_mut().poll(cx));
        add(time);
        polled
    })
    .await
}

/// Time that this thread has spent on a CPU.
pub(crate) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
