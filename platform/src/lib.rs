//! The control plane: Heroku's Platform API v3, the ledger of releases, config vars, builds and logs.
//!
//! A [`Platform`] owns a data directory with an SQLite database, and publishes to one node what that is to
//! run. Every change of an app takes the same way: the node prepares it, one transaction records it together
//! with its entry in the ledger, and the node switches to it. A crash at any point leaves the state before
//! or after that transaction, and [`Platform::snapshot`] tells a starting node which.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wpaas_builder::Builder;
use wpaas_slug::{
    Limits, Store,
    feed::{NodeLink, Snapshot},
    log::{LogLine, LogSink, Source},
};

mod api;
mod apps;
mod auth;
mod authorizations;
mod buildpacks;
mod builds;
mod compile;
mod config;
mod data;
mod db;
mod domains;
mod drains;
mod dynos;
mod egress;
mod error;
mod feed;
mod formation;
mod git;
mod ledger;
mod locks;
mod log_sessions;
mod logplex;
mod names;
mod outgoing;
mod page;
mod passwords;
mod phases;
mod releases;
mod rendezvous;
mod scripts;
mod sets;
mod slugs;
mod sources;
mod stacks;
mod stored;
mod uploads;
mod webhooks;
mod words;

pub use auth::Owner;
pub use error::Error;
pub use logplex::Logplex;
pub use stored::stored_snapshot;

/// Where apps answer, for `web_url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppsUrl {
    /// `http` or `https`.
    pub scheme: String,
    /// What follows the app's name: `localhost`.
    pub domain: String,
    /// The router's port as clients see it.
    pub port: u16,
}

impl AppsUrl {
    /// An app's URL: `http://demo.localhost:8080/`.
    pub fn of(&self, app: &str) -> String {
        let Self { scheme, domain, port } = self;
        match (scheme.as_str(), port) {
            ("http", 80) | ("https", 443) => format!("{scheme}://{app}.{domain}/"),
            _ => format!("{scheme}://{app}.{domain}:{port}/"),
        }
    }
}

/// What a platform needs.
pub struct Options {
    /// Database, uploads, build output, caches. Locked while in use.
    pub data_dir: PathBuf,
    /// Blobs and slugs; the same as the builder's and the node's.
    pub store: Store,
    /// Turns source into slugs.
    pub builder: Builder,
    /// What runs them.
    pub node: Arc<dyn NodeLink>,
    /// Where all lines go; the same as the node's sink.
    pub logplex: Logplex,
    /// The table of limits.
    pub limits: Limits,
    /// Where apps answer.
    pub apps_url: AppsUrl,
    /// Where the API answers, without a slash at its end: `http://127.0.0.1:5080`.
    pub api_url: String,
    /// Where git is served, the same way: `https://localhost:5443`. Without it git URLs are those of the API.
    pub git_url: Option<String>,
    /// The certificate in PEM of the authority that clients of its TLS listeners have to trust, if it has one
    /// of its own.
    pub authority: Option<String>,
    /// Where clients of one-off dynos connect to, `HOST:PORT`; what comes there is for [`Platform::attach`]. Without it
    /// nobody can attach.
    pub rendezvous: Option<String>,
}

/// The control plane. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    inner: Ctx,
}

type Ctx = Arc<Inner>;

struct Urls {
    apps: AppsUrl,
    api: String,
    rendezvous: Option<String>,
    git: String,
}

impl Urls {
    /// The repository of an app: `https://localhost:5443/demo.git`.
    fn git(&self, app: &str) -> String {
        format!("{}/{app}.git", self.git)
    }
}

struct Inner {
    data: data::DataDir,
    db: db::Db,
    store: Store,
    builder: Arc<dyn compile::Compile>,
    node: Arc<dyn NodeLink>,
    logplex: Logplex,
    limits: Limits,
    urls: Urls,
    authority: Option<String>,
    locks: locks::Locks,
    pushes: locks::Locks,
    git_requests: Arc<Semaphore>,
    builds: builds::Queue,
    phases: phases::Phases,
    waiting: rendezvous::Waiting,
    drains: drains::Drains,
    webhooks: webhooks::Webhooks,
    sessions: log_sessions::Sessions,
    rate_limit: auth::RateLimit,
    passwords: passwords::Guard,
    stack_turn: tokio::sync::Mutex<()>,
    blob_writes: Semaphore,
    stop: CancellationToken,
}

impl Platform {
    /// Opens the data directory (which is created, migrated, and cleaned of what an earlier process left
    /// unfinished: its builds are failed).
    pub async fn open(options: Options) -> Result<Self, Error> {
        let Options {
            data_dir,
            store,
            builder,
            node,
            logplex,
            limits,
            apps_url,
            api_url,
            git_url,
            authority,
            rendezvous,
        } = options;
        let git = git_url.unwrap_or_else(|| api_url.clone());
        let urls = Urls { apps: apps_url, api: api_url, git, rendezvous };
        let parts = Parts { data_dir, store, node, logplex, limits, urls, authority };
        Self::open_with(parts, Arc::new(builder)).await
    }

