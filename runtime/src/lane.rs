//! The slow lane: where guests go on that compute for long.
//!
//! The caller's runtime has about as many threads as the machine has cores, and a guest that computes holds one of
//! them until the next epoch tick. With as many such guests as threads, everybody else's request would wait for
//! a tick at each of its steps: four guests that spin on two cores made the median of another app's requests
//! 110 ms. So a guest that turns out to compute goes on in a runtime of its own, whose threads the kernel gives less
//! of the processor when others want it, and who want it get it at once.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Handle, Runtime};

/// CPU time of a request beyond which it counts as computing. Less than an epoch tick, so that it is at most one
/// that such a guest takes from others.
pub(crate) const COMPUTES: Duration = Duration::from_millis(5);
/// The slow threads' nice value. A third of the weight of others: enough to go on when the node is busy.
const NICE: i32 = 5;

/// The runtime of guests that compute.
pub(crate) struct SlowLane {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl SlowLane {
    /// Starts its threads, one a core.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(thread::available_parallelism().map_or(1, usize::from))
            .thread_name("wpaas-slow")
            .on_thread_start(|| {
                // On Linux this is the calling thread alone. Without it the lane is as quick as the others,
                // and still not in their way.
                if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                    tracing::debug!("cannot lower a thread's priority: {error}");
                }
            })
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// For spawning on it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
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

    /// Whether requests usually move to the slow lane, so that the next had better begin there.
    pub(crate) fn computes(&self) -> bool {
        Duration::from_nanos(self.average.load(Ordering::Relaxed)) > COMPUTES
    }
}

impl Drop for SlowLane {
    fn drop(&mut self) {
        // The last to hold it may be one of its own tasks, where nothing may wait for its end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_computes_while_most_of_its_requests_do() {
        let load = Load::default();
        load.served(Duration::from_millis(20));
        assert!(!load.computes(), "one is no habit");
        for _ in 0..10 {
            load.served(Duration::from_millis(20));
        }
        assert!(load.computes());
        for _ in 0..20 {
            load.served(Duration::from_micros(10));
        }
        assert!(!load.computes());
    }
}
