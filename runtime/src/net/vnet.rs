//! The virtual network of one dyno: its ports, its names, and how connections to it are made.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use wpaas_slug::Limits;

use super::{
    conn::{GuestEnd, HostEnd},
    dial::semaphore,
    names::{Names, OWN},
    pipe::Account,
};

/// Where connections from the router seem to come from; who the client is stands in `X-Forwarded-For`.
pub(super) const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2));
/// Ports that sockets get when they do not ask for one (RFC 6335), and from which the router's connections come.
const FIRST_EPHEMERAL: u16 = 49152;

/// A port is bound for IPv4 or for IPv6: sockets of WASI are never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    v6: bool,
    port: u16,
}

/// A connection that waits to be accepted.
pub(super) struct Incoming {
    pub(super) peer: SocketAddr,
    pub(super) end: GuestEnd,
}

/// Why a connection to the dyno itself was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// Nobody listens there.
    NotListening,
    /// As many connections wait to be accepted as may.
    Full,
    /// The dyno has ended.
    Dead,
}

/// Why a port cannot be bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BindError {
    /// Somebody else has it, or there is none left.
    InUse,
    /// The address is not the dyno's.
    NotOwn,
}

/// See the module.
pub(crate) struct VNet {
    pub(super) account: Arc<Account>,
    sockets: Arc<Semaphore>,
    backlog: usize,
    state: Mutex<State>,
    listening: watch::Sender<BTreeSet<u16>>,
}

struct State {
    /// What is bound, and who accepts there.
    ports: HashMap<Bound, Option<mpsc::Sender<Incoming>>>,
    next_port: u16,
    next_peer: u16,
    names: Names,
}

