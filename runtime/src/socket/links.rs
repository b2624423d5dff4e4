//! The router's connections to one dyno.
//!
//! They are inside this process and are polled by the request that uses them, not by tasks of their own: a request
//! wakes the guest, the guest wakes the request. One that waits for its next request is not polled by anybody, and
//! whether it is still good is seen when it is taken.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use wpaas_slug::Limits;

use super::expect::Upload;
use crate::net::{GuestHolds, HostEnd};

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection for one request at a time. Dropping it resets it, if it is in the middle of something.
pub(super) struct Link {
    pub(super) sender: http1::SendRequest<Upload>,
    pub(super) guest: GuestHolds,
    /// `None` when it has ended.
    connection: Option<Connection>,
}

impl Link {
    pub(super) async fn new(stream: HostEnd, limits: &Limits) -> hyper::Result<Self> {
        let guest = stream.guest_holds();
        let mut builder = http1::Builder::new();
        builder
            .max_buf_size(Limits::size(limits.response_header_bytes).max(MIN_HEADER_BYTES))
            .max_headers(Limits::size(limits.response_headers));
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, guest, connection: Some(Box::pin(connection.with_upgrades())) })
    }

    /// Moves bytes both ways as far as that goes. What becomes of the request says its future.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(cx).is_ready()
        {
            self.connection = None;
        }
    }

    /// `future` to its end, while bytes move.
    pub(super) async fn with<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            self.advance(cx);
            let polled = future.as_mut().poll(cx);
            // The request may have been put in by the poll, for the connection to take.
            if polled.is_pending() {
                self.advance(cx);
            }
            polled
        })
        .await
    }

    /// Whether it can take a request now.
    fn is_good(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.advance(&mut cx);
        self.connection.is_some() && matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(())))
    }
}

/// hyper's smallest buffer.
const MIN_HEADER_BYTES: usize = 8 * 1024;

/// Connections that wait for their next request.
pub(super) struct Links {
    kept: Mutex<Vec<Link>>,
    most: usize,
}

impl Links {
    /// Of which at most `most` are kept.
    pub(super) fn new(most: usize) -> Self {
        Self { kept: Mutex::default(), most }
    }

    /// The one that was used last and is still good.
    pub(super) fn take(&self) -> Option<Link> {
        loop {
            let mut link = self.kept.lock().pop()?;
            if link.is_good() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose response has come to its end, if it can take another request.
    pub(super) fn keep(&self, mut link: Link) {
        if !link.is_good() {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.len() < self.most {
            kept.push(link);
        }
    }
}
