//! Connections for the platform (log drains, webhooks), by the same policy as dynos': the name is looked up for each
//! connection, each address is checked, and only those that were checked are connected to.

use std::net::IpAddr;

use wpaas_slug::{
    Limits,
    egress::Host,
    outbound::{Connection, Destination},
};

use super::{
    Network, address,
    dial::{self, DialError},
    egress::{Egress, Opened, Refused},
};

impl Network {
    /// A connection to what an app's owner named. The error is for them.
    pub(crate) async fn connect(&self, to: &Destination) -> Result<Box<dyn Connection>, String> {
        let Destination { host, port, tls } = to;
        let time = Limits::ms(self.limits.egress_connect_ms);
        let connecting = async {
            let addresses = dial::lookup(&self.resolver, &self.lookups, host).await;
            let addresses = addresses.map_err(|_| format!("{host} has no address"))?;
            let allowed = self.checked(to, &addresses)?;
            let stream = dial::connect_any(&allowed, *port, time).await;
            let stream = stream.map_err(|error| match error {
                DialError::Io(error) => format!("cannot connect to {host}:{port}: {error}"),
                _ => format!("{host}:{port} does not answer"),
            })?;
            if !tls {
                return Ok(Box::new(stream) as Box<dyn Connection>);
            }
            let secure = self.tls.connect_any(host, stream).await;
            let secure = secure.map_err(|error| format!("TLS with {host}:{port}: {error}"))?;
            Ok(Box::new(secure) as Box<dyn Connection>)
        };
        let connected = tokio::time::timeout(time, connecting).await;
        connected.unwrap_or_else(|_| Err(format!("{host}:{port} does not answer")))
    }

    /// Those of `addresses` that may be connected to, at most as many as are tried.
    fn checked(&self, to: &Destination, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, String> {
        let Destination { host, port, .. } = to;
        let egress = Egress::compile(&[to.rule()], &self.networks);
        let egress = egress.map_err(|error| error.to_string())?;
        let mut refused = None;
        let check = |address: &&IpAddr| {
            let checked = egress.check(Opened::Named, **address, *port, address::is_own);
            refused = refused.or(checked.err().map(|why| (**address, why)));
            checked.is_ok()
        };
        let most = Limits::size(self.limits.egress_addresses);
        let allowed: Vec<IpAddr> = addresses.iter().filter(check).take(most).copied().collect();
        match refused {
            _ if !allowed.is_empty() => Ok(allowed),
            Some((address, Refused::Special(what) | Refused::Unnamed(what))) => {
                let it = match host {
                    Host::Name(name) => format!("{name}'s address {address} is {what}"),
                    Host::Address(_) => format!("{address} is {what}"),
                };
                Err(format!("{it}, and the operator of this node has not opened it to apps"))
            }
            Some((_, Refused::Closed)) | None => Err(format!("{host} has no address")),
        }
    }
}
