//! TLS on outgoing connections that the host makes for a dyno.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use wpaas_slug::egress::Host;

/// Verifies servers by the certificates of some authorities.
pub(super) struct Tls {
    /// Whether the system's are among them.
    system: bool,
    given: Vec<CertificateDer<'static>>,
    /// Made for the first connection: reading the system's certificates takes some milliseconds.
    connectors: OnceCell<Connectors>,
}

/// The same but for what they say will be spoken.
struct Connectors {
    http: TlsConnector,
    any: TlsConnector,
}

impl Tls {
    /// `pem` holds certificates of authorities that are trusted beside the system's.
    pub(super) fn with_system(pem: &[u8]) -> Result<Self, String> {
        let given = if pem.is_empty() { Vec::new() } else { certificates(pem)? };
        Ok(Self { system: true, given, connectors: OnceCell::new() })
    }

    /// `pem` holds certificates of the only authorities that are trusted.
    pub(super) fn only(pem: &[u8]) -> Result<Self, String> {
        Ok(Self { system: false, given: certificates(pem)?, connectors: OnceCell::new() })
    }

    /// The handshake, as an HTTP client of `host`.
    pub(super) async fn connect<S>(&self, host: &Host, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.connectors().await?.http.connect(name(host)?, stream).await
    }

    /// The handshake, as a client of `host` that does not say what it will speak.
    pub(super) async fn connect_any<S>(&self, host: &Host, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.connectors().await?.any.connect(name(host)?, stream).await
    }

    async fn connectors(&self) -> io::Result<&Connectors> {
        let connectors = self.connectors.get_or_try_init(|| async {
            let (system, given) = (self.system, self.given.clone());
            let made = tokio::task::spawn_blocking(move || connectors(system, given)).await;
            made.map_err(io::Error::other)?.map_err(io::Error::other)
        });
        connectors.await
    }
}

fn name(host: &Host) -> io::Result<ServerName<'static>> {
    Ok(match host {
        Host::Name(name) => ServerName::try_from(name.to_string()).map_err(io::Error::other)?,
        Host::Address(address) => ServerName::from(*address),
    })
}

/// The certificates in a PEM text, each of which can be an authority's.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("no certificate in the PEM text".into());
    }
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    Ok(certificates)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        tracing::warn!(
            "this machine has no certificates of authorities, using those of Mozilla that came with \
             this program: {:?}",
            native.errors
        );
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn connectors(
    system: bool,
    given: Vec<CertificateDer<'static>>,
) -> Result<Connectors, rustls::Error> {
    let mut roots = if system { system_roots() } else { RootCertStore::empty() };
    roots.add_parsable_certificates(given);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let any = TlsConnector::from(Arc::new(config.clone()));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Connectors { http: TlsConnector::from(Arc::new(config)), any })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_checked_when_the_node_is_built() {
        assert!(Tls::with_system(b"").is_ok());
        assert!(Tls::only(b"").is_err());
        assert!(Tls::with_system(b"nonsense").is_err());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Tls::with_system(broken.as_bytes()).is_err());
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        assert!(Tls::with_system(pem.as_bytes()).is_ok() && Tls::only(pem.as_bytes()).is_ok());
    }
}
