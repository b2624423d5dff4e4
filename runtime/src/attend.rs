//! The guest of a request, polled where its client waits.
//!
//! Most guests answer without waiting for anything. Polling them inside the connection's task saves a task, a
//! channel and a wake-up on another thread for each request, which took a third of the router's time. Only a
//! guest that goes on after its response has begun, or whose client has left, gets a task of its own.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::exchange::{Exchange, Outcome};

/// What serves one request to its end, whether somebody waits for it or not.
pub(crate) type Guest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for a request's outcome. When it is dropped, the guest goes on by itself.
pub(crate) struct Attend {
    /// `None` once it has ended.
    guest: Option<Guest>,
    exchange: Arc<Exchange>,
}

impl Attend {
    pub(crate) fn new(guest: Guest, exchange: Arc<Exchange>) -> Self {
        Self { guest: Some(guest), exchange }
    }
}

impl Future for Attend {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(guest) = &mut self.guest
            && guest.as_mut().poll(cx).is_ready()
        {
            self.guest = None;
        }
        self.exchange.poll_outcome(cx.waker())
    }
}

impl Drop for Attend {
    fn drop(&mut self) {
        let Some(guest) = self.guest.take() else { return };
        // Without a runtime the node is gone, and the guest goes with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(guest);
        }
    }
}
