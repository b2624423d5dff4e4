//! `wpaas serve --https`: a second listener for apps, over TLS.

use std::{net::SocketAddr, path::PathBuf};

use tokio::net::TcpListener;
use wpaas_runtime::Tls;

use crate::serve::bind;

/// Where apps are served over TLS, if anywhere. All three or none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address that apps are served on over TLS, too [default: none]
    #[arg(
        long,
        env = "WPAAS_HTTPS",
        value_name = "ADDR:PORT",
        requires = "tls_cert",
        requires = "tls_key"
    )]
    https: Option<SocketAddr>,
    /// Certificate chain for --https in PEM format, leaf first; read again when it changes
    #[arg(long, env = "WPAAS_TLS_CERT", value_name = "FILE", requires = "https")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM format
    #[arg(long, env = "WPAAS_TLS_KEY", value_name = "FILE", requires = "https")]
    tls_key: Option<PathBuf>,
}

impl Args {
    /// Binds the address and reads the certificate.
    pub(crate) async fn open(&self) -> anyhow::Result<Option<(TcpListener, Tls)>> {
        let (Some(address), Some(certificate), Some(key)) =
            (self.https, &self.tls_cert, &self.tls_key)
        else {
            return Ok(None);
        };
        let tls = Tls::from_pem_files(certificate, key)?;
        Ok(Some((bind(address, "apps over TLS", "--https ADDR:PORT").await?, tls)))
    }
}
