use super::*;

fn rules(rules: &[(&str, Option<u16>)]) -> Egress {
    let rule = |(host, port): &(&str, Option<u16>)| EgressRule {
        host: (*host).into(),
        port: *port,
        tls: None,
    };
    Egress::compile(&rules.iter().map(rule).collect::<Vec<_>>(), &[]).unwrap()
}

/// Whether `host`, which has `address`, is reached.
fn reached(egress: &Egress, host: &str, address: &str, port: u16) -> Result<(), Refused> {
    let address = address.parse().unwrap();
    let own: IpAddr = "9.9.9.9".parse().unwrap();
    let opened = egress.opens(&Host::parse(host).unwrap(), port);
    egress.check(opened, address, port, |address| address == own)
}

/// A destination by its address.
fn literal(egress: &Egress, address: &str, port: u16) -> bool {
    reached(egress, address, address, port).is_ok()
}

const PUBLIC: &str = "93.184.215.14";

#[test]
fn nothing_is_open_by_itself() {
    let none = rules(&[]);
    for host in ["example.com", PUBLIC, "127.0.0.1", "localhost", "::1"] {
        assert_eq!(none.opens(&Host::parse(host).unwrap(), 443), Opened::Nothing, "{host}");
        assert_eq!(reached(&none, host, PUBLIC, 443), Err(Refused::Closed), "{host}");
    }
}

#[test]
fn a_name_opens_that_name_on_that_port() {
    let egress = rules(&[("API.example.com.", Some(443)), ("db.example.com", None)]);
    for (host, port, open) in [
        ("api.example.com", 443, true),
        ("Api.Example.COM.", 443, true),
        ("api.example.com", 80, false),
        ("example.com", 443, false),
        ("x.api.example.com", 443, false),
        ("xapi.example.com", 443, false),
        ("api.example.com.evil.org", 443, false),
        ("db.example.com", 1, true),
        ("db.example.com", 65535, true),
        (PUBLIC, 443, false),
    ] {
        assert_eq!(reached(&egress, host, PUBLIC, port).is_ok(), open, "{host}:{port}");
    }
}

#[test]
fn a_suffix_opens_the_names_below_it() {
    let egress = rules(&[("*.example.com", Some(443))]);
    for (host, open) in [
        ("a.example.com", true),
        ("a.b.EXAMPLE.com", true),
        ("example.com", false),
        ("badexample.com", false),
        ("a.example.com.org", false),
        (PUBLIC, false),
    ] {
        assert_eq!(reached(&egress, host, PUBLIC, 443).is_ok(), open, "{host}");
    }
}

#[test]
fn names_and_star_open_public_addresses_only() {
    for rule in ["db.example.com", "*.example.com", "*"] {
        let egress = rules(&[(rule, None)]);
        assert_eq!(reached(&egress, "db.example.com", PUBLIC, 5432), Ok(()), "{rule}");
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "::1",
            "fd00:ec2::254",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "0.0.0.0",
            "224.0.0.1",
            // The node's own, by its routes.
            "9.9.9.9",
            "::ffff:9.9.9.9",
        ] {
            let result = reached(&egress, "db.example.com", address, 5432);
            assert!(matches!(result, Err(Refused::Special(_))), "{rule} {address}: {result:?}");
        }
    }
    let all = rules(&[("*", Some(443))]);
    assert!(literal(&all, PUBLIC, 443) && literal(&all, "2606:4700::1111", 443));
    assert!(!literal(&all, PUBLIC, 80) && !literal(&all, "127.0.0.1", 443));
}

#[test]
fn addresses_and_networks_open_themselves_whatever_they_are() {
    let egress = rules(&[
        ("127.0.0.1", Some(5432)),
        ("10.1.0.0/16", Some(6379)),
        ("fd12::/16", None),
        ("9.9.9.9", None),
        ("::ffff:10.9.0.0/112", Some(1)),
        ("[::1]", Some(2)),
    ]);
    for (address, port, open) in [
        ("127.0.0.1", 5432, true),
        ("::ffff:127.0.0.1", 5432, true),
        ("127.0.0.1", 80, false),
        ("127.0.0.2", 5432, false),
        ("10.1.255.1", 6379, true),
        ("10.2.0.1", 6379, false),
        ("fd12::5", 7, true),
        ("fd13::5", 7, false),
        ("9.9.9.9", 1, true),
        ("10.9.3.4", 1, true),
        ("::1", 2, true),
        (PUBLIC, 5432, false),
    ] {
        assert_eq!(literal(&egress, address, port), open, "{address}:{port}");
    }
    // By a name too, which then has to be looked up.
    assert_eq!(egress.opens(&Host::parse("redis").unwrap(), 6379), Opened::Named);
    assert_eq!(reached(&egress, "redis", "10.1.0.5", 6379), Ok(()));
    assert_eq!(reached(&egress, "redis", PUBLIC, 6379), Err(Refused::Closed));
    assert_eq!(reached(&egress, "redis", "127.0.0.1", 6379), Err(Refused::Closed));
}

#[test]
fn a_v4_rule_does_not_open_translated_forms_of_it() {
    let egress = rules(&[("10.0.0.0/8", None), ("*", None)]);
    assert!(literal(&egress, "::ffff:10.0.0.1", 1), "the same address");
    assert!(!literal(&egress, "64:ff9b::10.0.0.1", 1), "another machine's translation");
    assert!(!literal(&egress, "2002:a00:1::", 1));
}

#[test]
fn the_operator_opens_networks_to_all() {
    let open = ["10.7.0.0/16".parse().unwrap()];
    let egress = Egress::compile(&[], &open).unwrap();
    assert!(literal(&egress, "10.7.1.1", 5432));
    assert_eq!(reached(&egress, "db.internal", "10.7.1.1", 5432), Ok(()));
    assert!(!literal(&egress, "10.8.1.1", 5432) && !literal(&egress, PUBLIC, 443));
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    for host in ["", "a b", "**", "*.", "*.1.2.3.4", "a.*.com", "http://a", "a:443", "10.0.0.0/33"]
    {
        let rule = EgressRule { host: host.into(), port: None, tls: None };
        assert_eq!(Egress::compile(&[rule], &[]).unwrap_err(), BadRule(host.into()));
    }
}

#[test]
fn metadata_stays_closed_under_every_rule_but_its_own() {
    for address in ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"] {
        assert!(!literal(&rules(&[("*", None)]), address, 80), "{address}");
        let own =
            rules(&[(if address.contains("ec2") { address } else { "169.254.169.254" }, None)]);
        assert!(literal(&own, address, 80), "{address}");
    }
}
