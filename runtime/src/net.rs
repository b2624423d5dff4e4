//! A dyno's network: a virtual one of its own, and what the egress rules of its release let out of it.
//!
//! Nothing of the host's network is visible to a guest. Its TCP sockets live inside the host process:
//! `127.0.0.1` and `0.0.0.0` are the dyno itself, names get addresses that mean something only there, and
//! what it connects to outside is looked up, checked and dialled by the host ([`dial`]). Outgoing HTTP goes
//! the same way. UDP is refused.
//!
//! A dyno that uses no network costs three reference counts: everything else is made at its first use.

mod address;
mod body;
mod conn;
mod denials;
mod dial;
mod egress;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod hooks;
mod http;
mod names;
mod outbound;
mod pipe;
mod resolve;
mod secure;
mod sockets;
mod splice;
mod tls;
mod urls;
mod vnet;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use ipnet::IpNet;
use tokio::sync::Semaphore;
use wpaas_slug::{Limits, egress::Host, feed::EgressRule};

pub(crate) use conn::{GuestHolds, HostEnd};
pub(crate) use egress::Egress;
pub(crate) use hooks::Outgoing;
pub(crate) use names::OWN as DYNO;
pub use resolve::Resolve;
pub(crate) use sockets::add_to_linker;
pub(crate) use vnet::{Unreachable, VNet};

use self::{dial::Dialer, resolve::SystemResolver, tls::Tls};
use crate::{Error, internal::Neighbours, lines::DynoLog};

/// What the operator says of the network.
#[derive(Default)]
pub(crate) struct Options {
    /// Networks of addresses that are not public and that apps' rules may open.
    pub(crate) networks: Vec<IpNet>,
    /// The system's, when there is none.
    pub(crate) resolver: Option<Arc<dyn Resolve>>,
    /// Certificates in PEM that are trusted beside the system's.
    pub(crate) certificates: Vec<u8>,
}

/// What all dynos of a node have in common.
pub(crate) struct Network {
    limits: Arc<Limits>,
    resolver: Arc<dyn Resolve>,
    tls: Arc<Tls>,
    networks: Arc<[IpNet]>,
    connections: Arc<Semaphore>,
    /// Names that the platform looks up at the same time.
    lookups: Arc<Semaphore>,
    /// The node's apps.
    pub(crate) neighbours: Arc<Neighbours>,
}

impl Network {
    pub(crate) fn new(options: Options, limits: Arc<Limits>) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            resolver: options.resolver.unwrap_or_else(|| Arc::new(SystemResolver)),
            tls: Arc::new(Tls::with_system(&options.certificates).map_err(Error::Certificates)?),
            networks: options.networks.into(),
            connections: dial::semaphore(limits.node_connections),
            lookups: dial::semaphore(limits.dyno_lookups),
            neighbours: Neighbours::new(&limits),
            limits,
        }))
    }

    /// The rules of a release.
    pub(crate) fn egress(&self, rules: &[EgressRule]) -> Result<Arc<Egress>, Error> {
        let most = self.limits.egress_rules;
        if rules.len() > Limits::size(most) {
            return Err(Error::Egress(format!(
                "{} rules; at most {most} are allowed",
                rules.len()
            )));
        }
        let compiled = Egress::compile(rules, &self.networks);
        compiled.map(Arc::new).map_err(|error| Error::Egress(error.to_string()))
    }

    /// Whether the operator lets rules open what these name.
    pub(crate) fn admits(&self, rules: &[EgressRule]) -> Result<(), Error> {
        let admitted = self.egress(rules)?.admitted();
        admitted.map_err(|error| Error::Egress(error.to_string()))
    }
}

/// The network of one dyno.
pub(crate) struct Net {
    shared: Arc<Network>,
    egress: Arc<Egress>,
    log: DynoLog,
    dialer: OnceLock<Arc<Dialer>>,
    vnet: OnceLock<Arc<VNet>>,
}

impl Net {
    pub(crate) fn new(shared: Arc<Network>, egress: Arc<Egress>, log: DynoLog) -> Self {
        Self { shared, egress, log, dialer: OnceLock::new(), vnet: OnceLock::new() }
    }

    fn dialer(&self) -> &Arc<Dialer> {
        self.dialer.get_or_init(|| {
            let (shared, egress) = (Arc::clone(&self.shared), Arc::clone(&self.egress));
            Arc::new(Dialer::new(shared, egress, self.log.clone()))
        })
    }

    /// Where a connection goes on to that nobody in the dyno accepts at `remote`, its own loopback.
    fn behind_loopback(&self, remote: SocketAddr) -> Option<Host> {
        self.egress.behind_loopback(remote.ip(), remote.port())
    }

    /// The dyno's virtual network.
    pub(crate) fn vnet(&self) -> &Arc<VNet> {
        self.vnet.get_or_init(|| VNet::new(&self.shared.limits))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Before the sockets themselves go, or what they were sending would look complete.
        if let Some(vnet) = self.vnet.get() {
            vnet.kill();
        }
    }
}
