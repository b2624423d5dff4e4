//! `wpaas prepare`: what a new version needs before it can take over from the one that is running.

use std::path::PathBuf;

use anyhow::Context as _;
use wpaas_platform::stored_snapshot;
use wpaas_runtime::Node;
use wpaas_slug::feed::Snapshot;

use crate::{dirs, limits, operator_log, serve, wasi};

/// Compile for this version of wpaas while another one serves
///
/// Machine code is made for one version of the compiler and one kind of CPU. This compiles what the apps of a
/// data directory need, and what the machine has only code of another version for, at the lowest
/// priority, and exits. The server that is running goes on with its own code; after this, restarting it
/// with this version's program takes no longer than any restart.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas prepare
  $ wpaas prepare --data /var/lib/wpaas && systemctl restart wpaas

Give it the options, the user and the WPAAS_ variables of `wpaas serve`.")]
pub(crate) struct Args {
    /// The data directory of the server [default: ~/.local/share/wpaas]
    #[arg(long, env = "WPAAS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The server's slug store [default: DATA/store]
    #[arg(long, env = "WPAAS_STORE", value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    wasi: wasi::Args,
}

/// Compiles and says what was done.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    operator_log::start()?;
    let limits = limits::of_environment()?;
    let data = match args.data {
        Some(directory) => directory,
        None => dirs::data()?,
    };
    let data = data
        .canonicalize()
        .with_context(|| format!("there is no data directory {}", data.display()))?;
    let snapshot = stored_snapshot(&data).await.unwrap_or_else(|error| {
        // Another version's database: what has code is known all the same, and that is every release.
        eprintln!("The apps in {} cannot be read: {error}", data.display());
        Snapshot::default()
    });
    let store = serve::store(args.store.as_deref(), &data)?;
    let node = Node::builder(store, data.join("node"))
        .code_dir(dirs::cache()?.join("code"))
        .limits(limits)
        .compiler(serve::compiler(args.wasi)?)
        .wasi_http_p3(args.wasi.p3)
        .build()?;
    let prepared = tokio::select! {
        prepared = node.prepare_code(&snapshot) => prepared?,
        signal = serve::wait_for_signal() => {
            signal?;
            anyhow::bail!("stopped; what was compiled until now is kept");
        }
    };
    for failure in &prepared.failed {
        eprintln!("{failure}");
    }
    match (prepared.compiled, prepared.failed.len()) {
        (1, 0) => println!("Ready: compiled 1 component"),
        (compiled, 0) => println!("Ready: compiled {compiled} components"),
        (compiled, failed) => anyhow::bail!(
            "compiled {compiled}, but {failed} cannot be prepared; their apps will not \
             start with this version unless the running one has the same error"
        ),
    }
    Ok(())
}
