//! What a release opens: its egress rules, compiled once for all its dynos.
//!
//! Three parties have a say. The release's rules open destinations. The answer to a name's lookup decides what its
//! addresses are, and whoever controls the name's zone must not be able to point it at the node's neighbours. So an
//! address that is not public is only reached in the networks that the node's operator allows for it, and there only
//! by a rule that names exactly the host, the address or its network.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use wpaas_slug::{
    egress::{Host, Target},
    feed::{EgressRule, EgressTls},
};

use super::{
    address::{self, special},
    tls::Tls,
};

/// The compiled rules of one release.
#[derive(Default)]
pub(crate) struct Egress {
    rules: Vec<Rule>,
    /// The operator's networks.
    networks: Arc<[IpNet]>,
}

struct Rule {
    target: Target,
    port: Option<u16>,
    tls: Option<EgressTls>,
    authorities: Option<Arc<Tls>>,
}

/// What the rules say of a destination before its addresses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opened {
    /// Nothing, so there is no reason to look its name up.
    Nothing,
    /// Only addresses that a rule names.
    Addresses,
    /// Public addresses.
    Public,
    /// A rule names it.
    Named,
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// No rule opens the destination.
    Closed,
    /// A rule opens it, but this address is not public and the operator has not allowed it.
    Special(&'static str),
    /// The operator has, but `*` and `*.SUFFIX` open public addresses only.
    Unnamed(&'static str),
}

/// A rule that cannot be used; the text says why.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct BadRule(String);

const OWN: &str = "an address of the node itself";

impl Egress {
    /// `networks` are those that are not public and that the operator lets rules open.
    pub(super) fn compile(rules: &[EgressRule], networks: &Arc<[IpNet]>) -> Result<Self, BadRule> {
        let mut compiled = Vec::with_capacity(rules.len());
        for rule in rules {
            let target = Target::parse(&rule.host).map_err(|error| BadRule(error.to_string()))?;
            let authorities = rule.ca.as_ref().map(|pem| Tls::only(pem.as_bytes())).transpose();
            let authorities = authorities.map_err(|why| {
                let destination = rule.destination();
                BadRule(format!("the certificates of authorities for {destination}: {why}"))
            })?;
            let (port, tls) = (rule.port, rule.tls);
            compiled.push(Rule { target, port, tls, authorities: authorities.map(Arc::new) });
        }
        Ok(Self { rules: compiled, networks: Arc::clone(networks) })
    }

    /// Whether each rule can open what it names. The error is for whoever wrote it.
    pub(super) fn admitted(&self) -> Result<(), BadRule> {
        for rule in &self.rules {
            let target = &rule.target;
            let inside = |inner: &str, open: &str| {
                Err(BadRule(format!(
                    "{target} is {inner}, and the operator of this node has not opened it to apps; that is \
                     done with `wpaas serve --egress-network {open}`"
                )))
            };
            match target {
                Target::Host(Host::Address(address)) => {
                    let inner = self.inner(*address, address::is_own);
                    if let Some(what) = inner.filter(|_| !self.is_allowed(*address)) {
                        return inside(what, &IpNet::from(*address).to_string());
                    }
                }
                Target::Host(host) if host.is_localhost() => {
                    if !address::LOCALHOST.iter().any(|address| self.is_allowed(*address)) {
                        return inside("the dyno itself", "127.0.0.1/32");
                    }
                }
                Target::Network(network) => {
                    let allowed = self.networks.iter().any(|open| open.contains(network));
                    if !allowed && address::holds_special(*network) {
                        let what = "a network with addresses that are not public";
                        return inside(what, &network.to_string());
                    }
                }
                Target::Public | Target::Below(_) | Target::Host(Host::Name(_)) => {}
            }
        }
        Ok(())
    }

    /// What the rules say of `host` before anything is looked up.
    pub(super) fn opens(&self, host: &Host, port: u16) -> Opened {
        let opened = |rule: &Rule| match &rule.target {
            Target::Host(open) if open == host => Opened::Named,
            target if means(target, host) => Opened::Public,
            Target::Network(_) | Target::Host(Host::Address(_)) => Opened::Addresses,
            _ => Opened::Nothing,
        };
        self.on(port).map(opened).max().unwrap_or(Opened::Nothing)
    }

    /// The TLS that the host does on connections to `host`: the first rule's for the destination that says any.
    pub(super) fn tls(&self, host: &Host, port: u16) -> Option<EgressTls> {
        self.on(port).filter(|rule| means(&rule.target, host)).find_map(|rule| rule.tls)
    }

    /// Whether the host does TLS for guests anywhere.
    pub(super) fn does_tls(&self) -> bool {
        self.rules.iter().any(|rule| rule.tls.is_some())
    }

    /// What verifies `host` when the host does TLS for a dyno; the node's own authorities when `None`.
    pub(super) fn authorities(&self, host: &Host, port: u16) -> Option<&Arc<Tls>> {
        let named = self.on(port).filter(|rule| means(&rule.target, host));
        named.into_iter().find_map(|rule| rule.authorities.as_ref())
    }

    /// Where a connection to the dyno's own loopback goes on to when the dyno does not listen there: a service on the
    /// node's loopback that a rule names and the operator allows.
    pub(super) fn behind_loopback(&self, address: IpAddr, port: u16) -> Option<Host> {
        let address = address.to_canonical();
        if !address.is_loopback() || !self.is_allowed(address) {
            return None;
        }
        let localhost = Host::Name("localhost".into());
        if self.opens(&localhost, port) == Opened::Named {
            return Some(localhost);
        }
        self.names(address, port).then_some(Host::Address(address))
    }

    /// Whether the destination may be reached at `address`, which is the host itself or one of its
    /// addresses. `is_own` tells the node's own addresses.
    pub(super) fn check(
        &self,
        opened: Opened,
        address: IpAddr,
        port: u16,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<(), Refused> {
        let address = address.to_canonical();
        let named = opened == Opened::Named || self.names(address, port);
        if !named && opened != Opened::Public {
            return Err(Refused::Closed);
        }
        match self.inner(address, is_own) {
            None => Ok(()),
            Some(what) if !self.is_allowed(address) => Err(Refused::Special(what)),
            Some(_) if named => Ok(()),
            Some(what) => Err(Refused::Unnamed(what)),
        }
    }

    /// Whether a rule names the address or its network.
    fn names(&self, address: IpAddr, port: u16) -> bool {
        self.on(port).any(|rule| match &rule.target {
            Target::Network(network) => network.contains(&address),
            Target::Host(Host::Address(open)) => *open == address,
            _ => false,
        })
    }

    /// What makes an address something else than a neighbour on the internet.
    fn inner(&self, address: IpAddr, is_own: impl Fn(IpAddr) -> bool) -> Option<&'static str> {
        special(address).or_else(|| is_own(address).then_some(OWN))
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn on(&self, port: u16) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.port.is_none_or(|open| open == port))
    }
}

/// Whether a rule for `target` speaks of `host`. One for a network means addresses, so it says nothing of names.
fn means(target: &Target, host: &Host) -> bool {
    match (target, host) {
        (Target::Public, _) => true,
        (Target::Host(open), _) => open == host,
        (Target::Below(suffix), Host::Name(name)) => name.ends_with(suffix),
        (Target::Network(network), Host::Address(address)) => network.contains(address),
        (Target::Below(_) | Target::Network(_), _) => false,
    }
}

#[cfg(test)]
mod tests;
