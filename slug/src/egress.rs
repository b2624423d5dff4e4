//! What egress rules say: how people write them, and what their hosts mean. The node enforces them.

mod host;

use std::fmt;

use ipnet::IpNet;

pub use host::Host;

use crate::feed::EgressRule;

/// What the host of a rule opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `*`: every public address.
    Public,
    /// A name or an address.
    Host(Host),
    /// Every name below a suffix, which is written with its dot: `.example.com`.
    Below(String),
    /// The addresses of a network.
    Network(IpNet),
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// The host is none.
    #[error("{0:?} is not a host name, *.SUFFIX, *, IP address or network")]
    Host(String),
    /// Something else than `HOST:PORT`.
    #[error(
        "{0:?} does not name a port; write HOST:PORT, or HOST:* for every port \
         (an IPv6 address in brackets: [2001:db8::7]:443)"
    )]
    NoPort(String),
    /// The port is none.
    #[error("{0:?} is not a port; expected a number from 1 to 65535, or * for every port")]
    Port(String),
}

impl Target {
    /// Understands the host of a rule.
    ///
    /// # Errors
    ///
    /// [`BadRule::Host`].
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule::Host(shown(text));
        if text == "*" {
            return Ok(Self::Public);
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return match Host::parse(suffix).ok_or_else(bad)? {
                Host::Name(name) => Ok(Self::Below(format!(".{name}"))),
                Host::Address(_) => Err(bad()),
            };
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(canonical(network)));
        }
        Host::parse(text).map(Self::Host).ok_or_else(bad)
    }
}

/// As it is written in a rule.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => formatter.write_str("*"),
            Self::Host(Host::Name(name)) => formatter.write_str(name),
            Self::Host(Host::Address(address)) => write!(formatter, "{address}"),
            Self::Below(suffix) => write!(formatter, "*{suffix}"),
            Self::Network(network) => write!(formatter, "{network}"),
        }
    }
}

/// A network of v4 addresses in v6 form as one of v4 addresses, which is the form that addresses are compared in; and
/// without bits behind its prefix.
fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.network().to_ipv4_mapped().filter(|_| v6.prefix_len() >= 96);
    let v4 = v4.and_then(|v4| ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok());
    v4.map_or(network, IpNet::V4)
}

impl EgressRule {
    /// A rule without TLS from `HOST:PORT`, the host in its one spelling: `DB.example.com.:5432` and
    /// `db.example.com:5432` are the same. `HOST:*` is every port.
    ///
    /// # Errors
    ///
    /// [`BadRule`].
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        let no_port = || BadRule::NoPort(shown(text));
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or_else(no_port)?,
            // Without brackets nobody knows whether the last group is a port.
            None => {
                text.rsplit_once(':').filter(|(host, _)| !host.contains(':')).ok_or_else(no_port)?
            }
        };
        let port = match port {
            "*" => None,
            number => Some(parse_port(number)?),
        };
        let host = Target::parse(host)?.to_string();
        Ok(Self { host, port, tls: None, ca: None })
    }

    /// `HOST:PORT`, as [`EgressRule::parse`] reads it.
    #[must_use]
    pub fn destination(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => format!("{host}:*"),
        }
    }
}

fn parse_port(text: &str) -> Result<u16, BadRule> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if plain && port > 0 => Ok(port),
        _ => Err(BadRule::Port(shown(text))),
    }
}

/// The beginning of what somebody wrote, for an error.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
