//! The far side of a guest's connection: the real one, or TLS on it that the host does for the guest.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use wpaas_slug::{egress::Host, feed::EgressTls};

use super::tls::Tls;

/// `SSLRequest` of PostgreSQL's protocol: its length, and the code that stands for a version.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What a guest puts behind a name to have the host do TLS with it, when it has decided so itself: a library's https.
const ASKS_FOR_TLS: &str = ".tls.internal";

/// The host that is meant, and how TLS is done with it: as the guest asks for by the name, or as `rule` has it.
pub(super) fn meant(
    host: Host,
    rule: impl FnOnce(&Host) -> Option<EgressTls>,
) -> (Host, Option<EgressTls>) {
    let asked = match &host {
        Host::Name(name) => name.strip_suffix(ASKS_FOR_TLS).and_then(Host::parse),
        Host::Address(_) => None,
    };
    match asked {
        Some(host) => (host, Some(EgressTls::Tls)),
        None => {
            let how = rule(&host);
            (host, how)
        }
    }
}

/// See the module.
pub(super) enum Far {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Far {
    /// Does what the rule says before the guest's first byte.
    pub(super) async fn new(
        mut stream: TcpStream,
        how: Option<EgressTls>,
        host: &Host,
        tls: &Tls,
    ) -> io::Result<Self> {
        let Some(how) = how else { return Ok(Self::Plain(stream)) };
        if how == EgressTls::Pgtls {
            stream.write_all(SSL_REQUEST).await?;
            // One byte and no more: what comes after it is to be TLS, and nothing may be slipped in before that.
            if stream.read_u8().await? != b'S' {
                return Err(io::Error::other("the server does not do TLS"));
            }
        }
        Ok(Self::Tls(Box::new(tls.connect_any(host, stream).await?)))
    }

    /// The connection below.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Far {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Far {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_done_where_the_name_asks_for_it_or_the_rule_says_so() {
        let rule = |host: &Host| (host.to_string() == "db.example").then_some(EgressTls::Pgtls);
        let cases = [
            ("a.example.tls.internal", "a.example", Some(EgressTls::Tls)),
            ("A.Example.TLS.internal", "a.example", Some(EgressTls::Tls)),
            ("203.0.114.7.tls.internal", "203.0.114.7", Some(EgressTls::Tls)),
            ("db.example.tls.internal", "db.example", Some(EgressTls::Tls)),
            ("db.example", "db.example", Some(EgressTls::Pgtls)),
            ("a.example", "a.example", None),
            ("tls.internal", "tls.internal", None),
        ];
        for (name, host, how) in cases {
            let (meant, done) = meant(Host::parse(name).unwrap(), rule);
            assert_eq!((meant.to_string().as_str(), done), (host, how), "{name}");
        }
    }
}
