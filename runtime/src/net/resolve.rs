//! Names to addresses. Only the host looks names up, never the guest, and each time a connection is made.

use std::{io, net::IpAddr};

use async_trait::async_trait;

/// Looks names up for dynos. The answers are checked by the egress policy, so a resolver need not be
/// trusted with that.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name` (lower case, punycode, never an address), best first.
    ///
    /// # Errors
    ///
    /// Those of the resolver; the guest learns only that the name was not found.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of this machine.
pub(super) struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}
