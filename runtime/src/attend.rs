//! The guest of a request, polled where its client waits.
//!
//! Most guests answer without waiting for anything. Polling them inside the connection's task saves a task, a
//! channel and a wake-up on another thread for each request, which took a third of the router's time. Only a
//! guest that goes on after its response has begun, or whose client has left, gets a task of its own; and one that
//! computes for long goes on in the [slow lane](crate::lane), where it is in nobody's way.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use crate::{
    exchange::{Exchange, Outcome},
    lane::COMPUTES,
};

/// What serves one request to its end, whether somebody waits for it or not.
pub(crate) type Guest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for a request's outcome. When it is dropped, the guest goes on by itself.
pub(crate) struct Attend<'a> {
    /// `None` once it has ended, or goes on elsewhere.
    guest: Option<Guest>,
    exchange: Arc<Exchange>,
    slow: &'a Handle,
}

impl<'a> Attend<'a> {
    pub(crate) fn new(guest: Guest, exchange: Arc<Exchange>, slow: &'a Handle) -> Self {
        Self { guest: Some(guest), exchange, slow }
    }

    /// Lets the guest begin in the slow lane.
    pub(crate) fn move_over(&mut self) {
        if let Some(guest) = self.guest.take() {
            self.slow.spawn(guest);
        }
    }
}

impl Future for Attend<'_> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Self { guest, exchange, slow } = &mut *self;
        advance(guest, exchange, slow, cx);
        exchange.poll_outcome(cx.waker())
    }
}

impl Drop for Attend<'_> {
    fn drop(&mut self) {
        let Some(guest) = self.guest.take() else { return };
        // Without a runtime the node is gone, and the guest goes with it.
        if let Ok(runtime) = Handle::try_current() {
            let (exchange, slow) = (Arc::clone(&self.exchange), self.slow.clone());
            runtime.spawn(Alone { guest: Some(guest), exchange, slow });
        }
    }
}

/// A guest that nobody attends to.
struct Alone {
    guest: Option<Guest>,
    exchange: Arc<Exchange>,
    slow: Handle,
}

impl Future for Alone {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { guest, exchange, slow } = &mut *self;
        advance(guest, exchange, slow, cx);
        if self.guest.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Polls the guest, unless it has ended or is elsewhere, and moves it to the slow lane when it computes.
fn advance(guest: &mut Option<Guest>, exchange: &Exchange, slow: &Handle, cx: &mut Context<'_>) {
    let Some(polled) = guest.as_mut().map(|guest| guest.as_mut().poll(cx)) else { return };
    if polled.is_ready() {
        *guest = None;
    } else if exchange.cpu() > COMPUTES
        && let Some(guest) = guest.take()
    {
        slow.spawn(guest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use parking_lot::Mutex;
    use wpaas_slug::Limits;

    use super::*;
    use crate::{hcode::HCode, lane::SlowLane};

    /// A guest that computes for `cpu` up to its first yield, and notes on which threads it was.
    fn guest(exchange: &Arc<Exchange>, cpu: Duration, seen: &Arc<Mutex<Vec<String>>>) -> Guest {
        let (exchange, seen) = (Arc::clone(exchange), Arc::clone(seen));
        let note = move || {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            seen.lock().push(name);
        };
        Box::pin(async move {
            note();
            exchange.add_cpu(cpu);
            tokio::task::yield_now().await;
            note();
            exchange.fail(HCode::H13);
        })
    }

    async fn threads(cpu: Duration, leave: bool) -> Vec<String> {
        let (lane, seen) = (SlowLane::new().unwrap(), Arc::default());
        let exchange = Arc::new(Exchange::new(&Limits::default()));
        let guest = guest(&exchange, cpu, &seen);
        let mut attend = Attend::new(guest, Arc::clone(&exchange), lane.handle());
        if cpu.is_zero() {
            attend.move_over();
        }
        if leave {
            let outcome = (&mut attend).now_or_never();
            assert!(outcome.is_none() || cpu.is_zero(), "elsewhere it may have ended already");
            drop(attend);
            while seen.lock().len() < 2 {
                tokio::task::yield_now().await;
            }
        } else {
            assert_eq!(attend.await.unwrap_err(), HCode::H13);
        }
        std::mem::take(&mut *seen.lock())
    }

    #[tokio::test]
    async fn who_computes_goes_on_in_the_slow_lane() {
        for leave in [false, true] {
            let seen = threads(COMPUTES * 2, leave).await;
            assert_ne!(seen[0], "wpaas-slow");
            assert_eq!(seen[1], "wpaas-slow");
            let seen = threads(COMPUTES / 2, leave).await;
            assert_eq!(seen[0], seen[1], "others stay");
            let seen = threads(Duration::ZERO, leave).await;
            assert_eq!(seen, ["wpaas-slow", "wpaas-slow"], "from the beginning");
        }
    }
}
