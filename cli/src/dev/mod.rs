//! `wpaas dev`: builds and serves a directory with the production runtime and production limits, and puts
//! the new code in place before the request that follows a save.

mod dotenv;
mod egress;
mod project;
mod terminal;
mod watch;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ipnet::{Ipv4Net, Ipv6Net};
use tokio::sync::watch as latest;
use wpaas_runtime::{Gate, Node};
use wpaas_slug::Store;

use crate::{dirs, limits, memory, operator_log, serve, wasi};
use project::Project;
use watch::Watch;

/// No event for this long means that a save is complete.
const QUIET: Duration = Duration::from_millis(5);
/// A build starts at the latest this long after the first event, however long the writing goes on.
const LONGEST_SAVE: Duration = Duration::from_millis(100);

/// Serve a directory while you work on it
///
/// Builds and serves it with the production runtime and production limits. The request after a save gets the
/// new code.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas dev
  $ wpaas dev examples/node-express --port 3000

Config vars come from the directory's .env file (NAME=value lines). What the app may connect to stands in its
.egress file, a line each as after `wpaas egress:allow`: localhost:5432 is your own machine's PostgreSQL.")]
pub(crate) struct Args {
    /// The app's directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Port to serve on, on this machine only
    #[arg(short, long, default_value_t = 5006)]
    port: u16,
    #[command(flatten)]
    wasi: wasi::Args,
}

/// What the last finished build left: the count of changes it had seen, and its error.
#[derive(Debug, Clone, Default)]
struct Built {
    seen: Option<u64>,
    error: Option<String>,
}

/// Holds each request until the code of every earlier save is in place.
struct Freshness {
    watch: Arc<Watch>,
    built: latest::Receiver<Built>,
}

#[async_trait::async_trait]
impl Gate for Freshness {
    async fn ready(&self) -> Result<(), String> {
        let changes = self.watch.settled().await;
        let mut built = self.built.clone();
        let current = built
            .wait_for(|built| built.seen.is_some_and(|seen| seen >= changes))
            .await
            .map_err(|_| "wpaas dev is stopping".to_owned())?;
        match &current.error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    operator_log::start()?;
    let limits = limits::of_environment()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = serve::bind(address, "the app", "--port PORT").await?;
    let address = listener.local_addr()?;
    let cache = dirs::cache()?;
    let store = Store::local(&cache.join("dev/store"))?;
    let watch = Arc::new(Watch::new()?);
    let (report, built) = latest::channel(Built::default());
    memory::small_pages_only();
    let node = Node::builder(store.clone(), cache.join("dev/node"))
        .code_dir(cache.join("code"))
        .limits(limits.clone())
        .log_sink(Arc::new(terminal::Log::new()))
        .compiler(serve::compiler(args.wasi)?)
        .wasi_http_p3(args.wasi.p3)
        .gate(Arc::new(Freshness { watch: Arc::clone(&watch), built }))
        .single_app(true)
        // Whoever develops is the operator too: what the rules name is open, this machine included.
        .egress_networks(vec![Ipv4Net::default().into(), Ipv6Net::default().into()])
        .build()?;
    let mut project =
        Project::open(&args.dir, &cache, store, limits, node.clone(), Arc::clone(&watch))
            .with_context(|| format!("cannot serve {}", args.dir.display()))?;

    let mut changes = watch.changes();
    let (seen, first) = build(&mut project, &mut changes).await;
    // A first build that fails ends the command: the user is looking at it. Later ones wait for a save.
    first?;
    report.send_replace(Built { seen: Some(seen), error: None });
    eprintln!("Serving {} on http://{address}", project.directory().display());
    eprintln!("Save a file and reload; stop with Ctrl-C.");

    let rebuild = async {
        while changes.changed().await.is_ok() {
            let started = Instant::now();
            quiet(&mut changes).await;
            let (seen, result) = build(&mut project, &mut changes).await;
            let error = match result {
                Ok(project::Outcome::Unchanged) => None,
                Ok(project::Outcome::Released(version)) => {
                    let took = started.elapsed().as_millis();
                    eprintln!("Release v{version} is live after {took} ms");
                    None
                }
                Err(error) => {
                    eprintln!("{error:#}");
                    Some(format!("{error:#}"))
                }
            };
            report.send_replace(Built { seen: Some(seen), error });
        }
    };
    let stop = async {
        if let Err(error) = serve::wait_for_signal().await {
            tracing::warn!(%error, "cannot wait for signals");
        }
    };
    tokio::select! {
        served = node.serve(listener, stop) => Ok(served?),
        () = rebuild => Ok(()),
    }
}

/// Waits until a save is complete: an editor empties, writes, renames and removes within a few milliseconds,
/// and a build of the half of it would be done in vain.
async fn quiet(changes: &mut latest::Receiver<u64>) {
    let latest = Instant::now() + LONGEST_SAVE;
    while Instant::now() < latest {
        match tokio::time::timeout(QUIET, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// One build, and the count of changes that it has certainly seen.
async fn build(
    project: &mut Project,
    changes: &mut latest::Receiver<u64>,
) -> (u64, anyhow::Result<project::Outcome>) {
    // A save during the build may or may not be in it; it counts again and causes another one.
    let seen = *changes.borrow_and_update();
    (seen, project.build().await)
}
