//! Config vars. A release names its set by digest; the set itself is stored once under that digest, and its
//! digest is checked whenever it is read, so that a changed value is never served.

use std::collections::{BTreeMap, HashMap};

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::{Digest, Limits};

use crate::{
    Error, Inner,
    auth::User,
    db,
    locks::AppLock,
    names,
    releases::{self, Draft, Slug},
};

/// Config vars by name.
pub(crate) type Vars = BTreeMap<String, String>;

/// A change to config vars: `None` removes.
pub(crate) type Patch = BTreeMap<String, Option<String>>;

/// Stores a set unless it is there, and returns its digest.
pub(crate) async fn put(db: &mut AnyConnection, app: Uuid, vars: &Vars) -> Result<Digest, Error> {
    let text = serde_json::to_string(vars)
        .map_err(|error| Error::Corrupt(format!("config vars: {error}")))?;
    let digest = Digest::of(text.as_bytes());
    sqlx::query(
        "INSERT INTO config_sets (app_id, digest, vars) VALUES ($1, $2, $3) \
         ON CONFLICT (app_id, digest) DO NOTHING",
    )
    .bind(app.to_string())
    .bind(digest.to_string())
    .bind(text)
    .execute(db)
    .await?;
    Ok(digest)
}

/// Reads a set and verifies it.
pub(crate) async fn get(db: &mut AnyConnection, app: Uuid, digest: Digest) -> Result<Vars, Error> {
    let mut stored = stored(db, &[(app, digest)]).await?;
    verified(digest, stored.remove(&app))
}

/// The text of one set for each of many apps, as it is stored.
pub(crate) async fn stored(
    db: &mut AnyConnection,
    wanted: &[(Uuid, Digest)],
) -> Result<HashMap<Uuid, String>, Error> {
    let mut found = HashMap::new();
    for wanted in wanted.chunks(db::BATCH) {
        // The columns of VALUES have these names in SQLite as in PostgreSQL.
        let sql = format!(
            "SELECT config_sets.app_id, config_sets.vars FROM (VALUES {}) AS wanted \
             JOIN config_sets ON config_sets.app_id = wanted.column1 \
             AND config_sets.digest = wanted.column2",
            db::places(wanted.len(), 2)
        );
        let values = wanted.iter().flat_map(|(app, digest)| [app.to_string(), digest.to_string()]);
        let rows: Vec<(String, String)> = db::fetch_all(db, sql, values).await?;
        for (app, vars) in rows {
            found.insert(db::id(&app)?, vars);
        }
    }
    Ok(found)
}

/// The set, if its text is what its digest says.
pub(crate) fn verified(digest: Digest, text: Option<String>) -> Result<Vars, Error> {
    let broken = |why: &str| Error::Corrupt(format!("config vars {}: {why}", digest.short()));
    let text = text.ok_or_else(|| broken("missing"))?;
    if Digest::of(text.as_bytes()) != digest {
        return Err(broken("changed outside of wpaas"));
    }
    serde_json::from_str(&text).map_err(|error| broken(&error.to_string()))
}

/// The config vars of the app's current release.
pub(crate) async fn current(db: &mut AnyConnection, app: Uuid) -> Result<Vars, Error> {
    let release = releases::current(db, app).await?;
    get(db, app, release.event.config).await
}

/// Applies a patch. Returns the new set and which names were set and removed; names that stay as they were
/// are in neither list.
fn patched(
    mut vars: Vars,
    patch: Patch,
    limits: &Limits,
) -> Result<(Vars, Vec<String>, Vec<String>), Error> {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for (name, value) in patch {
        match value {
            None => {
                if vars.remove(&name).is_some() {
                    removed.push(name);
                }
            }
            Some(value) => {
                names::check_config_var(&name)?;
                if value.contains('\0') {
                    return Err(Error::Invalid(format!("Config var {name} holds a NUL byte.")));
                }
                if vars.get(&name) != Some(&value) {
                    vars.insert(name.clone(), value);
                    set.push(name);
                }
            }
        }
    }
    let bytes: usize = vars.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes as u64 > limits.config_vars_bytes {
        return Err(Error::Invalid(format!(
            "Config vars would take {bytes} bytes, more than the limit of {}. \
             Keep large values in files or in a service.",
            limits.config_vars_bytes
        )));
    }
    Ok((vars, set, removed))
}

/// Heroku's words for a change: `Set A, B config vars`.
fn describe(set: &[String], removed: &[String]) -> String {
    match (set, removed) {
        (set, []) => format!("Set {} config vars", set.join(", ")),
        ([], removed) => format!("Remove {} config vars", removed.join(", ")),
        (set, removed) => {
            format!("Set {} and remove {} config vars", set.join(", "), removed.join(", "))
        }
    }
}

impl Inner {
    /// Changes config vars, which makes a release without a build. When nothing changes, no release is made.
    pub(crate) async fn patch_config(
        &self,
        lock: &AppLock,
        user: &User,
        patch: Patch,
    ) -> Result<Vars, Error> {
        let mut db = self.db.read().await?;
        let current = releases::current(&mut db, lock.app).await?;
        let vars = get(&mut db, lock.app, current.event.config).await?;
        drop(db);
        let (vars, set, removed) = patched(vars, patch, &self.limits)?;
        if set.is_empty() && removed.is_empty() {
            return Ok(vars);
        }
        let description = describe(&set, &removed);
        let draft = Draft {
            slug: current.event.slug.map(Slug::Stored),
            config: vars.clone(),
            said: format!("{description} by user {}", user.email),
            description,
            rollback_of: None,
            build: None,
        };
        self.release(lock, user, draft).await?;
        Ok(vars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(pairs: &[(&str, Option<&str>)]) -> Patch {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect()
    }

    #[test]
    fn patches_say_what_they_changed() {
        let limits = Limits { config_vars_bytes: 10, ..Limits::default() };
        let vars = Vars::from([("A".into(), "1".into()), ("B".into(), "2".into())]);
        let change = patch(&[("A", Some("1")), ("B", None), ("C", Some("3")), ("D", None)]);
        let (after, set, removed) = patched(vars.clone(), change, &limits).unwrap();
        assert_eq!(after, Vars::from([("A".into(), "1".into()), ("C".into(), "3".into())]));
        assert_eq!((set, removed), (vec!["C".to_owned()], vec!["B".to_owned()]));
        assert!(patched(vars.clone(), patch(&[("C", Some("12345"))]), &limits).is_ok());
        for bad in [("C", "123456"), ("1", ""), ("N", "\0")] {
            let change = patch(&[(bad.0, Some(bad.1))]);
            assert!(matches!(patched(vars.clone(), change, &limits), Err(Error::Invalid(_))));
        }
    }

    #[test]
    fn describes_as_heroku_does() {
        let (a, b) = (["A".to_owned(), "B".to_owned()], ["C".to_owned()]);
        assert_eq!(describe(&a, &[]), "Set A, B config vars");
        assert_eq!(describe(&[], &b), "Remove C config vars");
        assert_eq!(describe(&a, &b), "Set A, B and remove C config vars");
    }
}
