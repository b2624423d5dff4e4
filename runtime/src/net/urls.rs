//! Connection URLs for guests whose TLS the host does: what the app's config var says of TLS, the guest must not do again.
//! Only what has to change does, byte for byte.

use url::Url;
use wpaas_slug::{egress::Host, feed::EgressTls};

use super::Egress;

/// A scheme that means TLS, the one without it, and the ports that they mean by themselves.
struct Scheme {
    tls: &'static str,
    plain: &'static str,
    tls_port: u16,
    plain_port: u16,
}

const SCHEMES: &[Scheme] = &[
    scheme(("rediss", 6379), ("redis", 6379)),
    scheme(("valkeys", 6379), ("valkey", 6379)),
    scheme(("amqps", 5671), ("amqp", 5672)),
    scheme(("mqtts", 8883), ("mqtt", 1883)),
    scheme(("ldaps", 636), ("ldap", 389)),
    scheme(("smtps", 465), ("smtp", 25)),
];

const fn scheme(tls: (&'static str, u16), plain: (&'static str, u16)) -> Scheme {
    Scheme { tls: tls.0, plain: plain.0, tls_port: tls.1, plain_port: plain.1 }
}

const POSTGRES: &[&str] = &["postgres", "postgresql"];
const POSTGRES_PORT: u16 = 5432;

/// Parameters of PostgreSQL's URLs, libpq's and others', that speak of TLS.
const POSTGRES_TLS: &[&str] = &[
    "channel_binding",
    "requiressl",
    "ssl",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "uselibpqcompat",
];

impl Egress {
    /// `value` for the guest, where it is the URL of a server with which the host does TLS for it.
    pub(crate) fn for_guest(&self, value: String) -> String {
        if self.does_tls() { self.without_tls(&value).unwrap_or(value) } else { value }
    }

    fn without_tls(&self, value: &str) -> Option<String> {
        let url = Url::parse(value).ok()?;
        let host = Host::parse(url.host_str()?)?;
        let tls = |default: u16| self.tls(&host, url.port().unwrap_or(default));
        if POSTGRES.contains(&url.scheme()) {
            tls(POSTGRES_PORT)?;
            return Some(with_sslmode_disable(value));
        }
        let scheme = SCHEMES.iter().find(|scheme| scheme.tls == url.scheme())?;
        // With `pgtls` it would be something else that is spoken there.
        if tls(scheme.tls_port)? != EgressTls::Tls {
            return None;
        }
        let (_, rest) = value.split_once(':')?;
        let after = rest.strip_prefix("//")?;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, after) = after.split_at_checked(end)?;
        let port = match url.port() {
            None if scheme.tls_port != scheme.plain_port => format!(":{}", scheme.tls_port),
            _ => String::new(),
        };
        let authority = if port.is_empty() { authority } else { authority.trim_end_matches(':') };
        Some(format!("{}://{authority}{port}{after}", scheme.plain))
    }
}

fn with_sslmode_disable(value: &str) -> String {
    let (value, fragment) = value.split_once('#').map_or((value, None), |(a, b)| (a, Some(b)));
    let (base, query) = value.split_once('?').unwrap_or((value, ""));
    let kept = query.split('&').filter(|parameter| {
        let name = parameter.split_once('=').map_or(*parameter, |(name, _)| name);
        !name.is_empty() && !POSTGRES_TLS.contains(&name.to_ascii_lowercase().as_str())
    });
    let query = kept.chain(["sslmode=disable"]).collect::<Vec<_>>().join("&");
    let fragment = fragment.map(|text| format!("#{text}")).unwrap_or_default();
    format!("{base}?{query}{fragment}")
}

#[cfg(test)]
mod tests {
    use wpaas_slug::feed::EgressRule;

    use super::*;

    fn egress(rules: &[(&str, EgressTls)]) -> Egress {
        let rule = |(text, tls): &(&str, EgressTls)| EgressRule {
            tls: Some(*tls),
            ..EgressRule::parse(text).unwrap()
        };
        Egress::compile(&rules.iter().map(rule).collect::<Vec<_>>(), &[].into()).unwrap()
    }

    #[test]
    fn postgres_is_told_not_to_do_tls() {
        let egress = egress(&[("db.example.com:5432", EgressTls::Pgtls), ("h:1", EgressTls::Tls)]);
        for (value, guest) in [
            (
                "postgres://u:p@db.example.com/app",
                "postgres://u:p@db.example.com/app?sslmode=disable",
            ),
            (
                "postgresql://u:p%40%2f@DB.example.com:5432/app?sslmode=require",
                "postgresql://u:p%40%2f@DB.example.com:5432/app?sslmode=disable",
            ),
            (
                "postgres://db.example.com?application_name=x&sslmode=verify-full&sslrootcert=a.pem&\
                 channel_binding=require&connect_timeout=3#f",
                "postgres://db.example.com?application_name=x&connect_timeout=3&sslmode=disable#f",
            ),
            ("postgres://h:1/x?ssl=true", "postgres://h:1/x?sslmode=disable"),
        ] {
            assert_eq!(egress.for_guest(value.into()), guest);
        }
    }

    #[test]
    fn schemes_lose_their_tls_and_keep_their_port() {
        let egress = egress(&[("s.com:*", EgressTls::Tls)]);
        for (value, guest) in [
            ("rediss://:p@s.com:6380/0", "redis://:p@s.com:6380/0"),
            ("rediss://s.com", "redis://s.com"),
            ("REDISS://s.com/1?x=rediss:", "redis://s.com/1?x=rediss:"),
            ("amqps://u:p@s.com/vhost", "amqp://u:p@s.com:5671/vhost"),
            ("amqps://s.com:", "amqp://s.com:5671"),
            ("amqps://s.com:5673", "amqp://s.com:5673"),
            ("mqtts://s.com?x", "mqtt://s.com:8883?x"),
        ] {
            assert_eq!(egress.for_guest(value.into()), guest);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let egress = egress(&[("s.com:6379", EgressTls::Tls), ("db:5432", EgressTls::Pgtls)]);
        for value in [
            "",
            "1",
            "rediss",
            "rediss://",
            "rediss:s.com",
            "rediss://other.com:6379",
            "rediss://s.com:6380",
            "redis://s.com:6379",
            "https://s.com:6379",
            "postgres://other/app?sslmode=require",
            "postgres://db:5433/app?sslmode=require",
            // Several hosts are no URL by the standard.
            "postgres://db:5432,db2:5432/app?sslmode=require",
            "rediss://db:5432",
            "see postgres://db:5432/app",
        ] {
            assert_eq!(egress.for_guest(value.into()), value);
        }
    }
}
