//! The state of one TCP socket of a guest.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use wasmtime_wasi::p2::{
    Pollable,
    bindings::sockets::network::{ErrorCode, IpAddressFamily},
};

use super::options::Options;
use crate::net::{
    conn::GuestEnd,
    vnet::{Bound, Incoming, VNet},
};

/// A TCP socket.
pub(super) struct Socket {
    pub(super) vnet: Arc<VNet>,
    pub(super) family: IpAddressFamily,
    pub(super) state: State,
    /// A step that was started and whose `finish` was not called.
    pub(super) pending: Option<Step>,
    pub(super) options: Options,
    /// Where it is bound, once it is.
    pub(super) local: Option<SocketAddr>,
    /// The port to give back.
    pub(super) bound: Option<Bound>,
    _permit: OwnedSemaphorePermit,
}

/// What takes two calls in WASI. Binding and listening are done at the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Bind,
    Listen,
    Connect,
}

pub(super) enum State {
    /// Neither listening nor connected.
    New,
    Listening {
        backlog: mpsc::Receiver<Incoming>,
        /// Taken out by a poll, for the next `accept`.
        next: Option<Incoming>,
    },
    Connecting {
        remote: SocketAddr,
        end: GuestEnd,
        outcome: Outcome,
        closed: oneshot::Sender<()>,
    },
    Connected {
        remote: SocketAddr,
        end: GuestEnd,
        /// Dropped with the socket, which is how the splice with a real connection learns that nobody reads
        /// any more.
        _closed: Option<oneshot::Sender<()>>,
    },
    /// A connection attempt failed.
    Closed,
}

/// Of a connection attempt.
pub(super) enum Outcome {
    Awaited(oneshot::Receiver<Result<(), ErrorCode>>),
    Known(Result<(), ErrorCode>),
}

impl Socket {
    pub(super) fn new(
        vnet: &Arc<VNet>,
        family: IpAddressFamily,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            vnet: Arc::clone(vnet),
            family,
            state: State::New,
            pending: None,
            options: Options::default(),
            local: None,
            bound: None,
            _permit: permit,
        }
    }

    /// Takes a port of the dyno's network.
    pub(super) fn bind(&mut self, address: SocketAddr) -> Result<SocketAddr, ErrorCode> {
        let (bound, address) = self.vnet.bind(address)?;
        self.bound = Some(bound);
        self.local = Some(address);
        Ok(address)
    }

    /// Marks a step as started.
    pub(super) fn begin(&mut self, step: Step) -> Result<(), ErrorCode> {
        if self.pending.is_some() {
            return Err(ErrorCode::ConcurrencyConflict);
        }
        self.pending = Some(step);
        Ok(())
    }

    /// Marks a step as finished.
    pub(super) fn finish(&mut self, step: Step) -> Result<(), ErrorCode> {
        if self.pending != Some(step) {
            return Err(ErrorCode::NotInProgress);
        }
        self.pending = None;
        Ok(())
    }

    /// Whether the address is of the socket's family and may be connected or bound to at all.
    pub(super) fn fits(&self, address: SocketAddr) -> Result<(), ErrorCode> {
        let family = match address {
            SocketAddr::V4(v4) => {
                matches!(self.family, IpAddressFamily::Ipv4) && !v4.ip().is_broadcast()
            }
            SocketAddr::V6(v6) => {
                matches!(self.family, IpAddressFamily::Ipv6) && v6.ip().to_ipv4_mapped().is_none()
            }
        };
        if family && !address.ip().is_multicast() {
            Ok(())
        } else {
            Err(ErrorCode::InvalidArgument)
        }
    }

    /// The next connection that waits.
    pub(super) fn next_incoming(&mut self) -> Result<Incoming, ErrorCode> {
        let State::Listening { backlog, next } = &mut self.state else {
            return Err(ErrorCode::InvalidState);
        };
        match next.take() {
            Some(incoming) => Ok(incoming),
            None => backlog.try_recv().map_err(|_| ErrorCode::WouldBlock),
        }
    }

    /// Puts a connection back that could not be accepted now.
    pub(super) fn put_back(&mut self, incoming: Incoming) {
        if let State::Listening { next, .. } = &mut self.state {
            *next = Some(incoming);
        }
    }
}

impl Outcome {
    /// What came of the attempt; would-block when that is not known yet.
    pub(super) fn get(&mut self) -> Result<(), ErrorCode> {
        let result = match self {
            Self::Known(result) => return *result,
            Self::Awaited(receiver) => match receiver.try_recv() {
                Ok(result) => result,
                Err(oneshot::error::TryRecvError::Empty) => return Err(ErrorCode::WouldBlock),
                Err(oneshot::error::TryRecvError::Closed) => Err(ErrorCode::ConnectionAborted),
            },
        };
        *self = Self::Known(result);
        result
    }
}

/// The futures of `ready` are dropped whenever another pollable was quicker, so each keeps what it took.
#[async_trait::async_trait]
impl Pollable for Socket {
    async fn ready(&mut self) {
        // Done since their start.
        if matches!(self.pending, Some(Step::Bind | Step::Listen)) {
            return;
        }
        match &mut self.state {
            State::Listening { backlog, next } if next.is_none() => {
                match backlog.recv().await {
                    Some(incoming) => *next = Some(incoming),
                    // The dyno ends, and with it this future.
                    None => std::future::pending().await,
                }
            }
            State::Connecting { outcome, .. } => {
                if let Outcome::Awaited(receiver) = outcome {
                    let result = receiver.await.unwrap_or(Err(ErrorCode::ConnectionAborted));
                    *outcome = Outcome::Known(result);
                }
            }
            _ => {}
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(bound) = self.bound {
            self.vnet.unbind(bound);
        }
    }
}
