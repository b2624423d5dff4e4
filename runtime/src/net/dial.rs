//! Making an outgoing connection: look the name up, check each address, connect to one that was checked.

use std::{io, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use uuid::Uuid;
use wpaas_slug::{Limits, egress::Host, feed::EgressTls};

use super::{
    Network, address,
    denials::Denials,
    egress::{Egress, Opened, Refused},
    resolve::Resolve,
    tls::Tls,
};
use crate::{
    internal::{self, Closed, Way},
    lines::DynoLog,
};

/// Makes the connections of one dyno.
pub(super) struct Dialer {
    network: Arc<Network>,
    egress: Arc<Egress>,
    app: Uuid,
    denials: Denials,
    /// One permit per connection.
    connections: Arc<Semaphore>,
    /// One permit per lookup.
    lookups: Arc<Semaphore>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DialError {
    /// The release does not open the destination.
    Denied,
    /// It does, but the destination has only addresses that must not be reached.
    Prohibited,
    /// The dyno or the node has as many connections as it may have.
    TooMany,
    /// The name has no address.
    NotFound,
    /// It took longer than it may.
    Timeout,
    /// The address that was tried last said no.
    Io(io::Error),
}

/// An outgoing connection with its place among the dyno's and the node's.
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    pub(super) permits: Permits,
}

/// Held for as long as the connection lives.
pub(super) struct Permits {
    _dyno: OwnedSemaphorePermit,
    _node: OwnedSemaphorePermit,
}

impl Dialer {
    pub(super) fn new(network: Arc<Network>, egress: Arc<Egress>, log: DynoLog) -> Self {
        let limits = &network.limits;
        Self {
            app: log.app(),
            denials: Denials::new(log, limits),
            connections: semaphore(limits.dyno_connections),
            lookups: semaphore(limits.dyno_lookups),
            network,
            egress,
        }
    }

    /// What the host does on a guest's connection before the guest does.
    pub(super) fn tls_for(&self, host: &Host, port: u16) -> Option<EgressTls> {
        self.egress.tls(host, port)
    }

    /// What verifies `host` when the host does TLS.
    pub(super) fn authorities(&self, host: &Host, port: u16) -> Arc<Tls> {
        Arc::clone(self.egress.authorities(host, port).unwrap_or(&self.network.tls))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.network.limits
    }

    /// Something that the app's log should say, but not over and over.
    pub(super) fn report(&self, line: String) {
        self.denials.add(line);
    }

    /// The way to the app that `host` names, if it names one. It takes no rule.
    pub(super) fn neighbour(
        &self,
        host: &Host,
        port: u16,
    ) -> Option<Result<(Way, Permits), DialError>> {
        let name = internal::app_of(host)?;
        if port != internal::PORT {
            self.report(format!(
                "Connection to {host}:{port} denied: another app of yours is reached at http://{host}, by HTTP on \
                 port 80"
            ));
            return Some(Err(DialError::Denied));
        }
        Some(match self.network.neighbours.way(self.app, name) {
            Ok(way) => self.permits(host, port).map(|permits| (way, permits)),
            Err(Closed::NoSuchApp) => {
                self.report(format!(
                    "Connection to {host}:{port} denied: this app's owner has no app {name} here"
                ));
                Err(DialError::Denied)
            }
            Err(Closed::TooMany(limit)) => {
                self.report(format!(
                    "Connection to {host}:{port} refused: this app has {limit} requests to other apps under way, \
                     which is the limit; do apps call each other in a circle?"
                ));
                Err(DialError::TooMany)
            }
        })
    }

    /// Connects to `host`, within `time`.
    pub(super) async fn dial(
        &self,
        host: &Host,
        port: u16,
        time: Duration,
    ) -> Result<Dialed, DialError> {
        let opened = self.egress.opens(host, port);
        if opened == Opened::Nothing {
            return Err(self.closed(host, port));
        }
        let permits = self.permits(host, port)?;
        let connecting = async {
            let addresses = lookup(&self.network.resolver, &self.lookups, host).await?;
            let allowed = self.allowed(host, port, opened, &addresses)?;
            connect_any(&allowed, port, time).await
        };
        let connected = tokio::time::timeout(time, connecting).await;
        let stream = connected.unwrap_or(Err(DialError::Timeout))?;
        Ok(Dialed { stream, permits })
    }

    fn permits(&self, host: &Host, port: u16) -> Result<Permits, DialError> {
        let take = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_owned().ok();
        let full = |whose: &str, limit: u64| {
            self.report(format!(
                "Connection to {host}:{port} refused: {whose} has {limit} outgoing connections, which is \
                 the limit; close some, or keep fewer open"
            ));
            DialError::TooMany
        };
        let limits = self.limits();
        let dyno = take(&self.connections);
        let dyno = dyno.ok_or_else(|| full("this dyno", limits.dyno_connections))?;
        let node = take(&self.network.connections);
        let node = node.ok_or_else(|| full("the node", limits.node_connections))?;
        Ok(Permits { _dyno: dyno, _node: node })
    }

    /// Those of `addresses` that may be connected to, at most as many as are tried.
    fn allowed(
        &self,
        host: &Host,
        port: u16,
        opened: Opened,
        addresses: &[IpAddr],
    ) -> Result<Vec<IpAddr>, DialError> {
        let mut refused = None;
        let check = |address: &&IpAddr| {
            let checked = self.egress.check(opened, **address, port, address::is_own);
            refused = refused.or(checked.err().map(|why| (**address, why)));
            checked.is_ok()
        };
        let most = Limits::size(self.limits().egress_addresses);
        let allowed: Vec<IpAddr> = addresses.iter().filter(check).take(most).copied().collect();
        match refused {
            _ if !allowed.is_empty() => Ok(allowed),
            Some((_, Refused::Closed)) => Err(self.closed(host, port)),
            Some((address, why @ (Refused::Special(what) | Refused::Unnamed(what)))) => {
                let via = match host {
                    Host::Name(_) => format!("its address {address} is {what}"),
                    Host::Address(_) => format!("it is {what}"),
                };
                let advice = match why {
                    Refused::Unnamed(_) => {
                        "a rule with * does not open that, one for the name or the address does"
                    }
                    _ => "the operator of this node has not opened it to apps",
                };
                self.report(format!("Connection to {host}:{port} denied: {via}; {advice}"));
                Err(DialError::Prohibited)
            }
            None => Err(DialError::NotFound),
        }
    }

    fn closed(&self, host: &Host, port: u16) -> DialError {
        self.report(format!(
            "Connection to {host}:{port} denied: no rule of this release allows it; open it with \
             `wpaas egress:allow {host}:{port}`"
        ));
        DialError::Denied
    }
}

/// The addresses of `host`, asked of `resolver` with one of the permits of `lookups`.
pub(super) async fn lookup(
    resolver: &Arc<dyn Resolve>,
    lookups: &Arc<Semaphore>,
    host: &Host,
) -> Result<Vec<IpAddr>, DialError> {
    let name = match host {
        Host::Address(address) => return Ok(vec![*address]),
        // RFC 6761: never asked of a server.
        Host::Name(_) if host.is_localhost() => return Ok(address::LOCALHOST.to_vec()),
        Host::Name(name) => Arc::clone(name),
    };
    let permit = Arc::clone(lookups).acquire_owned().await;
    let resolver = Arc::clone(resolver);
    // A task of its own: the system's resolver blocks a thread until it is done, whether anybody waits
    // for it or not, and so long it has to count.
    let lookup = tokio::spawn(async move {
        let found = resolver.resolve(&name).await;
        drop(permit);
        found
    });
    match lookup.await {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        _ => Err(DialError::NotFound),
    }
}

/// Tries one address after the other; each gets its share of the time that is left.
pub(super) async fn connect_any(
    addresses: &[IpAddr],
    port: u16,
    time: Duration,
) -> Result<TcpStream, DialError> {
    let deadline = Instant::now() + time;
    let mut failure = DialError::NotFound;
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        match tokio::time::timeout(share, connect((*address, port).into())).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = DialError::Io(error),
            Err(_) => failure = DialError::Timeout,
        }
    }
    Err(failure)
}

/// Connects to exactly this address.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A dyno may wait on a connection for as long as it lives, so a peer that vanished has to be noticed.
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// A semaphore of `permits` permits.
pub(super) fn semaphore(permits: u64) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(Limits::size(permits).min(Semaphore::MAX_PERMITS)))
}

#[cfg(test)]
mod tests;
