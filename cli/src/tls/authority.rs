//! The platform's own certificate authority: made at the first start, it issues the certificates that the API,
//! git and one-off dynos are served with where nobody has configured better ones.
//!
//! Its key and its certificate are one file of the data directory, so that there is no moment at which one
//! belongs to another. Certificates of servers are made in memory and are renewed by the handshake that finds
//! the current one old: making one takes a fraction of a millisecond.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Whoever trusts the authority did so by hand, so it is not to be done again in a server's life.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
/// Longer than a server runs without a renewal, and far less than the 825 days that Apple's clients accept.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// A certificate with less than this left is replaced.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Clients whose clock is behind accept a certificate that was just made.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// A certificate authority of a data directory.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// The authority of the data directory `data`, which is made if there is none.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let path = file(data);
        if !path.exists() {
            create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_pem(&text).with_context(|| {
            format!(
                "{} is damaged; move it away and the next start makes another certificate authority, \
                 which clients have to trust anew",
                path.display()
            )
        })
    }

    fn from_pem(text: &str) -> anyhow::Result<Self> {
        let (before, certificate) = text
            .split_once("-----BEGIN CERTIFICATE-----")
            .ok_or_else(|| anyhow!("it has no certificate"))?;
        let key = KeyPair::from_pem(before)?;
        let pem = format!("-----BEGIN CERTIFICATE-----{certificate}");
        CertificateDer::from_pem_slice(pem.as_bytes())?;
        let params = authority_params(&key);
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its certificate in PEM, for those who are to trust it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A new key with a certificate for these names and addresses, which begins now.
    fn issue(
        &self,
        names: &[String],
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> anyhow::Result<CertifiedKey> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "wpaas");
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + CERTIFICATE_LIFE).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| anyhow!(error))?;
        Ok(CertifiedKey::from_der(vec![certificate.der().clone()], key, provider)?)
    }
}

/// Where the authority of a data directory is kept.
fn file(data: &Path) -> PathBuf {
    data.join("certificate-authority.pem")
}

/// Two authorities of the same name and different keys confuse clients that know both, so it has some of its
/// key's digits.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let digits: String =
        params.key_identifier(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("wpaas certificate authority {digits}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Writes a new authority, unless another process was faster.
fn create(path: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut params = authority_params(&key);
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + AUTHORITY_LIFE).into();
    let certificate = params.self_signed(&key)?;
    let directory = path.parent().context("a file needs a directory")?;
    // Temporary files have mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(key.serialize_pem().as_bytes())?;
    file.write_all(certificate.pem().as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error.error.into())
        }
        _ => Ok(()),
    }
}

/// A certificate of the authority's that stays young.
pub(crate) struct Issued {
    authority: Authority,
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    current: RwLock<Dated>,
}

struct Dated {
    key: Arc<CertifiedKey>,
    renew_at: SystemTime,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Issued {
    /// A certificate for these names and addresses.
    pub(crate) fn new(authority: Authority, names: Vec<String>) -> anyhow::Result<Arc<Self>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let now = SystemTime::now();
        let first = Dated::at(now, authority.issue(&names, now, &provider)?);
        Ok(Arc::new(Self { authority, names, provider, current: RwLock::new(first) }))
    }

    /// The authority's certificate in PEM.
    pub(crate) fn authority(&self) -> &str {
        self.authority.pem()
    }

    /// For a listener that offers these protocols by ALPN; none where nothing is negotiated.
    pub(crate) fn config(
        self: &Arc<Self>,
        protocols: &[&[u8]],
    ) -> anyhow::Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// The certificate that a handshake gets at this time.
    fn at(&self, now: SystemTime) -> Arc<CertifiedKey> {
        {
            let current = self.current.read();
            if now < current.renew_at {
                return Arc::clone(&current.key);
            }
        }
        let mut current = self.current.write();
        if now >= current.renew_at {
            match self.authority.issue(&self.names, now, &self.provider) {
                Ok(key) => *current = Dated::at(now, key),
                Err(error) => tracing::error!("the server's certificate is not renewed: {error:#}"),
            }
        }
        Arc::clone(&current.key)
    }
}

impl Dated {
    fn at(now: SystemTime, key: CertifiedKey) -> Self {
        Self { key: Arc::new(key), renew_at: now + (CERTIFICATE_LIFE - RENEWED_BEFORE) }
    }
}

impl ResolvesServerCert for Issued {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(SystemTime::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_authority_is_private_and_stays_the_same() {
        let data = tempfile::tempdir().unwrap();
        let first = Authority::open(data.path()).unwrap().pem().to_owned();
        assert_eq!(Authority::open(data.path()).unwrap().pem(), first);
        let path = file(data.path());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!first.contains("PRIVATE"), "{first}");
        // Who comes second keeps what is there.
        create(&path).unwrap();
        assert_eq!(Authority::open(data.path()).unwrap().pem(), first);
        std::fs::write(&path, &first).unwrap();
        let error = format!("{:#}", Authority::open(data.path()).err().unwrap());
        assert!(error.contains("is damaged; move it away"), "{error}");
    }

    #[test]
    fn a_certificate_is_renewed_before_it_ends() {
        let data = tempfile::tempdir().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let issued = Issued::new(Authority::open(data.path()).unwrap(), names).unwrap();
        let leaf = |days: u32| issued.at(SystemTime::now() + DAY * days).cert[0].clone();
        let first = leaf(0);
        assert_eq!(leaf(59), first);
        let second = leaf(61);
        assert_ne!(second, first);
        assert_eq!(leaf(119), second);
        assert_ne!(leaf(122), second);
    }
}
