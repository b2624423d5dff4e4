//! The slow lane: where guests go on that compute for long.
//!
//! The caller's runtime has about as many threads as the machine has cores, and a guest that computes holds one of
//! them until the next epoch tick. With as many such guests as threads, everybody else's request would wait for
//! a tick at each of its steps: four guests that spin on two cores made the median of another app's requests
//! 110 ms. So a guest that turns out to compute goes on in a runtime of its own, whose threads the kernel gives less
//! of the processor when others want it, and who want it get it at once.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::meter::Meter;

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

    /// Starts a task that goes on here from when it has computed for [`COMPUTES`] without a pause.
    pub(crate) fn spawn_beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (work, slow) = (Some(Box::pin(work) as Work), self.handle.clone());
        tokio::spawn(Beside { work, slow, meter: Meter::default() });
    }

    /// For spawning on it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that is not yet in the slow lane.
struct Beside {
    work: Option<Work>,
    slow: Handle,
    meter: Meter,
}

impl Future for Beside {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { work, slow, meter } = &mut *self;
        let Some(running) = work.as_mut() else { return Poll::Ready(()) };
        let (polled, time) = meter.measure(|| running.as_mut().poll(cx));
        if polled.is_pending() && time <= COMPUTES {
            return Poll::Pending;
        }
        if polled.is_pending()
            && let Some(work) = work.take()
        {
            slow.spawn(work);
        }
        Poll::Ready(())
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
