//! `certs:ca`: trust a platform that made its own certificate.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use super::{Context, ServerArgs, git::quoted};
use crate::dirs;

/// Save the certificate authority of a server, and show how to trust it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas certs:ca
  $ eval \"$(wpaas certs:ca)\"              trust it in this shell: git, and programs on Node.js
  $ wpaas certs:ca --pem | sudo tee /usr/local/share/ca-certificates/wpaas.crt

A server without a certificate of its own makes one, signed by an authority of its data directory. git push,
the heroku command's `run` and clients of the API over https have to trust that authority once.")]
pub(crate) struct CaArgs {
    /// Print the certificate itself
    #[arg(long, conflicts_with = "json")]
    pem: bool,
    /// Print path and certificate as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// `wpaas certs:ca`
pub(crate) async fn ca(context: &Context, args: &CaArgs) -> anyhow::Result<()> {
    let Some((path, pem)) = saved(context).await? else {
        if args.json {
            return context.ui.json(&json!({"path": null, "certificate": null}));
        }
        context.ui.note(format_args!(
            "{} serves a certificate that its operator configured; nothing is to be trusted by hand.",
            context.client.name()
        ));
        return Ok(());
    };
    if args.json {
        return context.ui.json(&json!({"path": path, "certificate": pem}));
    }
    if args.pem {
        return Ok(context.ui.raw(pem.as_bytes())?);
    }
    let quoted = quoted(&path.display().to_string());
    context.ui.line(format_args!("export GIT_SSL_CAINFO={quoted}"))?;
    context.ui.line(format_args!("export NODE_EXTRA_CA_CERTS={quoted}"))?;
    context
        .ui
        .note("`wpaas git:remote` sets this for one repository and leaves other hosts alone.");
    Ok(())
}

/// What the server says of its own TLS.
#[derive(Debug, Deserialize)]
pub(crate) struct Platform {
    /// The authority that it made for itself, in PEM.
    pub(crate) certificate: Option<String>,
    /// Where the repositories are.
    #[serde(default)]
    pub(crate) git_url: Option<String>,
}

/// Asks the server.
pub(crate) async fn platform(context: &Context) -> anyhow::Result<Platform> {
    Ok(context.client.get_as(&["certificate-authority"]).await?)
}

/// The authority to trust, the server's own or the one that was given for it, and the file of the user's that holds it
/// now.
pub(crate) async fn saved(context: &Context) -> anyhow::Result<Option<(PathBuf, String)>> {
    let own = platform(context).await?.certificate;
    let Some(pem) = own.or_else(|| context.authority.clone()) else { return Ok(None) };
    let host: String = context
        .client
        .name()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' })
        .collect();
    let path = dirs::config()?.join("authorities").join(format!("{host}.pem"));
    crate::credentials::write_private(&path, pem.trim_end().as_bytes())?;
    Ok(Some((path, pem)))
}
