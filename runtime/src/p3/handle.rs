//! The way to an instance.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Request;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use wpaas_slug::Limits;

use crate::{body::RequestBody, exchange::Exchange, pool::shared::Lease};

/// One request on its way to the guest.
pub(crate) struct Job {
    pub(crate) request: Request<RequestBody>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) lease: Lease<Handle>,
}

/// A running instance, as those see it who have requests for it. It ends when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Handle {
    /// As many requests as there are leases can be in it, so the pool bounds it.
    jobs: UnboundedSender<Job>,
    ends: CancellationToken,
    memory: Arc<AtomicUsize>,
}

impl Handle {
    /// A handle, what comes through it, and when the instance has to end whatever it does. `memory` shows how
    /// much it uses.
    pub(super) fn new(
        memory: Arc<AtomicUsize>,
        ends: CancellationToken,
    ) -> (Self, UnboundedReceiver<Job>) {
        let (jobs, receiver) = unbounded_channel();
        (Self { jobs, ends, memory }, receiver)
    }

    /// Hands a request over, or gives it back: the instance has ended.
    #[expect(clippy::result_large_err, reason = "a box would be an allocation for each request")]
    pub(crate) fn send(&self, job: Job) -> Result<(), Job> {
        self.jobs.send(job).map_err(|error| error.0)
    }

    /// Bytes of linear memory that it uses.
    pub(crate) fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Where that can be read off.
    pub(crate) fn gauge(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.memory)
    }

    /// Requests under way have `drain_ms` to finish.
    pub(crate) fn end_soon(self, limits: &Limits) {
        let (ends, drain) = (self.ends, Limits::ms(limits.drain_ms));
        tokio::spawn(async move {
            tokio::time::sleep(drain).await;
            ends.cancel();
        });
    }
}
