//! `version`

use serde_json::json;

use crate::output::Ui;

/// Show the version of this command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas version
  $ wpaas version --json")]
pub(crate) struct Args {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// `wpaas version`: no server is asked.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (version, os, arch) =
        (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    let ui = Ui::process();
    if args.json {
        return ui.json(&json!({ "version": version, "os": os, "arch": arch }));
    }
    Ok(ui.line(format_args!("wpaas/{version} {os}-{arch}"))?)
}
