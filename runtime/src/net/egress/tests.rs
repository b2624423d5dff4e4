use super::*;

fn rules(rules: &[(&str, Option<u16>)]) -> Egress {
    allowed(rules, &[])
}

/// With networks that the operator allows.
fn allowed(rules: &[(&str, Option<u16>)], networks: &[&str]) -> Egress {
    let rule = |(host, port): &(&str, Option<u16>)| EgressRule {
        host: (*host).into(),
        port: *port,
        tls: None,
        ca: None,
    };
    let networks: Vec<IpNet> = networks.iter().map(|network| network.parse().unwrap()).collect();
    Egress::compile(&rules.iter().map(rule).collect::<Vec<_>>(), &networks.into()).unwrap()
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

const INNER: &[&str] = &[
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
];

#[test]
fn no_rule_opens_an_inner_address_without_the_operator() {
    for rule in ["db.example.com", "*.example.com", "*", "0.0.0.0/0", "::/0"] {
        let egress = rules(&[(rule, None)]);
        if !rule.ends_with('0') {
            assert_eq!(reached(&egress, "db.example.com", PUBLIC, 5432), Ok(()), "{rule}");
        }
        for address in INNER {
            let result = reached(&egress, "db.example.com", address, 5432);
            assert!(result.is_err(), "{rule} {address}");
        }
    }
    for address in INNER {
        let egress = rules(&[(address, None)]);
        assert!(!literal(&egress, address, 5432), "{address}");
        assert!(egress.admitted().is_err() || address.ends_with("9.9.9.9"), "{address}");
    }
    let all = rules(&[("*", Some(443))]);
    assert!(literal(&all, PUBLIC, 443) && literal(&all, "2606:4700::1111", 443));
    assert!(!literal(&all, PUBLIC, 80) && !literal(&all, "127.0.0.1", 443));
}

#[test]
fn in_the_operators_networks_a_rule_has_to_name_what_it_opens() {
    let networks = &["10.1.0.0/16", "127.0.0.0/8", "9.9.9.9/32"];
    for (rule, open) in [
        ("db.example.com", true),
        ("10.1.2.3", true),
        ("10.0.0.0/8", true),
        ("*.example.com", false),
        ("*", false),
        ("other.example.com", false),
        ("10.1.2.4", false),
    ] {
        let egress = allowed(&[(rule, Some(5432))], networks);
        assert_eq!(reached(&egress, "db.example.com", "10.1.2.3", 5432).is_ok(), open, "{rule}");
        assert!(reached(&egress, "db.example.com", "10.1.2.3", 5433).is_err(), "{rule}");
        assert!(reached(&egress, "db.example.com", "10.2.2.3", 5432).is_err(), "{rule}");
        assert!(reached(&egress, "db.example.com", "169.254.169.254", 5432).is_err(), "{rule}");
    }
    let nothing = allowed(&[], networks);
    assert_eq!(reached(&nothing, "db.example.com", "10.1.2.3", 5432), Err(Refused::Closed));
    assert!(!literal(&nothing, "127.0.0.1", 80));
    let star = allowed(&[("*", None)], networks);
    assert!(matches!(reached(&star, "db", "10.1.2.3", 1), Err(Refused::Unnamed(_))));
    assert!(matches!(reached(&star, "db", "10.2.2.3", 1), Err(Refused::Special(_))));
    assert!(literal(&allowed(&[("9.9.9.9", None)], networks), "::ffff:9.9.9.9", 1));
}

#[test]
fn addresses_and_networks_are_opened_by_whatever_name_leads_there() {
    let networks = &["127.0.0.0/8", "10.0.0.0/8", "fd00::/8", "::1/128", "9.9.9.9/32"];
    let egress = allowed(
        &[
            ("127.0.0.1", Some(5432)),
            ("10.1.0.0/16", Some(6379)),
            ("fd12::/16", None),
            ("9.9.9.9", None),
            ("::ffff:10.9.0.0/112", Some(1)),
            ("[::1]", Some(2)),
        ],
        networks,
    );
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
    assert_eq!(egress.opens(&Host::parse("redis").unwrap(), 6379), Opened::Addresses);
    assert_eq!(reached(&egress, "redis", "10.1.0.5", 6379), Ok(()));
    assert_eq!(reached(&egress, "redis", PUBLIC, 6379), Err(Refused::Closed));
    assert_eq!(reached(&egress, "redis", "127.0.0.1", 6379), Err(Refused::Closed));
}

#[test]
fn a_v4_rule_does_not_open_translated_forms_of_it() {
    let egress = allowed(&[("10.0.0.0/8", None), ("*", None)], &["10.0.0.0/8"]);
    assert!(literal(&egress, "::ffff:10.0.0.1", 1), "the same address");
    assert!(!literal(&egress, "64:ff9b::10.0.0.1", 1), "another machine's translation");
    assert!(!literal(&egress, "2002:a00:1::", 1));
}

#[test]
fn what_no_rule_can_open_is_refused_when_it_is_written() {
    let networks = &["10.1.0.0/16", "127.0.0.1/32"];
    for (rule, admitted) in [
        ("db.example.com", true),
        ("*", true),
        ("*.example.com", true),
        (PUBLIC, true),
        ("8.8.8.0/24", true),
        ("10.1.2.3", true),
        ("10.1.2.0/24", true),
        ("localhost", true),
        ("10.2.2.3", false),
        ("10.0.0.0/8", false),
        ("0.0.0.0/0", false),
        ("::/0", false),
        ("169.254.169.254", false),
    ] {
        let result = allowed(&[(rule, None)], networks).admitted();
        assert_eq!(result.is_ok(), admitted, "{rule}: {result:?}");
    }
    let error = rules(&[("localhost", None)]).admitted().unwrap_err().to_string();
    assert!(error.contains("wpaas serve --egress-network 127.0.0.1/32"), "{error}");
    let error = rules(&[("10.0.0.7", None)]).admitted().unwrap_err().to_string();
    assert!(error.contains("10.0.0.7 is a private address"), "{error}");
    assert!(error.contains("--egress-network 10.0.0.7/32"), "{error}");
}

#[test]
fn the_nodes_loopback_is_behind_the_dynos_where_a_rule_and_the_operator_say_so() {
    let behind = |egress: &Egress, address: &str, port| {
        egress.behind_loopback(address.parse().unwrap(), port).map(|host| host.to_string())
    };
    let named = [("localhost", Some(5432)), ("127.0.0.1", Some(6379))];
    let egress = allowed(&named, &["127.0.0.1/32"]);
    assert_eq!(behind(&egress, "127.0.0.1", 5432).as_deref(), Some("localhost"));
    assert_eq!(behind(&egress, "127.0.0.1", 6379).as_deref(), Some("127.0.0.1"));
    for (address, port) in
        [("127.0.0.1", 80), ("127.0.0.2", 5432), ("::1", 5432), ("198.18.0.1", 5432)]
    {
        assert_eq!(behind(&egress, address, port), None, "{address}:{port}");
    }
    assert_eq!(behind(&rules(&named), "127.0.0.1", 5432), None, "the operator has not");
    assert_eq!(behind(&allowed(&[("*", None)], &["127.0.0.0/8"]), "127.0.0.1", 80), None);
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    let compile = |host: &str, ca: Option<&str>| {
        let ca = ca.map(str::to_owned);
        let rule = EgressRule { host: host.into(), port: None, tls: None, ca };
        Egress::compile(&[rule], &[].into()).err().map(|error| error.to_string())
    };
    for host in ["", "a b", "**", "*.", "*.1.2.3.4", "a.*.com", "http://a", "a:443", "10.0.0.0/33"]
    {
        let error = compile(host, None).unwrap();
        assert!(error.contains(&format!("{host:?} is not a host name")), "{error}");
    }
    let error = compile("db", Some("nonsense")).unwrap();
    assert!(error.contains("db:*: no certificate"), "{error}");
}
