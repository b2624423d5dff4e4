//! TLS of the platform's own listeners (API, git, one-off dynos): with a certificate of the data directory's
//! authority, or with one that the operator configured.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::ServerConfig;
use wpaas_runtime::Tls;

mod authority;

use authority::{Authority, Issued};

/// What HTTP clients may choose, best first.
pub(crate) const HTTP: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Under which name and with which certificate the platform is reached over TLS.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the Platform API and of git over TLS; `none` for no TLS and no git push
    #[arg(
        long,
        env = "WPAAS_API_HTTPS",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:5443",
        value_parser = parse_address
    )]
    api_https: Address,
    /// Host name that clients reach that address by, in git URLs and in the certificate
    #[arg(long, env = "WPAAS_API_HOST", value_name = "HOST", default_value = "localhost")]
    api_host: String,
    /// Certificate chain for it in PEM format, leaf first [default: made by an authority of this data directory]
    #[arg(long, env = "WPAAS_API_TLS_CERT", value_name = "FILE", requires = "api_tls_key")]
    api_tls_cert: Option<PathBuf>,
    /// Private key of that certificate, in PEM format
    #[arg(long, env = "WPAAS_API_TLS_KEY", value_name = "FILE", requires = "api_tls_cert")]
    api_tls_key: Option<PathBuf>,
}

/// An address to listen on, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address(Option<SocketAddr>);

impl Address {
    /// The address, if there is one.
    pub(crate) fn get(self) -> Option<SocketAddr> {
        self.0
    }
}

/// Reads an address or `none`.
pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
    if text == "none" {
        return Ok(Address(None));
    }
    text.parse()
        .map(|address| Address(Some(address)))
        .map_err(|_| format!("{text:?} is neither an address such as 127.0.0.1:5443 nor `none`"))
}

impl Args {
    /// Where the API is served over TLS, if anywhere.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.api_https.0
    }

    /// The name that clients use.
    pub(crate) fn host(&self) -> &str {
        &self.api_host
    }

    /// What TLS listeners of this platform show to clients. `apps_domain` is where apps answer.
    pub(crate) fn open(&self, data: &Path, apps_domain: &str) -> anyhow::Result<Certificates> {
        if let (Some(certificate), Some(key)) = (&self.api_tls_cert, &self.api_tls_key) {
            return Ok(Certificates::Given(Tls::from_pem_files(certificate, key)?));
        }
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        names.extend([self.api_host.clone(), apps_domain.to_owned(), format!("*.{apps_domain}")]);
        let listens_on = self.address().map(|address| address.ip());
        names.extend(listens_on.filter(|ip| !IpAddr::is_unspecified(ip)).map(|ip| ip.to_string()));
        names.sort();
        names.dedup();
        Ok(Certificates::Own(Issued::new(Authority::open(data)?, names)?))
    }
}

/// The address that clients of a TLS listener use: `https://localhost:5443`.
pub(crate) fn url(host: &str, port: u16) -> String {
    match port {
        443 => format!("https://{host}"),
        _ => format!("https://{host}:{port}"),
    }
}

/// The certificate of the platform's listeners, which is renewed while they run.
#[derive(Clone)]
pub(crate) enum Certificates {
    /// Made by the data directory's authority.
    Own(Arc<Issued>),
    /// The operator's.
    Given(Tls),
}

impl Certificates {
    /// For a listener that offers these protocols by ALPN ([`HTTP`], or none).
    pub(crate) fn config(&self, protocols: &[&[u8]]) -> anyhow::Result<Arc<ServerConfig>> {
        match self {
            Self::Own(issued) => issued.config(protocols),
            Self::Given(tls) => Ok(tls.config(protocols)?),
        }
    }

    /// The certificate in PEM of the authority that clients have to trust; none where the operator's
    /// certificate is served.
    pub(crate) fn authority(&self) -> Option<&str> {
        match self {
            Self::Own(issued) => Some(issued.authority()),
            Self::Given(_) => None,
        }
    }

    /// Keeps the certificate the current one, for ever.
    pub(crate) async fn follow(&self) {
        match self {
            // Renewed by the handshake that finds it old.
            Self::Own(_) => std::future::pending().await,
            Self::Given(tls) => match tls.follow().await {},
        }
    }
}
