use super::*;

fn parsed(text: &str) -> Result<String, BadRule> {
    EgressRule::parse(text).map(|rule| rule.destination())
}

#[test]
fn a_rule_has_one_spelling() {
    for (text, spelling) in [
        ("api.example.com:443", "api.example.com:443"),
        ("API.Example.COM.:443", "api.example.com:443"),
        ("bücher.example:80", "xn--bcher-kva.example:80"),
        ("*.Example.com:5432", "*.example.com:5432"),
        ("*:443", "*:443"),
        ("db:*", "db:*"),
        ("0x7f.1:80", "127.0.0.1:80"),
        ("203.0.114.7:1", "203.0.114.7:1"),
        ("10.1.2.3/16:5432", "10.1.0.0/16:5432"),
        ("[::1]:6379", "[::1]:6379"),
        ("[2a00:1450::5]:*", "[2a00:1450::5]:*"),
        ("[2a00:1450::/32]:65535", "[2a00:1450::/32]:65535"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
        ("[::ffff:10.9.8.7/112]:80", "10.9.0.0/16:80"),
    ] {
        assert_eq!(parsed(text).as_deref(), Ok(spelling), "{text}");
        assert_eq!(parsed(spelling).as_deref(), Ok(spelling), "{spelling}");
    }
}

#[test]
fn what_is_no_rule_is_refused_for_the_right_reason() {
    let no_port = |text: &str| Err(BadRule::NoPort(text.into()));
    for text in ["", "db", "[::1]", "[::1]6379", "::1:80", "2a00::5", "*"] {
        assert_eq!(parsed(text), no_port(text), "{text}");
    }
    for port in ["", "0", "65536", "-1", "+80", "80a", " 80", "**"] {
        assert_eq!(parsed(&format!("db:{port}")), Err(BadRule::Port(port.into())), "{port:?}");
    }
    for host in [
        "",
        "a b",
        "**",
        "*.",
        "*.1.2.3.4",
        "a.*.com",
        "a/b",
        "a@b",
        "10.0.0.0/33",
        "1.2.3.4.5",
        "-\0",
    ] {
        assert_eq!(parsed(&format!("{host}:80")), Err(BadRule::Host(host.into())), "{host:?}");
    }
    assert_eq!(parsed("http://a:80"), no_port("http://a:80"));
    let long = format!("{}:80", "a".repeat(10_000));
    assert!(parsed(&long).unwrap_err().to_string().len() < 200);
}
