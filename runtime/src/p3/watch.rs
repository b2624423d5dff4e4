//! What becomes of one request, seen from outside of the event loop.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Handle, Home};
use crate::{
    exchange::{Exchange, GuestError},
    hcode::HCode,
    lines::DynoLog,
    metrics::{AppMetrics, Hit},
    pool::shared::Lease,
};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client has all it gets, and the guest's function has returned.
    Over,
    /// Its time is over, and the guest may still be at it.
    Late,
}

/// Counts the CPU time of a request, whichever way its watch ends.
struct Counted<'a>(&'a Exchange, &'a AppMetrics);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.1.cpu(self.0.cpu());
    }
}

/// The guest said `error` instead of a response.
fn refused(error: GuestError, exchange: &Exchange, lease: &Lease<Handle>, log: &DynoLog) {
    let code = match error {
        GuestError::BootTimeout => HCode::H20,
        GuestError::Crashed => HCode::H10,
        GuestError::Other(text) => {
            log.platform(&format!("Request failed without a response: {text}"));
            return exchange.fail(HCode::H13);
        }
    };
    log.platform("State changed from starting to crashed");
    // First, so that the client's next request finds another instance.
    lease.replace();
    exchange.fail(code);
}

/// Waits until a request is over or late, and gives its place back.
pub(super) async fn watch(
    home: Arc<Home>,
    exchange: Arc<Exchange>,
    lease: Lease<Handle>,
    returned: oneshot::Receiver<()>,
    log: DynoLog,
) -> Ended {
    let _counted = Counted(&exchange, &home.spec.metrics);
    let over = async {
        // Also when the sender is gone: then the instance is, and it answers.
        let _ = returned.await;
        if let Some(error) = exchange.guest_error() {
            refused(error, &exchange, &lease, &log);
        }
        exchange.closed().await;
    };
    let ended = tokio::select! {
        biased;
        () = over => Ended::Over,
        () = exchange.late() => Ended::Late,
    };
    if ended == Ended::Late {
        if exchange.is_exhausted() {
            home.spec.metrics.hit(Hit::Cpu);
            let seconds = home.host.limits.request_cpu_ms / 1000;
            log.platform(&format!(
                "Replacing dyno: a request used more than {seconds} seconds of CPU time"
            ));
        } else if exchange.is_over() {
            home.spec.metrics.hit(Hit::AfterResponse);
            let seconds = home.host.limits.after_response_ms / 1000;
            log.platform(&format!(
                "Replacing dyno: it went on for more than {seconds} seconds with a request whose client is gone"
            ));
        }
        // First, so that the client's next request finds another instance.
        lease.replace();
        exchange.fail(exchange.late_code());
    }
    ended
}