impl VNet {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let window = Limits::size(limits.socket_window_bytes);
        Arc::new(Self {
            account: Account::new(window, Limits::size(limits.dyno_socket_bytes)),
            sockets: semaphore(limits.dyno_sockets),
            backlog: Limits::size(limits.socket_backlog).max(1),
            state: Mutex::new(State {
                ports: HashMap::new(),
                next_port: FIRST_EPHEMERAL,
                next_peer: FIRST_EPHEMERAL,
                names: Names::new(Limits::size(limits.dyno_names)),
            }),
            listening: watch::Sender::default(),
        })
    }

    /// The dyno has ended: nothing is accepted any more, and what closes from now on is a reset.
    pub(crate) fn kill(&self) {
        self.account.kill();
        self.state.lock().ports.clear();
        self.listening.send_modify(BTreeSet::clear);
    }

    /// Room for one more socket.
    pub(super) fn socket(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.sockets).try_acquire_owned().ok()
    }

    /// The address that stands for a name.
    pub(super) fn address_of(&self, name: &Arc<str>) -> Option<Ipv4Addr> {
        self.state.lock().names.address(name)
    }

    /// The name that an address stands for.
    pub(super) fn name_of(&self, address: IpAddr) -> Option<Arc<str>> {
        self.state.lock().names.name(address)
    }

    /// Takes a port: the one of `address`, or any when that is 0.
    pub(super) fn bind(&self, address: SocketAddr) -> Result<(Bound, SocketAddr), BindError> {
        if !address.ip().is_unspecified() && !is_own(address.ip()) {
            return Err(BindError::NotOwn);
        }
        let mut state = self.state.lock();
        let v6 = address.is_ipv6();
        let bound = match address.port() {
            0 => state.free_port(v6).ok_or(BindError::InUse)?,
            port => Bound { v6, port },
        };
        if state.ports.contains_key(&bound) {
            return Err(BindError::InUse);
        }
        state.ports.insert(bound, None);
        Ok((bound, SocketAddr::new(address.ip(), bound.port)))
    }

    /// Gives a port back.
    pub(super) fn unbind(&self, bound: Bound) {
        self.state.lock().ports.remove(&bound);
        self.announce(bound.port);
    }

    /// Lets a bound port accept connections. `backlog` is the guest's wish.
    pub(super) fn listen(&self, bound: Bound, backlog: usize) -> mpsc::Receiver<Incoming> {
        let (sender, receiver) = mpsc::channel(backlog.clamp(1, self.backlog));
        if !self.account.is_dead() {
            self.state.lock().ports.insert(bound, Some(sender));
            self.announce(bound.port);
        }
        receiver
    }

    /// Tells those who wait whether somebody listens on `port`.
    fn announce(&self, port: u16) {
        let state = self.state.lock();
        let listens = [false, true].iter().any(|v6| {
            let bound = Bound { v6: *v6, port };
            matches!(state.ports.get(&bound), Some(Some(_)))
        });
        self.listening.send_if_modified(|ports| {
            if listens { ports.insert(port) } else { ports.remove(&port) }
        });
    }

    /// A connection of the dyno to itself.
    pub(super) fn connect_to_self(
        &self,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<GuestEnd, Unreachable> {
        let (mut connecting, accepting) = GuestEnd::pair(&self.account);
        let bound = Bound { v6: to.is_ipv6(), port: to.port() };
        self.offer(bound, Incoming { peer: from, end: accepting })?;
        connecting.taken = true;
        Ok(connecting)
    }

    fn offer(&self, bound: Bound, incoming: Incoming) -> Result<(), Unreachable> {
        if self.account.is_dead() {
            return Err(Unreachable::Dead);
        }
        let state = self.state.lock();
        let Some(Some(listener)) = state.ports.get(&bound) else {
            return Err(Unreachable::NotListening);
        };
        listener.try_send(incoming).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unreachable::Full,
            mpsc::error::TrySendError::Closed(_) => Unreachable::NotListening,
        })
    }

    /// A connection from outside to the socket that listens on `port`. The guest sees it come from the router.
    pub(crate) fn dial(&self, port: u16) -> Result<HostEnd, Unreachable> {
        let mut refused = Unreachable::NotListening;
        let peer = self.state.lock().next_peer();
        for v6 in [false, true] {
            let (end, host) = GuestEnd::with_host(&self.account);
            match self.offer(Bound { v6, port }, Incoming { peer, end }) {
                Ok(()) => return Ok(host),
                Err(Unreachable::NotListening) => {}
                Err(why) => refused = why,
            }
        }
        Err(refused)
    }

    /// The same, waiting for a place while as many wait to be accepted as may.
    pub(crate) async fn connect(&self, port: u16) -> Result<HostEnd, Unreachable> {
        loop {
            match self.dial(port) {
                Err(Unreachable::Full) => {}
                dialed => return dialed,
            }
            let listeners: Vec<_> = {
                let state = self.state.lock();
                let of = |v6| state.ports.get(&Bound { v6, port }).cloned().flatten();
                [false, true].into_iter().filter_map(of).collect()
            };
            let room = listeners.iter().map(|listener| Box::pin(listener.reserve()));
            if room.len() > 0 {
                // Given back at once: whoever comes first may have it.
                drop(futures::future::select_all(room).await);
            }
        }
    }

    /// The ports on which the dyno listens, as they change.
    pub(crate) fn listening(&self) -> watch::Receiver<BTreeSet<u16>> {
        self.listening.subscribe()
    }
}

impl State {
    /// Another port than the connections before, for servers that tell them apart by it.
    fn next_peer(&mut self) -> SocketAddr {
        let port = self.next_peer;
        self.next_peer = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
        SocketAddr::new(ROUTER, port)
    }

    fn free_port(&mut self, v6: bool) -> Option<Bound> {
        for _ in FIRST_EPHEMERAL..=u16::MAX {
            let bound = Bound { v6, port: self.next_port };
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
            if !self.ports.contains_key(&bound) {
                return Some(bound);
            }
        }
        None
    }
}

/// Whether an address means the dyno itself.
pub(super) fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || address == OWN
}

/// The address that a connection from the dyno to `remote` comes from, or that one to its `local` address
/// comes to.
pub(super) fn own_address(local: IpAddr, remote: IpAddr) -> IpAddr {
    match (local.is_unspecified(), remote) {
        (false, _) => local,
        (true, remote) if is_own(remote) => remote,
        (true, IpAddr::V4(_)) => OWN.into(),
        (true, IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests;
