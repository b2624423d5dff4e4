//! The host of a connection, as a guest or a rule names it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// A name or an address in the one form that rules, logs and TLS compare.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower case, punycode, without a dot at its end.
    Name(Arc<str>),
    /// Never a v4 address in v6 form.
    Address(IpAddr),
}

/// The longest name of DNS, in bytes.
const NAME_BYTES: usize = 253;

impl Host {
    /// Understands what resolvers understand, so that no spelling of an address passes for a name:
    /// `0x7f.1`, `2130706433` and `[::1]` are addresses here. `None` for what is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(v6) = text.parse::<Ipv6Addr>() {
            return Some(Self::address(v6));
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        Some(match url::Host::parse(text).ok()? {
            url::Host::Ipv4(v4) => Self::address(v4),
            url::Host::Ipv6(v6) => Self::address(v6),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let labels = name.split('.').all(|label| matches!(label.len(), 1..=63));
                if name.len() > NAME_BYTES || !labels || !name.bytes().all(is_plain) {
                    return None;
                }
                Self::Name(name.into())
            }
        })
    }

    /// An address, in its one form.
    pub fn address(address: impl Into<IpAddr>) -> Self {
        Self::Address(address.into().to_canonical())
    }

    /// Whether the name means the machine itself (RFC 6761), which for a dyno is its own network.
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if **name == *"localhost" || name.ends_with(".localhost"))
    }
}

/// What real names consist of. Everything else in a log line or in a resolver's query is an attack.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Address(IpAddr::V4(v4)) => write!(formatter, "{v4}"),
            Self::Address(IpAddr::V6(v6)) => write!(formatter, "[{v6}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_one_form() {
        for (text, form) in [
            ("API.Example.com", "api.example.com"),
            ("api.example.com.", "api.example.com"),
            ("_http._tcp.example.com", "_http._tcp.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("017700000001", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("::1", "[::1]"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("[::ffff:a00:1]", "10.0.0.1"),
        ] {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Some(form));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a.".repeat(130);
        for text in
            ["", ".", "..", "a..b", "a b", "a/b", "a@b", "a:1", "1.2.3.4.5", "[::1", "*", &long]
        {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    #[test]
    fn localhost_is_a_name_of_the_dyno_itself() {
        assert!(Host::parse("localhost").unwrap().is_localhost());
        assert!(Host::parse("a.LOCALHOST.").unwrap().is_localhost());
        assert!(!Host::parse("notlocalhost").unwrap().is_localhost());
    }
}
