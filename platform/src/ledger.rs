//! The ledger: per app, an append-only list of who did what, chained by hashes.
//!
//! An entry's hash covers the entry before it and all of its own fields, so that nobody can change, insert,
//! swap or drop an entry without breaking the chain from there on. The app's row holds the head, so that
//! cutting off the end shows too. Releases are entries: the ledger is the only place where they are, and the
//! config vars that a release names live in a table whose key is their digest. `verify.rs` walks it all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::{Digest, feed::Scale};

use crate::{Error, auth::User, db};

mod verify;

pub(crate) use verify::verify;

/// What the first entry has as its predecessor's hash.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Something that was done to an app. Serialised, `kind` is the ledger's column and the rest its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload")]
pub(crate) enum Event {
    /// The app was made.
    #[serde(rename = "created")]
    Created {
        /// Its first name.
        name: String,
    },
    /// A release.
    #[serde(rename = "release")]
    Release(ReleaseEvent),
    /// A release phase ended.
    #[serde(rename = "release phase")]
    Phase(PhaseEvent),
    /// Process types got another scale.
    #[serde(rename = "scaled")]
    Scaled {
        /// Those that changed.
        formation: BTreeMap<String, Scale>,
    },
    /// A custom domain was added.
    #[serde(rename = "domain added")]
    DomainAdded {
        /// In lower case.
        hostname: String,
    },
    /// A custom domain was removed.
    #[serde(rename = "domain removed")]
    DomainRemoved {
        /// In lower case.
        hostname: String,
    },
    /// A log drain was added.
    #[serde(rename = "drain added")]
    DrainAdded {
        /// Its token.
        token: String,
        /// Scheme, host and port of its URL; the rest may be secret.
        to: String,
    },
    /// A log drain was removed.
    #[serde(rename = "drain removed")]
    DrainRemoved {
        /// Its token.
        token: String,
    },
    /// A webhook was added.
    #[serde(rename = "webhook added")]
    WebhookAdded {
        /// Its id.
        id: Uuid,
        /// Scheme, host and port of its URL; the rest may be secret.
        to: String,
    },
    /// A webhook was changed.
    #[serde(rename = "webhook changed")]
    WebhookChanged {
        /// Its id.
        id: Uuid,
        /// Scheme, host and port of its URL, as it is now.
        to: String,
    },
    /// A webhook was removed.
    #[serde(rename = "webhook removed")]
    WebhookRemoved {
        /// Its id.
        id: Uuid,
    },
    /// Maintenance mode was switched.
    #[serde(rename = "maintenance")]
    Maintenance {
        /// The new state.
        on: bool,
    },
    /// The app got another name.
    #[serde(rename = "renamed")]
    Renamed {
        /// The new name.
        to: String,
    },
}

/// What a release binds together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseEvent {
    /// The digest of the config vars.
    pub(crate) config: Digest,
    /// The digest of the egress rules, when there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) egress: Option<Digest>,
    /// Heroku's words for what it is: `Set A config vars`.
    pub(crate) description: String,
    /// The version that a rollback restored.
    pub(crate) rollback_of: Option<u64>,
    /// The slug; none before the first deploy.
    pub(crate) slug: Option<SlugRef>,
    /// Whether it has a release phase: then it counts when a later entry says that the phase succeeded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) phase: bool,
}

/// How a release phase ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PhaseEvent {
    /// Of which release.
    pub(crate) version: u64,
    /// Whether the release went live.
    pub(crate) succeeded: bool,
    /// The command's exit status; none when it was not started or the platform stopped.
    pub(crate) status: Option<i32>,
}

/// A slug as a release names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlugRef {
    /// The manifest's digest: what runs.
    pub(crate) digest: Digest,
    /// The slug's id in the API.
    pub(crate) id: Uuid,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Entry {
    pub(crate) app_id: String,
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) version: Option<i64>,
    pub(crate) kind: String,
    pub(crate) actor_id: String,
    pub(crate) actor_email: String,
    pub(crate) created_at: String,
    pub(crate) payload: String,
    pub(crate) prev_hash: String,
    pub(crate) hash: String,
}

/// The columns of [`Entry`], for SELECT.
pub(crate) const COLUMNS: &str =
    "app_id, seq, id, version, kind, actor_id, actor_email, created_at, payload, prev_hash, hash";

