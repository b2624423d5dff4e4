//! The parts of the Platform API's objects that commands read. The shapes are Heroku's; fields marked
//! *wpaas* are the platform's own and come only with our `Accept` header.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use wpaas_slug::Digest;

/// Something that is only named.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    /// Its name.
    pub(crate) name: String,
}

/// A reference to something by its id.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reference {
    /// Its id.
    pub(crate) id: Uuid,
}

/// Who did something.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    /// Their address.
    pub(crate) email: String,
}

/// A token, as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Authorization {
    /// Its id.
    pub(crate) id: Uuid,
    /// What is sent.
    pub(crate) access_token: AccessToken,
    /// Whose it is.
    pub(crate) user: User,
}

/// The secret of an [`Authorization`].
#[derive(Clone, Deserialize)]
pub(crate) struct AccessToken {
    /// The text, where the server still knows it.
    pub(crate) token: String,
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// The owner of the token.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Account {
    /// Their address.
    pub(crate) email: String,
}

/// An app.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct App {
    /// Its name.
    pub(crate) name: String,
    /// Where it answers.
    pub(crate) web_url: Option<String>,
    /// Where its repository is.
    pub(crate) git_url: Option<String>,
    /// Whose it is.
    pub(crate) owner: User,
    /// Where it runs.
    pub(crate) region: Named,
    /// What it runs on.
    pub(crate) stack: Named,
    /// The language that was detected at the last build.
    pub(crate) buildpack_provided_description: Option<String>,
    /// Whether requests are answered with the maintenance page.
    #[serde(default)]
    pub(crate) maintenance: bool,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// When it was last released.
    pub(crate) released_at: Option<Timestamp>,
    /// Bytes.
    pub(crate) slug_size: Option<u64>,
}

/// A buildpack in the order of an app's.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Installation {
    /// Which.
    pub(crate) buildpack: BuildpackRef,
}

/// A buildpack.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BuildpackRef {
    /// Its name or address.
    pub(crate) url: String,
}

/// A release.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Release {
    /// Its id.
    pub(crate) id: Uuid,
    /// 1 for v1.
    pub(crate) version: u64,
    /// `succeeded`, `pending`, `failed`.
    pub(crate) status: String,
    /// What it changed.
    pub(crate) description: String,
    /// Who made it.
    pub(crate) user: User,
    /// When.
    pub(crate) created_at: Timestamp,
    /// Whether it is the one that serves.
    #[serde(default)]
    pub(crate) current: bool,
    /// Its code; nothing before the first deploy.
    pub(crate) slug: Option<Reference>,
    /// What its release command prints.
    #[serde(default)]
    pub(crate) output_stream_url: Option<String>,
    /// Whether one can go back to it.
    #[serde(default = "yes")]
    pub(crate) eligible_for_rollback: bool,
    /// *wpaas*: its entry's hash in the ledger.
    pub(crate) hash: Option<String>,
    /// *wpaas*: the hash of the entry before it.
    pub(crate) previous_hash: Option<String>,
}

fn yes() -> bool {
    true
}

/// Where a source goes and where the platform finds it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Source {
    /// Both addresses.
    pub(crate) source_blob: SourceBlob,
}

/// The addresses of a [`Source`].
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SourceBlob {
    /// For [`Build`].
    pub(crate) get_url: String,
    /// For the tarball.
    pub(crate) put_url: String,
}

/// A build.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Build {
    /// Its id.
    pub(crate) id: Uuid,
    /// How far it is.
    pub(crate) status: BuildStatus,
    /// Its output, as it comes.
    pub(crate) output_stream_url: Option<String>,
    /// What it led to.
    pub(crate) release: Option<Reference>,
    /// *wpaas*: its steps and their times, passed on as they are.
    #[serde(default)]
    pub(crate) steps: Value,
    /// *wpaas*: the slug that it made.
    #[serde(default)]
    pub(crate) slug_digest: Option<Digest>,
    /// *wpaas*: blobs that the store did not have, passed on as they are.
    #[serde(default)]
    pub(crate) uploaded_blobs: Value,
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BuildStatus {
    /// Waiting or under way.
    Pending,
    /// Done, its release is live.
    Succeeded,
    /// Ended without a release.
    Failed,
}

/// A slug as the API names it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ApiSlug {
    /// Its id, for a release.
    pub(crate) id: Uuid,
}

/// How many dynos of a process type may and must run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Formation {
    /// `web`
    #[serde(rename = "type")]
    pub(crate) process_type: String,
    /// The Procfile's command.
    pub(crate) command: String,
    /// The most that load may start.
    pub(crate) quantity: u32,
    /// *wpaas*: how many run even without load.
    pub(crate) quantity_min: Option<u32>,
}

impl Formation {
    /// `0..20`, or `3` when it is always three.
    pub(crate) fn scale(&self) -> String {
        match self.quantity_min {
            Some(min) if min != self.quantity => format!("{min}..{}", self.quantity),
            _ => self.quantity.to_string(),
        }
    }
}

/// A dyno.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dyno {
    /// `web.1`
    pub(crate) name: String,
    /// `web`
    #[serde(rename = "type")]
    pub(crate) process_type: String,
    /// What it runs.
    pub(crate) command: String,
    /// What it is doing.
    pub(crate) state: String,
    /// Since when.
    pub(crate) updated_at: Timestamp,
    /// Where its streams are, for whoever started it to attach.
    #[serde(default)]
    pub(crate) attach_url: Option<String>,
    /// Requests that it works on at once; none where it is given none.
    #[serde(default)]
    pub(crate) concurrency: Option<u32>,
    /// `request` when each request gets an instance of its own.
    #[serde(default)]
    pub(crate) isolation: String,
}

impl Dyno {
    /// How it takes requests, where that is not one after the other as everywhere.
    pub(crate) fn way(&self) -> String {
        match (self.isolation.as_str(), self.concurrency) {
            ("request", _) => ", a fresh instance for each request".to_owned(),
            (_, Some(requests @ 2..)) => format!(", up to {requests} requests at once"),
            _ => String::new(),
        }
    }
}

/// A domain.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Domain {
    /// `www.example.org`
    pub(crate) hostname: String,
    /// `heroku` for the app's own, `custom` for added ones.
    pub(crate) kind: String,
    /// What the name's DNS entry should point to.
    pub(crate) cname: Option<String>,
    /// `succeeded`, `pending`, …
    #[serde(default)]
    pub(crate) status: String,
}

/// A log drain.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Drain {
    /// Where lines are sent.
    pub(crate) url: String,
    /// By what its receiver knows it: `d.UUID`.
    pub(crate) token: String,
}

/// Where an app's log can be read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LogSession {
    /// An event stream; the address is the permission.
    pub(crate) logplex_url: String,
}

/// *wpaas*: what walking the ledger found.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Verification {
    /// Whether every entry is what it was when it was written.
    pub(crate) valid: bool,
    /// Entries walked.
    pub(crate) entries: u64,
    /// The first entry that is not.
    pub(crate) error: Option<BrokenEntry>,
}

/// *wpaas*: an entry of the ledger that does not verify.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BrokenEntry {
    /// `v3`
    pub(crate) entry: String,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// *wpaas*: the body and the answer of `POST /blobs/missing`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Missing {
    /// Blobs that the store lacks.
    pub(crate) missing: Vec<Digest>,
}
