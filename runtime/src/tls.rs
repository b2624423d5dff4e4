//! TLS of the router: the certificate, which may be renewed while it serves, and the handshake.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::{Mutex, RwLock};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What clients may choose by ALPN (RFC 7301), best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How often a certificate's files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// A certificate with its key, from PEM files, and all that TLS needs beside them. Clones share the
/// certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    served: Arc<Served>,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that is there but holds nothing of use.
    #[error("{} has no {wanted} in PEM format: {source}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`
        wanted: &'static str,
        /// What the parser says.
        source: pem::Error,
    },
    /// Certificate and key are each readable but no pair, or of a kind that rustls does not know.
    #[error(
        "the key in {} does not belong to the certificate in {}: {source}",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// rustls has no use for its own defaults; never seen.
    #[error("cannot set up TLS: {0}")]
    Setup(rustls::Error),
}

/// The certificate that handshakes get at the moment.
#[derive(Debug)]
struct Served {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// Of the files that were last looked at.
    stamp: Mutex<Stamp>,
}

/// When certificate and key were written, by which a change is noticed.
type Stamp = [Option<SystemTime>; 2];

impl Tls {
    /// TLS 1.3 and 1.2 with the certificate chain (leaf first) and the private key in these PEM files,
    /// offering HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or holds nothing of use, and when the two are no pair.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        // Before the files are read: a change in between is noticed later.
        let stamp = stamp(certificate, key);
        let current = RwLock::new(Arc::new(read(certificate, key, &provider)?));
        let served = Arc::new(Served {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider,
            current,
            stamp: Mutex::new(stamp),
        });
        let config = config(Arc::clone(&served), &PROTOCOLS)?;
        Ok(Self { acceptor: TlsAcceptor::from(config), served })
    }

    /// The same certificate for a listener of somebody else's, which offers these protocols by ALPN. It stays
    /// the current one as long as something calls [`Tls::follow`].
    ///
    /// # Errors
    ///
    /// [`TlsError::Setup`].
    pub fn config(&self, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
        config(Arc::clone(&self.served), protocols)
    }

    /// Reads the files again whenever they change, for ever. [`crate::Node::serve_tls`] does so by itself.
    pub async fn follow(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let tls = self.clone();
            match tokio::task::spawn_blocking(move || tls.reload_if_changed()).await {
                Ok(None) => {}
                Ok(Some(Ok(()))) => tracing::info!("the certificate was renewed"),
                Ok(Some(Err(error))) => tracing::error!("the certificate stays as it was: {error}"),
                Err(error) => tracing::error!("cannot look at the certificate: {error}"),
            }
        }
    }

    /// Reads the files again. Connections that are open keep what they have.
    ///
    /// # Errors
    ///
    /// As for [`Tls::from_pem_files`]; then the certificate stays what it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let served = &self.served;
        let renewed = read(&served.certificate, &served.key, &served.provider)?;
        *served.current.write() = Arc::new(renewed);
        Ok(())
    }

    /// Reads the files again if one of them was written since they were last looked at. An error is for
    /// the operator's log: a certificate and its key are rarely replaced in one instant.
    fn reload_if_changed(&self) -> Option<Result<(), TlsError>> {
        let stamp = stamp(&self.served.certificate, &self.served.key);
        if std::mem::replace(&mut *self.served.stamp.lock(), stamp) == stamp {
            return None;
        }
        Some(self.reload())
    }

    /// The handshake. Has no timeout of its own.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}

/// Everything but the certificate is rustls' default.
fn config(served: Arc<Served>, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&served.provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(served as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| std::fs::metadata(path).ok()?.modified().ok())
}

fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let text = contents(certificate)?;
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&text).collect();
    let chain = match chain {
        Ok(chain) if chain.is_empty() => Err(pem::Error::NoItemsFound),
        chain => chain,
    };
    let not_pem = |path: &Path, wanted| {
        let path = path.to_owned();
        move |source| TlsError::NotPem { path, wanted, source }
    };
    let chain = chain.map_err(not_pem(certificate, "certificate"))?;
    let secret =
        PrivateKeyDer::from_pem_slice(&contents(key)?).map_err(not_pem(key, "private key"))?;
    CertifiedKey::from_der(chain, secret, provider).map_err(|source| TlsError::Mismatch {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key pair's certificate and key.
    fn pair() -> (String, String) {
        let pair = rcgen::generate_simple_self_signed(vec!["app.localhost".into()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }

    #[test]
    fn only_a_pair_is_served_and_the_error_says_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) =
            (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        let error = || Tls::from_pem_files(&certificate, &key).err().unwrap().to_string();
        let (first, second) = (pair(), pair());
        assert!(error().starts_with("cannot read "), "{}", error());
        std::fs::write(&certificate, &first.0).unwrap();
        assert!(error().contains("key.pem"), "{}", error());
        std::fs::write(&key, "nonsense").unwrap();
        assert!(error().contains("key.pem has no private key in PEM format"), "{}", error());
        std::fs::write(&key, &second.1).unwrap();
        assert!(error().contains("does not belong to the certificate"), "{}", error());
        std::fs::write(&certificate, "").unwrap();
        assert!(error().contains("cert.pem has no certificate in PEM format"), "{}", error());
        std::fs::write(&certificate, &second.0).unwrap();
        Tls::from_pem_files(&certificate, &key).unwrap();
    }

    #[test]
    fn a_renewed_certificate_is_noticed_and_a_broken_one_is_not_served() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) =
            (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        let write = |path: &Path, text: &str, age_s: u64| {
            std::fs::write(path, text).unwrap();
            let file = std::fs::File::options().append(true).open(path).unwrap();
            let age = Duration::from_secs(age_s);
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let (first, second) = (pair(), pair());
        write(&certificate, &first.0, 60);
        write(&key, &first.1, 60);
        let tls = Tls::from_pem_files(&certificate, &key).unwrap();
        let leaf = || tls.served.current.read().cert[0].clone();
        let before = leaf();
        assert!(tls.reload_if_changed().is_none());
        write(&certificate, &second.0, 30);
        assert!(matches!(tls.reload_if_changed(), Some(Err(TlsError::Mismatch { .. }))));
        assert!(tls.reload_if_changed().is_none());
        assert_eq!(leaf(), before);
        write(&key, &second.1, 30);
        tls.reload_if_changed().unwrap().unwrap();
        assert_ne!(leaf(), before);
    }
}
