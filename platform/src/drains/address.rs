//! A drain's URL.

use url::Url;
use wpaas_slug::outbound::Destination;

use crate::{Error, outgoing};

/// How lines are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// RFC 5424 over TCP or TLS.
    Syslog,
    /// Batches of lines by HTTP.
    Http,
}

/// A drain's URL, understood.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) protocol: Protocol,
    pub(super) to: Destination,
    pub(super) url: Url,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |why: &str| {
            Error::Invalid(format!(
                "Url {why}. A drain is syslog://HOST:PORT, syslog+tls://HOST:PORT or https://HOST/PATH."
            ))
        };
        let url = Url::parse(text).map_err(|_| invalid("is invalid"))?;
        let (protocol, tls, default) = match url.scheme() {
            "syslog" => (Protocol::Syslog, false, 514),
            "syslog+tls" => (Protocol::Syslog, true, 6514),
            "http" => (Protocol::Http, false, 80),
            "https" => (Protocol::Http, true, 443),
            _ => return Err(invalid("has a scheme that drains cannot have")),
        };
        let to = outgoing::destination(&url, tls, default).map_err(invalid)?;
        Ok(Self { protocol, to, url })
    }

    /// For logs and the ledger, without its secrets.
    pub(super) fn shown(&self) -> String {
        outgoing::shown(&self.url, &self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_protocol_and_destination() {
        for (text, protocol, shown, tls) in [
            (
                "syslog://Logs.Example.com:1514",
                Protocol::Syslog,
                "syslog://logs.example.com:1514",
                false,
            ),
            ("syslog://logs.example.com", Protocol::Syslog, "syslog://logs.example.com:514", false),
            ("syslog+tls://a.b", Protocol::Syslog, "syslog+tls://a.b:6514", true),
            ("https://user:secret@a.b/in?key=secret", Protocol::Http, "https://a.b:443", true),
            ("http://[2001:db8::7]:8080/", Protocol::Http, "http://[2001:db8::7]:8080", false),
            ("syslog://0x7f.1:514", Protocol::Syslog, "syslog://127.0.0.1:514", false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.protocol, address.to.tls), (protocol, tls), "{text}");
            assert_eq!(address.shown(), shown);
        }
        for bad in ["", "x", "ftp://a.b", "syslog:", "syslog://", "syslog://a b:1", "syslog://a:0"]
        {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(error.contains("syslog://HOST:PORT"), "{bad}: {error}");
        }
    }
}
