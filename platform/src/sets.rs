//! What releases name by digest: sets of config vars and of egress rules. A set is stored once under the digest of its
//! text, and the digest is checked whenever it is read, so that a changed value is never served.

use std::collections::HashMap;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::Digest;

use crate::{Error, db};

/// The kinds of sets, each with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Config,
    Egress,
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Config => "config_sets",
            Self::Egress => "egress_sets",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Config => "vars",
            Self::Egress => "rules",
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Config => "config vars",
            Self::Egress => "egress rules",
        }
    }
}

/// The text of a set and its digest.
pub(crate) fn text(kind: Kind, set: &impl Serialize) -> Result<(String, Digest), Error> {
    let text = serde_json::to_string(set)
        .map_err(|error| Error::Corrupt(format!("{}: {error}", kind.name())))?;
    let digest = Digest::of(text.as_bytes());
    Ok((text, digest))
}

/// Stores a set unless it is there, and returns its digest.
pub(crate) async fn put(
    db: &mut AnyConnection,
    kind: Kind,
    app: Uuid,
    set: &impl Serialize,
) -> Result<Digest, Error> {
    let (text, digest) = text(kind, set)?;
    let (table, column) = (kind.table(), kind.column());
    let sql = format!(
        "INSERT INTO {table} (app_id, digest, {column}) VALUES ($1, $2, $3) \
         ON CONFLICT (app_id, digest) DO NOTHING"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(app.to_string())
        .bind(digest.to_string())
        .bind(text)
        .execute(db)
        .await?;
    Ok(digest)
}

/// Reads a set and verifies it.
pub(crate) async fn get<T: DeserializeOwned>(
    db: &mut AnyConnection,
    kind: Kind,
    app: Uuid,
    digest: Digest,
) -> Result<T, Error> {
    let mut stored = stored(db, kind, &[(app, digest)]).await?;
    verified(kind, digest, stored.remove(&app))
}

/// The text of one set for each of many apps, as it is stored.
pub(crate) async fn stored(
    db: &mut AnyConnection,
    kind: Kind,
    wanted: &[(Uuid, Digest)],
) -> Result<HashMap<Uuid, String>, Error> {
    let (table, column) = (kind.table(), kind.column());
    let mut found = HashMap::new();
    for wanted in wanted.chunks(db::BATCH) {
        // The columns of VALUES have these names in SQLite as in PostgreSQL.
        let sql = format!(
            "SELECT {table}.app_id, {table}.{column} FROM (VALUES {}) AS wanted \
             JOIN {table} ON {table}.app_id = wanted.column1 AND {table}.digest = wanted.column2",
            db::places(wanted.len(), 2)
        );
        let values = wanted.iter().flat_map(|(app, digest)| [app.to_string(), digest.to_string()]);
        let rows: Vec<(String, String)> = db::fetch_all(db, sql, values).await?;
        for (app, text) in rows {
            found.insert(db::id(&app)?, text);
        }
    }
    Ok(found)
}

/// The set, if its text is what its digest says.
pub(crate) fn verified<T: DeserializeOwned>(
    kind: Kind,
    digest: Digest,
    text: Option<String>,
) -> Result<T, Error> {
    let broken = |why: &str| Error::Corrupt(format!("{} {}: {why}", kind.name(), digest.short()));
    let text = text.ok_or_else(|| broken("missing"))?;
    if Digest::of(text.as_bytes()) != digest {
        return Err(broken("changed outside of wpaas"));
    }
    serde_json::from_str(&text).map_err(|error| broken(&error.to_string()))
}
