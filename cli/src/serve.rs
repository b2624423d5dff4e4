//! `wpaas serve`: platform and node in one process.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, signal::unix::SignalKind};
use tokio_util::sync::CancellationToken;
use wpaas_builder::{Builder, LocalBuildpacks};
use wpaas_platform::{AppsUrl, Logplex, Platform};
use wpaas_runtime::{Compiler, Node, Tls};
use wpaas_slug::{Limits, Store};

use crate::{
    api_server::ApiServer,
    credentials, dirs, https, limits, memory, metrics, operator_log,
    otel::Spans,
    rendezvous::{self, Rendezvous},
    tls, wasi,
};

/// Tries to bind an address that is in use, and the time between two.
const BIND_TRIES: u32 = 5;
const BIND_REST: Duration = Duration::from_millis(500);

/// Run the platform and a node
///
/// Apps answer at http://APP.localhost:PORT; the API listens on its own address. State is SQLite and a
/// local directory, or any S3-compatible bucket for slugs. The first start creates an owner and a token
/// that the other commands on this machine find by themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas serve
  $ wpaas serve --data /var/lib/wpaas --http 0.0.0.0:80 --apps-domain apps.example.com
  $ wpaas serve --http 0.0.0.0:80 --https 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem
  $ AWS_ENDPOINT_URL=http://127.0.0.1:9000 AWS_ALLOW_HTTP=true wpaas serve --store s3://slugs/prod

Limits are set with WPAAS_LIMIT_<NAME> variables; docs/limits.md lists them.")]
pub(crate) struct Args {
    /// Where the database, builds and (without --store) slugs are kept [default: ~/.local/share/wpaas]
    #[arg(long, env = "WPAAS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address that apps are served on
    #[arg(long, env = "WPAAS_HTTP", value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    #[command(flatten)]
    https: https::Args,
    /// Address of the Platform API
    #[arg(
        long = "api",
        env = "WPAAS_API_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:5080"
    )]
    api_address: SocketAddr,
    #[command(flatten)]
    tls: tls::Args,
    #[command(flatten)]
    rendezvous: rendezvous::Args,
    /// Slug store: a directory, or s3://BUCKET/PREFIX with the usual AWS_* variables [default: DATA/store]
    #[arg(long, env = "WPAAS_STORE", value_name = "URL")]
    store: Option<String>,
    /// Apps answer at NAME.DOMAIN
    #[arg(long, env = "WPAAS_APPS_DOMAIN", value_name = "DOMAIN", default_value = "localhost")]
    apps_domain: String,
    #[command(flatten)]
    wasi: wasi::Args,
    /// Address of the node's metrics for Prometheus [default: none]
    #[arg(long, env = "WPAAS_METRICS", value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// Network of private addresses that apps' egress rules may open; may be repeated [default: none]
    #[arg(
        long = "egress-network",
        env = "WPAAS_EGRESS_NETWORKS",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    egress_networks: Vec<IpNet>,
    /// Certificates of authorities in PEM that outgoing TLS trusts beside the system's: apps' requests, log drains
    #[arg(long = "egress-ca", env = "WPAAS_EGRESS_CA", value_name = "FILE")]
    egress_ca: Option<PathBuf>,
    /// Directory of this machine whose buildpacks apps may name by their path; may be repeated [default: none]
    #[arg(
        long = "buildpack-dir",
        env = "WPAAS_BUILDPACK_DIRS",
        value_name = "DIR",
        value_delimiter = ','
    )]
    buildpack_dirs: Vec<PathBuf>,
}

/// Who owns this platform and the token that the command line uses, as kept in the data directory.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    email: String,
    token: String,
}

