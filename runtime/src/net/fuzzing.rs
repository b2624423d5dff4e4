//! The fuzz target of what may be connected to.

#![expect(clippy::expect_used, reason = "a fuzz target reports by panicking")]

use std::net::IpAddr;

use wpaas_slug::{egress::Host, feed::EgressRule};

use super::Egress;

/// Three lines: the host of an egress rule, the host that a guest names, an address that it turns out to have.
pub(crate) fn egress(text: &str) {
    let mut lines = text.lines();
    let (rule, named) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Ok(parsed) = EgressRule::parse(rule) {
        assert_eq!(
            EgressRule::parse(&parsed.destination()),
            Ok(parsed),
            "one spelling for each rule"
        );
    }
    if let Some(host) = Host::parse(named) {
        assert_eq!(Host::parse(&host.to_string()), Some(host), "one spelling for each host");
    }
    let none = [].into();
    let rules = [EgressRule { host: rule.to_owned(), port: None, tls: None, ca: None }];
    let (Ok(egress), Some(host)) = (Egress::compile(&rules, &none), Host::parse(named)) else {
        return;
    };
    let Some(Ok(address)) = lines.next().map(str::parse::<IpAddr>) else { return };
    let opened = egress.opens(&host, 443);
    let allowed = egress.check(opened, address, 443, |_| false).is_ok();
    let private = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unspecified(),
    };
    assert!(!(allowed && private), "{rule} opens {address}");
    if rule == "*" {
        return;
    }
    let again = [EgressRule { host: rule.to_owned(), port: Some(80), tls: None, ca: None }];
    let other = Egress::compile(&again, &none).expect("the same rule");
    let opened = other.opens(&host, 443);
    assert!(other.check(opened, address, 443, |_| false).is_err(), "another port");
}
