//! Connections that a node makes on the platform's behalf, to hosts that an app's owner named: log drains and webhooks.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{egress::Host, feed::EgressRule};

/// Where such a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// What the owner named.
    pub host: Host,
    /// The TCP port.
    pub port: u16,
    /// Whether TLS begins with the first byte, the server verified for `host`.
    pub tls: bool,
}

impl Destination {
    /// The rule that would let a dyno go there: what it opens is what the owner may reach.
    #[must_use]
    pub fn rule(&self) -> EgressRule {
        let host = match &self.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        EgressRule { host, port: Some(self.port), tls: None, ca: None }
    }
}

/// A connection, with TLS or without.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}
