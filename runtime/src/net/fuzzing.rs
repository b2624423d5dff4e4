//! The fuzz target of what may be connected to.

#![expect(clippy::expect_used, reason = "a fuzz target reports by panicking")]

use std::net::IpAddr;

use ipnet::IpNet;
use wpaas_slug::feed::EgressRule;

use super::{Egress, host::Host};

/// Three lines: the host of an egress rule, the host that a guest names, an address that it turns out to have.
pub(crate) fn egress(text: &str) {
    let mut lines = text.lines();
    let (rule, named) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Some(host) = Host::parse(named) {
        assert_eq!(Host::parse(&host.to_string()), Some(host), "one spelling for each host");
    }
    let rules = [EgressRule { host: rule.to_owned(), port: None, tls: None }];
    let (Ok(egress), Some(host)) = (Egress::compile(&rules, &[]), Host::parse(named)) else {
        return;
    };
    let Some(Ok(address)) = lines.next().map(str::parse::<IpAddr>) else { return };
    let opened = egress.opens(&host, 443);
    let allowed = egress.check(opened, address, 443, |_| false).is_ok();
    let names_addresses =
        rule.parse::<IpNet>().is_ok() || matches!(Host::parse(rule), Some(Host::Address(_)));
    let private = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unspecified(),
    };
    assert!(names_addresses || !(allowed && private), "{rule} opens {address}");
    if rule == "*" {
        return;
    }
    let again = [EgressRule { host: rule.to_owned(), port: Some(80), tls: None }];
    let other = Egress::compile(&again, &[]).expect("the same rule");
    let opened = other.opens(&host, 443);
    assert!(other.check(opened, address, 443, |_| false).is_err(), "another port");
}
