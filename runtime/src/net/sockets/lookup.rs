//! `wasi:sockets/ip-name-lookup`. Nothing is looked up: see [`crate::net::names`].

use std::net::{IpAddr, Ipv4Addr};

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynPollable, Pollable, SocketError,
    bindings::sockets::{
        ip_name_lookup::{Host, HostResolveAddressStream, ResolveAddressStream},
        network::{ErrorCode, IpAddress, Network},
    },
    subscribe,
};
use wpaas_slug::egress;

use super::{View, ours, theirs};

/// The one address of a name, until it was read.
struct Answer(Option<IpAddr>);

impl Host for View<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        self.table.get(&network)?;
        let host = egress::Host::parse(&name).ok_or(ErrorCode::InvalidArgument)?;
        let address = match &host {
            host if host.is_localhost() => Ipv4Addr::LOCALHOST.into(),
            egress::Host::Address(address) => *address,
            egress::Host::Name(name) => match self.net.vnet().address_of(name) {
                Some(address) => address.into(),
                None => {
                    self.net.dialer().report(format!(
                        "Name {name} refused: this dyno has asked for as many names as it may"
                    ));
                    return Err(ErrorCode::TemporaryResolverFailure.into());
                }
            },
        };
        Ok(theirs(self.table.push(Answer(Some(address)))?))
    }
}

impl HostResolveAddressStream for View<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let answer: &mut Answer = self.table.get_mut(&ours(&stream))?;
        Ok(answer.0.take().map(IpAddress::from))
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, ours::<_, Answer>(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(ours::<_, Answer>(&stream))?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Pollable for Answer {
    async fn ready(&mut self) {}
}
