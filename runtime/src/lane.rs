//! Lanes for guests that compute: runtimes whose threads the kernel gives less of the processor when others want it.
//!
//! A guest that computes holds a thread until it yields, at the latest at the next epoch tick. On the threads that
//! serve connections everybody else's request would wait for that at each of its steps: four guests that spin on
//! two cores made the median of another app's requests 110 ms. So a guest that turns out to compute goes on in the
//! slow lane. And where requests take a while on average, but not that long, each begins in the middle lane, or many
//! of them would be as bad as few that spin; there they do not wait for those that do.

mod drive;

use std::{
    future::Future,
    io,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Handle, Runtime};

use drive::Drive;

/// CPU time of a request beyond which it counts as computing. Less than an epoch tick, so that it is at most one
/// that such a guest takes from others.
pub(crate) const COMPUTES: Duration = Duration::from_millis(5);
/// CPU time that an app's requests take on average from which on they begin in the middle lane: the way there costs
/// some 20 µs.
const TAKES_A_WHILE: Duration = Duration::from_millis(1);
/// The slow threads' nice value. A third of the weight of others: enough to go on when the node is busy.
const SLOW_NICE: i32 = 5;
/// The middle threads' nice value.
const MIDDLE_NICE: i32 = 2;

/// Where guests run that are not to be in the way of connections.
pub(crate) struct Lanes {
    /// For what takes a while.
    pub(crate) middle: Lane,
    /// For what computes.
    pub(crate) slow: Lane,
}

impl Lanes {
    /// Starts their threads, one a core each.
    pub(crate) fn new() -> io::Result<Self> {
        let middle = Lane::new("wpaas-middle", MIDDLE_NICE)?;
        Ok(Self { middle, slow: Lane::new("wpaas-slow", SLOW_NICE)? })
    }
}

/// A runtime of its own.
pub(crate) struct Lane {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Lane {
    fn new(name: &str, nice: i32) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(thread::available_parallelism().map_or(1, usize::from))
            .thread_name(name)
            .on_thread_start(move || {
                // On Linux this is the calling thread alone. Without it the lane is as quick as the others,
                // and still not in their way.
                if let Err(error) = rustix::process::setpriority_process(None, nice) {
                    tracing::debug!("cannot lower a thread's priority: {error}");
                }
            })
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Runs a guest that lives for many requests on `quick`, and in this lane while it computes. `add` is told how
    /// long each poll took on a CPU.
    pub(crate) fn drive(
        &self,
        quick: &Handle,
        guest: impl Future<Output = ()> + Send + 'static,
        add: impl FnMut(Duration) + Send + Unpin + 'static,
    ) {
        Drive::spawn(guest, quick, &self.handle, add);
    }

    /// For spawning on it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The last to hold it may be one of its own tasks, where nothing may wait for its end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How much requests compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Quick,
    Middling,
    Slow,
}

/// The CPU time that requests of one process type have taken lately.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Moving average, in nanoseconds. Two updates at once may lose one of them, which does no harm.
    average: AtomicU64,
}

impl Load {
    /// A request's guest has ended, or its first part that counts.
    pub(crate) fn served(&self, cpu: Duration) {
        let cpu = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX) / 8;
        let average = self.average.load(Ordering::Relaxed);
        self.average.store((average - average / 8).saturating_add(cpu), Ordering::Relaxed);
    }

    /// What the next request is expected to be.
    pub(crate) fn pace(&self) -> Pace {
        match Duration::from_nanos(self.average.load(Ordering::Relaxed)) {
            average if average > COMPUTES => Pace::Slow,
            average if average > TAKES_A_WHILE => Pace::Middling,
            _ => Pace::Quick,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_as_slow_as_most_of_its_requests() {
        let load = Load::default();
        load.served(Duration::from_millis(7));
        assert_eq!(load.pace(), Pace::Quick, "one is no habit");
        for _ in 0..4 {
            load.served(Duration::from_millis(7));
        }
        assert_eq!(load.pace(), Pace::Middling);
        for _ in 0..20 {
            load.served(Duration::from_millis(7));
        }
        assert_eq!(load.pace(), Pace::Slow);
        for _ in 0..30 {
            load.served(Duration::from_micros(10));
        }
        assert_eq!(load.pace(), Pace::Quick);
    }
}
