//! The feed: how nodes learn what to run. Data flows one way, from the platform to its nodes, as a
//! revisioned [`Snapshot`] followed by [`Change`]s; a node that has applied revision `n` serves exactly
//! what the platform had published up to `n`, and keeps serving it when the platform is gone.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Digest, Isolation,
    one_off::{OneOff, OneOffError, Run},
};

/// How many dynos of a process type may and must run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Dynos kept running even without load.
    pub min: u32,
    /// The most dynos that load may start. 0 turns the process type off (H14 for web).
    pub max: u32,
}

/// One destination that a release's dynos may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRule {
    /// A host name, `*.SUFFIX` for every name below a suffix, `*` for every public address, an IP
    /// address, or a network (`10.1.0.0/16`); [`crate::egress::Target`] understands it.
    pub host: String,
    /// The TCP port; `None` for every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// TLS that the host does on TCP connections by this rule, for guests that speak plain text; `None` leaves the
    /// connection as it is. Requests of `wasi:http` do TLS by their scheme, whatever stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EgressTls>,
    /// Certificates of authorities in PEM. When TLS is done by this rule, also for requests of `wasi:http`, the server
    /// is verified against these and no others; `None` is the authorities that the node trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// How TLS begins on an outgoing connection. The server's certificate is verified for the rule's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EgressTls {
    /// With its first byte.
    Tls,
    /// After PostgreSQL's `SSLRequest`.
    Pgtls,
}

/// What makes a release run: slug, config vars and what it may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSpec {
    /// The release's id in the Platform API.
    pub id: Uuid,
    /// 1 for v1.
    pub version: u64,
    /// The slug's manifest digest.
    pub slug: Digest,
    /// The config vars, which become the dyno's environment.
    pub config: BTreeMap<String, String>,
    /// What its dynos may connect to; everything else is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<EgressRule>,
}

/// Everything a node needs to know of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// The app's id; stable across renames.
    pub id: Uuid,
    /// Whose it is, known by the id alone. Apps of one owner reach each other at `http://NAME.internal`.
    pub owner: Uuid,
    /// The app's name: `NAME.localhost` routes to it.
    pub name: String,
    /// Custom domains, lower case.
    pub domains: Vec<String>,
    /// Maintenance mode: every request is answered with H80.
    pub maintenance: bool,
    /// The current release; `None` for an app that was never deployed (H81).
    pub release: Option<ReleaseSpec>,
    /// Scale by process type; a process type of the slug without an entry does not run.
    pub formation: BTreeMap<String, Scale>,
}

/// One step of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// The app is new or anything about it changed.
    App(Arc<AppSpec>),
    /// The app is gone.
    AppRemoved {
        /// Its id.
        id: Uuid,
    },
    /// A stack's component is new or changed; apps on that stack use it from now on.
    Stack {
        /// The stack's name, `node-20`.
        name: String,
        /// The blob of its component.
        component: Digest,
    },
}

/// The whole state at one revision. Applying it replaces what the node had.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts every change ever published.
    pub revision: u64,
    /// Component blob by stack name.
    pub stacks: BTreeMap<String, Digest>,
    /// All apps.
    pub apps: Vec<Arc<AppSpec>>,
}

/// What a dyno is doing, in the words of `heroku ps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DynoState {
    /// Being prepared or booting.
    Starting,
    /// Running or ready to.
    Up,
    /// Scaled to zero by lack of load; the next request starts it.
    Idle,
    /// Ended by a trap or a limit.
    Crashed,
}

/// One dyno as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynoStatus {
    /// `web.1`
    pub name: String,
    /// `web`
    pub process_type: String,
    /// The Procfile's command.
    pub command: String,
    /// What it is doing.
    pub state: DynoState,
    /// Since when.
    pub since: Timestamp,
    /// The release it runs.
    pub release_id: Uuid,
    /// That release's version.
    pub release_version: u64,
    /// How much of its state requests share.
    pub isolation: Isolation,
    /// Requests that it works on at the same time; `None` where it is given none.
    pub concurrency: Option<NonZeroU32>,
}

/// Why a node could not take a change. The node goes on with what it had.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApplyError {
    /// For the person whose change it was; says what to do next.
    pub message: String,
    /// The slug or configuration is at fault, and trying again does not help.
    pub permanent: bool,
}

/// The platform's view of the node (or nodes) that it feeds.
#[async_trait::async_trait]
pub trait NodeLink: Send + Sync + 'static {
    /// Publishes a change and waits until requests that arrive from now on see it: the slug is fetched,
    /// its code compiled, the router switched. On error the node keeps serving what it had.
    async fn apply(&self, change: Change) -> Result<(), ApplyError>;

    /// Fetches and compiles what `app` would need without switching to it, so that a later
    /// [`NodeLink::apply`] is quick and cannot fail on the slug.
    async fn prepare(&self, app: Arc<AppSpec>) -> Result<(), ApplyError>;

    /// The dynos of an app.
    fn dynos(&self, app: Uuid) -> Vec<DynoStatus>;

    /// Whether dynos could use `rules` on this node: it understands them, and its operator lets apps open what they
    /// name. A release with a rule that the operator no longer allows is taken all the same; its connections are
    /// refused.
    async fn check_egress(&self, rules: &[EgressRule]) -> Result<(), ApplyError>;

    /// Ends an app's dynos (all, or the named one); load starts fresh ones.
    async fn restart(&self, app: Uuid, dyno: Option<String>);

    /// Runs a command of an app once, as a dyno of its own. It goes on after its release was replaced, and ends with the
    /// app, with the node, or after its time.
    ///
    /// # Errors
    ///
    /// When there is no such command, or no room for it. What goes wrong later is told by the exit status and the app's
    /// log.
    async fn run(&self, job: OneOff) -> Result<Run, OneOffError>;
}