/// Runs until SIGINT or SIGTERM, then drains.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    operator_log::start()?;
    memory::small_pages_only();
    let limits = limits::of_environment()?;
    let data = match args.data {
        Some(directory) => directory,
        None => dirs::data()?,
    };
    let data = private_directory(&data)?;
    let http = bind(args.http, "apps", "--http ADDR:PORT").await?;
    let https = args.https.open().await?;
    let api = bind(args.api_address, "the API", "--api ADDR:PORT").await?;
    let api_tls = match args.tls.address() {
        Some(address) => Some(bind(address, "the API over TLS", "--api-https ADDR:PORT").await?),
        None => None,
    };
    let rendezvous = match args.rendezvous.address() {
        Some(address) => Some(bind(address, "one-off dynos", "--rendezvous ADDR:PORT").await?),
        None => None,
    };
    let certificates = args.tls.open(&data, &args.apps_domain)?;
    let metrics = match args.metrics {
        Some(address) => Some(bind(address, "metrics", "--metrics ADDR:PORT").await?),
        None => None,
    };
    let spans = Spans::of_environment(&limits)?;
    let api_url = format!("http://{}", reachable(api.local_addr()?));

    let store = store(args.store.as_deref(), &data)?;
    let cache = dirs::cache()?;
    let logplex = Logplex::new(&limits);
    let mut node = Node::builder(store.clone(), data.join("node"))
        .code_dir(cache.join("code"))
        .limits(limits.clone())
        .log_sink(Arc::new(logplex.clone()))
        .compiler(compiler(args.wasi)?)
        .wasi_http_p3(args.wasi.p3)
        .apps_domain(&args.apps_domain)
        .egress_networks(args.egress_networks)
        .threads(std::thread::available_parallelism().map_or(1, usize::from));
    if let Some(file) = &args.egress_ca {
        let pem = std::fs::read(file)
            .with_context(|| format!("cannot read {} (--egress-ca FILE)", file.display()))?;
        node = node.trusted_certificates(pem);
    }
    if let Some(spans) = &spans {
        node = node.span_sink(Arc::clone(spans) as _);
    }
    let node = node.build()?;
    let builder = Builder::new(wpaas_builder::Options {
        cache_dir: cache,
        store: store.clone(),
        limits: limits.clone(),
        hidden: vec![data.clone(), dirs::config()?],
        snapshots: crate::snapshot::program(),
        local_buildpacks: LocalBuildpacks::Below(args.buildpack_dirs),
    })?;
    let own_limits = limits.clone();
    let tls_url = match &api_tls {
        Some(listener) => Some(tls::url(args.tls.host(), listener.local_addr()?.port())),
        None => None,
    };
    let rendezvous_place = match &rendezvous {
        Some(listener) => Some(format!("{}:{}", args.tls.host(), listener.local_addr()?.port())),
        None => None,
    };
    let (scheme, apps_port) = match &https {
        Some((listener, _)) => ("https", listener.local_addr()?.port()),
        None => ("http", http.local_addr()?.port()),
    };
    let apps_url =
        AppsUrl { scheme: scheme.into(), domain: args.apps_domain.clone(), port: apps_port };
    let shown_url = apps_url.of("APP");
    let platform = Platform::open(wpaas_platform::Options {
        data_dir: data.clone(),
        store,
        builder,
        node: Arc::new(node.clone()),
        logplex,
        limits,
        apps_url,
        api_url: api_url.clone(),
        git_url: tls_url.clone(),
        authority: certificates.authority().map(str::to_owned),
        rendezvous: rendezvous_place.clone(),
    })
    .await
    .with_context(|| format!("cannot open the platform in {}", data.display()))?;
    let owner = owner(&platform, &data).await?;
    credentials::save(&api_url, &owner.email, &owner.token, None)?;
    node.load(platform.snapshot().await?).await;

    eprintln!("wpaas {}", env!("CARGO_PKG_VERSION"));
    eprintln!("  apps   {}", shown_url.trim_end_matches('/'));
    eprintln!("  api    {api_url}  (owner {})", owner.email);
    if let Some(url) = &tls_url {
        let trust = certificates.authority().map_or("", |_| "  (trust it with `wpaas certs:ca`)");
        eprintln!("  tls    {url}{trust}");
    }
    if let Some(place) = &rendezvous_place {
        eprintln!("  run    {place}");
    }
    if let Some(listener) = metrics {
        eprintln!("  metrics http://{}/metrics", reachable(listener.local_addr()?));
        let node = node.clone();
        let page = metrics::router(&own_limits, move || node.metrics());
        tokio::spawn(async move { axum::serve(listener, page).await });
    }
    eprintln!("  data   {}", data.display());
    eprintln!("Deploy from another terminal with `wpaas deploy`; stop with Ctrl-C.");

    let listeners = Listeners { http, https, api, api_tls, rendezvous, certificates };
    let served = serve_until_signal(node, platform, listeners, &own_limits).await;
    if let Some(spans) = spans {
        spans.shutdown().await;
    }
    served
}

/// Everything that is listened on.
struct Listeners {
    http: TcpListener,
    https: Option<(TcpListener, Tls)>,
    api: TcpListener,
    api_tls: Option<TcpListener>,
    rendezvous: Option<TcpListener>,
    certificates: tls::Certificates,
}

