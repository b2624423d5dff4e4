//! The guest of a request, polled where its client waits.
//!
//! Most guests answer without waiting for anything. Polling them inside the connection's task saves a task, a
//! channel and a wake-up on another thread for each request, which took a third of the router's time. Only a
//! guest that goes on after its response has begun, or whose client has left, gets a task of its own; and one that
//! computes goes on, or begins, in one of the [lanes](crate::lane), where it is not in the way.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use crate::{
    exchange::{Exchange, Outcome},
    lane::{COMPUTES, Lanes, Pace},
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
    /// Lets the guest begin, in a lane or with the first poll.
    pub(crate) fn new(guest: Guest, exchange: Arc<Exchange>, lanes: &'a Lanes, pace: Pace) -> Self {
        let slow = lanes.slow.handle();
        let guest = match pace {
            Pace::Quick => Some(guest),
            Pace::Middling => {
                let (guest, exchange, slow) = (Some(guest), Arc::clone(&exchange), slow.clone());
                lanes.middle.handle().spawn(Alone { guest, exchange, slow });
                None
            }
            Pace::Slow => {
                slow.spawn(guest);
                None
            }
        };
        Self { guest, exchange, slow }
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
    use crate::hcode::HCode;

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

    async fn threads(cpu: Duration, pace: Pace, leave: bool) -> [String; 2] {
        let (lanes, seen) = (Lanes::new().unwrap(), Arc::default());
        let exchange = Arc::new(Exchange::new(&Limits::default()));
        let guest = guest(&exchange, cpu, &seen);
        let mut attend = Attend::new(guest, Arc::clone(&exchange), &lanes, pace);
        if leave {
            let outcome = (&mut attend).now_or_never();
            let here = pace == Pace::Quick && cpu <= COMPUTES;
            assert!(outcome.is_none() || !here, "elsewhere it may have ended already");
            drop(attend);
            while seen.lock().len() < 2 {
                tokio::task::yield_now().await;
            }
        } else {
            assert_eq!(attend.await.unwrap_err(), HCode::H13);
        }
        std::mem::take(&mut *seen.lock()).try_into().unwrap()
    }

    #[tokio::test]
    async fn who_computes_goes_on_in_the_slow_lane() {
        for leave in [false, true] {
            let [begun, ended] = threads(COMPUTES * 2, Pace::Quick, leave).await;
            assert!(!begun.starts_with("wpaas"), "{begun}");
            assert_eq!(ended, "wpaas-slow");
            let [begun, ended] = threads(COMPUTES / 2, Pace::Quick, leave).await;
            assert_eq!(begun, ended, "others stay");
        }
    }

    #[tokio::test]
    async fn who_is_known_to_compute_begins_in_a_lane() {
        for leave in [false, true] {
            let seen = threads(COMPUTES / 2, Pace::Middling, leave).await;
            assert_eq!(seen, ["wpaas-middle", "wpaas-middle"]);
            let seen = threads(COMPUTES * 2, Pace::Middling, leave).await;
            assert_eq!(seen, ["wpaas-middle", "wpaas-slow"]);
            let seen = threads(Duration::ZERO, Pace::Slow, leave).await;
            assert_eq!(seen, ["wpaas-slow", "wpaas-slow"]);
        }
    }
}