    async fn open_with(parts: Parts, builder: Arc<dyn compile::Compile>) -> Result<Self, Error> {
        let data_dir = parts.data_dir;
        let data = tokio::task::spawn_blocking(move || data::DataDir::open(&data_dir))
            .await
            .map_err(|error| error::io("data directory")(std::io::Error::other(error)))??;
        let db = db::Db::open(&data.database()).await?;
        let limits = parts.limits;
        let writes = usize::try_from(limits.concurrent_blob_writes).unwrap_or(usize::MAX);
        let inner = Inner {
            data,
            db,
            store: parts.store,
            builder,
            node: parts.node,
            logplex: parts.logplex,
            urls: parts.urls,
            authority: parts.authority,
            locks: locks::Locks::default(),
            pushes: locks::Locks::default(),
            git_requests: Arc::new(Semaphore::new(
                Limits::size(limits.concurrent_git_requests).clamp(1, Semaphore::MAX_PERMITS),
            )),
            builds: builds::Queue::new(limits.concurrent_builds),
            phases: phases::Phases::default(),
            waiting: rendezvous::Waiting::new(&limits),
            drains: drains::Drains::new(),
            webhooks: webhooks::Webhooks::new(&limits),
            sessions: log_sessions::Sessions::new(&limits),
            rate_limit: auth::RateLimit::new(limits.api_requests_per_hour),
            passwords: passwords::Guard::new(&limits),
            stack_turn: tokio::sync::Mutex::default(),
            blob_writes: Semaphore::new(writes.clamp(1, Semaphore::MAX_PERMITS)),
            stop: CancellationToken::new(),
            limits,
        };
        inner.fail_interrupted_builds().await?;
        inner.fail_interrupted_phases().await?;
        inner.expire_sources().await?;
        inner.start_drains().await?;
        let inner = Arc::new(inner);
        inner.start_webhooks();
        Ok(Self { inner })
    }

    /// Makes the first account and its token, on the first start only.
    pub async fn bootstrap(&self) -> Result<Option<Owner>, Error> {
        let mut write = self.inner.db.write().await?;
        if auth::first_user(&mut write).await?.is_some() {
            return Ok(None);
        }
        let user = auth::create_user(&mut write, auth::FIRST_OWNER).await?;
        let token = operators_token(&mut write, &user, "first start").await?;
        write.commit().await?;
        Ok(Some(Owner { email: user.email, token }))
    }

    /// Another token for the first account, for an operator who lost the one of the first start. `None`
    /// before [`Platform::bootstrap`].
    pub async fn issue_token(&self) -> Result<Option<Owner>, Error> {
        let mut write = self.inner.db.write().await?;
        let Some(user) = auth::first_user(&mut write).await? else { return Ok(None) };
        let token = operators_token(&mut write, &user, "issued by the operator").await?;
        write.commit().await?;
        Ok(Some(Owner { email: user.email, token }))
    }

    /// What the node is to run, as of now.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let mut db = self.inner.db.snapshot().await?;
        feed::snapshot(&mut db).await
    }

    /// The API.
    pub fn router(&self) -> axum::Router {
        api::router(self.inner.clone())
    }

    /// Ends log tails, fails the builds that run, gives log drains a moment for what they have, closes the
    /// database and unlocks the data directory. The API's requests should have been drained before; those that come
    /// later fail.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.builds.tasks.close();
        self.inner.builds.tasks.wait().await;
        self.inner.logplex.flush().await;
        self.inner.drains.end().await;
        self.inner.webhooks.end().await;
        self.inner.db.close().await;
        self.inner.data.unlock();
    }

    /// Ends everything that would keep the API's connections open for ever (log tails, output of builds), so
    /// that a graceful shutdown of the server comes to an end. [`Platform::shutdown`] does this too.
    pub fn begin_shutdown(&self) {
        self.inner.stop.cancel();
    }
}

/// A token of the first account that may do everything for ever.
async fn operators_token(
    db: &mut sqlx::AnyConnection,
    user: &auth::User,
    description: &str,
) -> Result<String, Error> {
    let everything = authorizations::Scopes::everything();
    let (_, token) = authorizations::create(db, user, description, &everything, None).await?;
    Ok(token)
}

/// [`Options`] without the builder.
struct Parts {
    data_dir: PathBuf,
    store: Store,
    node: Arc<dyn NodeLink>,
    logplex: Logplex,
    limits: Limits,
    urls: Urls,
    authority: Option<String>,
}

impl Inner {
    /// Writes a line of the platform's to an app's log: `app[api]: …`.
    fn say(&self, app: Uuid, text: String) {
        self.logplex.write(LogLine::now(app, Source::App, "api", text));
    }
}

#[cfg(test)]
mod tests;