impl Event {
    fn parts(&self) -> Result<(String, String), Error> {
        let broken = |error| Error::Corrupt(format!("ledger entry: {error}"));
        let mut whole = serde_json::to_value(self).map_err(broken)?;
        let kind = whole.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
        let payload = whole.get_mut("payload").map(serde_json::Value::take).unwrap_or_default();
        Ok((kind, serde_json::to_string(&payload).map_err(broken)?))
    }
}

impl Entry {
    /// The hash that the entry must have: SHA-256 of the previous hash and the canonical JSON (fixed order,
    /// no spaces) of every other field. The payload goes in as the text that is stored, so that no byte of it
    /// escapes.
    pub(crate) fn expected_hash(&self) -> String {
        let document = serde_json::json!([
            self.actor_email,
            self.actor_id,
            self.app_id,
            self.created_at,
            self.id,
            self.kind,
            self.payload,
            self.seq,
            self.version,
        ]);
        let mut hasher = Sha256::new();
        hasher.update(self.prev_hash.as_bytes());
        hasher.update(document.to_string().as_bytes());
        hex::encode(hasher.finalize())
    }

    /// What the entry records.
    pub(crate) fn event(&self) -> Result<Event, Error> {
        let broken = |error| Error::Corrupt(format!("{}: {error}", self.label()));
        let payload: serde_json::Value = serde_json::from_str(&self.payload).map_err(broken)?;
        serde_json::from_value(serde_json::json!({"kind": self.kind, "payload": payload}))
            .map_err(broken)
    }

    /// How people name it: `v3` or `entry 5 (scaled)`.
    pub(crate) fn label(&self) -> String {
        match self.version {
            Some(version) if self.kind == "release" => format!("v{version}"),
            _ => format!("entry {} ({})", self.seq, self.kind),
        }
    }
}

/// Appends an entry inside the caller's transaction, so that the change and its record are one.
pub(crate) async fn append(
    db: &mut AnyConnection,
    app: Uuid,
    actor: &User,
    id: Uuid,
    event: &Event,
) -> Result<Entry, Error> {
    let head: Option<(i64, String)> =
        sqlx::query_as("SELECT head_seq, head_hash FROM apps WHERE id = $1")
            .bind(app.to_string())
            .fetch_optional(&mut *db)
            .await?;
    let (head_seq, head_hash) = head.ok_or(Error::NotFound("app"))?;
    let version = match event {
        Event::Release(_) => Some(last_version(db, app).await? + 1),
        _ => None,
    };
    let (kind, payload) = event.parts()?;
    let mut entry = Entry {
        app_id: app.to_string(),
        seq: head_seq + 1,
        id: id.to_string(),
        version,
        kind,
        actor_id: actor.id.to_string(),
        actor_email: actor.email.clone(),
        created_at: db::now(),
        payload,
        prev_hash: head_hash,
        hash: String::new(),
    };
    entry.hash = entry.expected_hash();
    sqlx::query(
        "INSERT INTO ledger (app_id, seq, id, version, kind, actor_id, actor_email, created_at, payload, \
         prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(entry.app_id.clone())
    .bind(entry.seq)
    .bind(entry.id.clone())
    .bind(entry.version)
    .bind(entry.kind.clone())
    .bind(entry.actor_id.clone())
    .bind(entry.actor_email.clone())
    .bind(entry.created_at.clone())
    .bind(entry.payload.clone())
    .bind(entry.prev_hash.clone())
    .bind(entry.hash.clone())
    .execute(&mut *db)
    .await?;
    sqlx::query("UPDATE apps SET head_seq = $1, head_hash = $2, updated_at = $3 WHERE id = $4")
        .bind(entry.seq)
        .bind(entry.hash.clone())
        .bind(entry.created_at.clone())
        .bind(entry.app_id.clone())
        .execute(db)
        .await?;
    Ok(entry)
}

/// The highest version of the app's releases, whether they went live or not.
pub(crate) async fn last_version(db: &mut AnyConnection, app: Uuid) -> Result<i64, Error> {
    let (version,): (Option<i64>,) =
        sqlx::query_as("SELECT MAX(version) FROM ledger WHERE app_id = $1")
            .bind(app.to_string())
            .fetch_one(db)
            .await?;
    Ok(version.unwrap_or(0))
}

#[cfg(test)]
mod tests;