/// Serves all listeners; on a signal they stop accepting and finish what is in flight.
async fn serve_until_signal(
    node: Node,
    platform: Platform,
    listeners: Listeners,
    limits: &Limits,
) -> anyhow::Result<()> {
    let Listeners { http, https, api, api_tls, rendezvous, certificates } = listeners;
    let stop = CancellationToken::new();
    if let Some(listener) = rendezvous {
        let (tls, platform) = (certificates.config(&[])?, platform.clone());
        let rendezvous = Rendezvous { listener, tls, platform, limits: limits.clone() };
        tokio::spawn(rendezvous.serve(stop.clone()));
    }
    let processes = node.clone();
    let apps = tokio::spawn({
        let stop = stop.clone();
        async move {
            let plain = node.serve(http, stop.cancelled());
            match https {
                Some((listener, tls)) => {
                    tokio::try_join!(plain, node.serve_tls(listener, tls, stop.cancelled()))
                        .map(drop)
                }
                None => plain.await,
            }
        }
    });
    let server = ApiServer::new(platform.router(), limits, stop.clone());
    let tls = api_tls
        .map(|listener| Ok::<_, anyhow::Error>((listener, certificates.config(&tls::HTTP)?)));
    let tls = tls.transpose()?;
    let api = tokio::spawn(async move {
        let plain = server.clone().serve(api, None);
        match tls {
            Some((listener, config)) => {
                tokio::join!(plain, server.serve(listener, Some(config)));
            }
            None => plain.await,
        }
    });
    tokio::select! {
        signal = wait_for_signal() => signal?,
        () = certificates.follow() => {}
    }
    eprintln!("Stopping: requests in flight may finish (once more to stop at once)");
    stop.cancel();
    // Log tails and the output of builds never end by themselves.
    platform.begin_shutdown();
    let finished = async {
        let (apps, api, ()) = tokio::join!(apps, api, processes.stop_processes());
        apps.context("the task that serves apps")??;
        api.context("the task that serves the API")?;
        platform.shutdown().await;
        Ok(())
    };
    tokio::select! {
        result = finished => result,
        result = wait_for_signal() => result,
    }
}

/// Resolves at SIGINT or SIGTERM.
pub(crate) async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The slug store of a data directory, or the one that `--store` names.
pub(crate) fn store(url: Option<&str>, data: &Path) -> anyhow::Result<Store> {
    Ok(match url {
        Some(url) => Store::open(url)?,
        None => Store::local(&data.join("store"))?,
    })
}

/// The compiler process: this program again, as `wpaas compile`.
pub(crate) fn compiler(wasi: wasi::Args) -> anyhow::Result<Compiler> {
    // The running program, also after an upgrade has replaced its file: another version's compiler would
    // make code that this node cannot load.
    let running = Path::new("/proc/self/exe");
    let program = match running.exists() {
        true => running.to_owned(),
        false => std::env::current_exe().context("cannot find this program's own file")?,
    };
    let mut args = vec!["compile".into()];
    if wasi.p3 {
        args.push("--wasi-p3".into());
    }
    Ok(Compiler::Process { program, args })
}

/// Binds an address, or says which option picks another. As nginx does, it tries for a while: a child that a killed
/// server was about to start has its listeners until it runs a program of its own.
pub(crate) async fn bind(
    address: SocketAddr,
    what: &str,
    option: &str,
) -> anyhow::Result<TcpListener> {
    let mut bound = TcpListener::bind(address).await;
    for _ in 1..BIND_TRIES {
        match &bound {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(BIND_REST).await;
                bound = TcpListener::bind(address).await;
            }
            _ => break,
        }
    }
    bound.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address} is in use by another program, so {what} cannot be served there; \
             choose another with {option}"
        ),
        _ => anyhow::anyhow!("cannot listen on {address} for {what}: {error}"),
    })
}

/// The address as a client on this machine writes it: a wildcard becomes loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}

/// Creates `directory` readable by this user alone: it holds config vars and the owner's token.
fn private_directory(directory: &Path) -> anyhow::Result<PathBuf> {
    let context = || format!("cannot create the data directory {}", directory.display());
    std::fs::create_dir_all(directory).with_context(context)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
        .with_context(context)?;
    directory.canonicalize().with_context(context)
}

/// The owner, created at the first start. The token is kept so that the command line finds it again after
/// the API moved to another address; if its file is gone (or the first start was cut short), there is a new one.
async fn owner(platform: &Platform, data: &Path) -> anyhow::Result<Owner> {
    let path = data.join("owner.json");
    let issued = match platform.bootstrap().await? {
        Some(created) => Some(created),
        None if path.exists() => None,
        None => platform.issue_token().await?,
    };
    if let Some(issued) = issued {
        let owner = Owner { email: issued.email, token: issued.token };
        credentials::write_private(&path, &serde_json::to_vec_pretty(&owner)?)?;
        return Ok(owner);
    }
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| {
        format!("{} is damaged; remove it, and the next start makes another token", path.display())
    })
}
