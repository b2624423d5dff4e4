//! What a release opens: its egress rules, compiled once for all its dynos.
//!
//! A name and an address are two questions. A rule for a name (or `*`) opens the name and, of the addresses
//! that it has, the public ones; whoever controls the name's zone must not be able to point it at the
//! node's neighbours. Only a rule for an address or a network opens addresses that are not public, by
//! whatever name they are reached.

use std::net::IpAddr;

use ipnet::IpNet;
use wpaas_slug::feed::{EgressRule, EgressTls};

use super::{address::special, host::Host};

/// The compiled rules of one release.
#[derive(Debug, Default)]
pub(crate) struct Egress {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    target: Target,
    port: Option<u16>,
    tls: Option<EgressTls>,
}

#[derive(Debug)]
enum Target {
    Public,
    Host(Host),
    /// With its dot: `.example.com`.
    Below(String),
    Network(IpNet),
}

/// What the rules say of a destination before its addresses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// Public addresses, and those that a rule names.
    Public,
    /// Only addresses that a rule names.
    Named,
    /// Nothing, so there is no reason to look its name up.
    Nothing,
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// No rule opens the destination.
    Closed,
    /// A rule opens it, but this address is not public.
    Special(&'static str),
}

/// A rule that is no name, address or network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a host name, *.SUFFIX, *, IP address or network")]
pub(crate) struct BadRule(String);

impl Egress {
    /// `open` are networks that the operator opens to every app, on every port.
    pub(crate) fn compile(rules: &[EgressRule], open: &[IpNet]) -> Result<Self, BadRule> {
        let mut compiled = Vec::with_capacity(rules.len() + open.len());
        for EgressRule { host, port, tls } in rules {
            let target = Target::parse(host).ok_or_else(|| BadRule(host.clone()))?;
            compiled.push(Rule { target, port: *port, tls: *tls });
        }
        let open =
            open.iter().map(|net| Rule { target: Target::Network(*net), port: None, tls: None });
        compiled.extend(open);
        Ok(Self { rules: compiled })
    }

    /// What the rules say of `host` before anything is looked up.
    pub(super) fn opens(&self, host: &Host, port: u16) -> Opened {
        let mut opened = Opened::Nothing;
        for rule in self.on(port) {
            match (&rule.target, host) {
                (Target::Public, _) => return Opened::Public,
                (Target::Host(open), _) if open == host => return Opened::Public,
                (Target::Below(suffix), Host::Name(name)) if name.ends_with(suffix) => {
                    return Opened::Public;
                }
                (Target::Network(_) | Target::Host(Host::Address(_)), _) => opened = Opened::Named,
                _ => {}
            }
        }
        opened
    }

    /// The TLS that the host does on connections to `host`: the first rule's for the destination that says any. A
    /// rule for a network means addresses, so it says nothing of names.
    pub(super) fn tls(&self, host: &Host, port: u16) -> Option<EgressTls> {
        let means = |rule: &&Rule| match (&rule.target, host) {
            (Target::Public, _) => true,
            (Target::Host(open), _) => open == host,
            (Target::Below(suffix), Host::Name(name)) => name.ends_with(suffix),
            (Target::Network(network), Host::Address(address)) => network.contains(address),
            (Target::Below(_) | Target::Network(_), _) => false,
        };
        self.on(port).filter(means).find_map(|rule| rule.tls)
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
        let named = self.on(port).any(|rule| match &rule.target {
            Target::Network(network) => network.contains(&address),
            Target::Host(Host::Address(open)) => *open == address,
            _ => false,
        });
        match opened {
            _ if named => Ok(()),
            Opened::Nothing | Opened::Named => Err(Refused::Closed),
            Opened::Public => match special(address) {
                Some(what) => Err(Refused::Special(what)),
                None if is_own(address) => Err(Refused::Special("an address of the node itself")),
                None => Ok(()),
            },
        }
    }

    fn on(&self, port: u16) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.port.is_none_or(|open| open == port))
    }
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Public);
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return match Host::parse(suffix)? {
                Host::Name(name) => Some(Self::Below(format!(".{name}"))),
                Host::Address(_) => None,
            };
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Self::Network(canonical(network)));
        }
        Host::parse(text).map(Self::Host)
    }
}

/// A network of v4 addresses in v6 form as one of v4 addresses: addresses are compared in that form.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.network().to_ipv4_mapped().filter(|_| v6.prefix_len() >= 96);
    let v4 = v4.and_then(|v4| ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok());
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests;
