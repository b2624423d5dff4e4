//! Walks an app's ledger: every hash, every config set and slug that a release names, and that the app's
//! tables say what the ledger says.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::{Digest, feed::Scale};

use super::{COLUMNS, Entry, Event, GENESIS, ReleaseEvent};
use crate::{Error, db};

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Entries read.
    pub(crate) entries: u64,
    /// The first fault.
    pub(crate) fault: Option<Fault>,
}

/// Where the ledger is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// `v3` or `entry 5 (scaled)`.
    pub(crate) entry: String,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// Verifies one app's ledger. `db` should be a transaction, so that it sees one state.
pub(crate) async fn verify(db: &mut AnyConnection, app: Uuid) -> Result<Verification, Error> {
    let head: Option<Head> =
        sqlx::query_as("SELECT name, maintenance, head_seq, head_hash FROM apps WHERE id = $1")
            .bind(app.to_string())
            .fetch_optional(&mut *db)
            .await?;
    let head = head.ok_or(Error::NotFound("app"))?;
    let sql = format!("SELECT {COLUMNS} FROM ledger WHERE app_id = $1 ORDER BY seq");
    let entries: Vec<Entry> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(app.to_string()).fetch_all(&mut *db).await?;
    let count = entries.len() as u64;
    let fault = find_fault(db, app, &head, &entries).await?;
    Ok(Verification { entries: count, fault })
}

#[derive(sqlx::FromRow)]
struct Head {
    name: String,
    maintenance: i64,
    head_seq: i64,
    head_hash: String,
}

/// What the entries add up to, each with the entry that said it last.
#[derive(Default)]
struct State {
    name: Option<(String, String)>,
    maintenance: (bool, String),
    domains: BTreeSet<String>,
    domains_by: String,
    formation: BTreeMap<String, (Scale, String)>,
}

async fn find_fault(
    db: &mut AnyConnection,
    app: Uuid,
    head: &Head,
    entries: &[Entry],
) -> Result<Option<Fault>, Error> {
    let mut previous = GENESIS.to_owned();
    let mut versions = 0;
    let mut state = State::default();
    for (expected_seq, entry) in (1_i64..).zip(entries) {
        let event = match check_link(entry, expected_seq, &previous, &mut versions) {
            Ok(event) => event,
            Err(fault) => return Ok(Some(fault)),
        };
        if let Event::Release(release) = &event
            && let Some(reason) = check_release(db, app, release).await?
        {
            return Ok(Some(Fault { entry: entry.label(), reason }));
        }
        state.add(event, entry.label());
        previous.clone_from(&entry.hash);
    }
    let last = entries.last();
    let last_seq = last.map_or(0, |entry| entry.seq);
    if head.head_seq > last_seq {
        let entry = format!("entry {}", last_seq + 1);
        let end =
            last.map_or("nothing is left".into(), |last| format!("the last is {}", last.label()));
        let reason = format!("it is missing: the app has {} entries, {end}", head.head_seq);
        return Ok(Some(Fault { entry, reason }));
    }
    if head.head_seq < last_seq || head.head_hash != previous {
        let entry = last.map_or_else(|| "entry 1".into(), Entry::label);
        let reason = "it is not the one that the app records as its last".into();
        return Ok(Some(Fault { entry, reason }));
    }
    state.compare(db, app, head).await
}

/// Checks an entry against its own hash and its place in the chain.
fn check_link(
    entry: &Entry,
    expected_seq: i64,
    previous: &str,
    versions: &mut i64,
) -> Result<Event, Fault> {
    let fault = |reason: String| Err(Fault { entry: entry.label(), reason });
    if entry.seq != expected_seq {
        let reason = format!("it is missing: {} comes in its place", entry.label());
        return Err(Fault { entry: format!("entry {expected_seq}"), reason });
    }
    if entry.hash != entry.expected_hash() {
        return fault("its content does not match its hash: it was changed".into());
    }
    if entry.prev_hash != previous {
        return fault("it does not follow from the entry before it".into());
    }
    let event = match entry.event() {
        Ok(event) => event,
        Err(error) => return fault(error.to_string()),
    };
    let expected_version = matches!(event, Event::Release(_)).then(|| *versions + 1);
    if entry.version != expected_version {
        return fault(format!("its version should be {expected_version:?}"));
    }
    *versions += i64::from(expected_version.is_some());
    Ok(event)
}

/// Checks what a release names outside the ledger; the reason when something is wrong.
async fn check_release(
    db: &mut AnyConnection,
    app: Uuid,
    release: &ReleaseEvent,
) -> Result<Option<String>, Error> {
    let vars: Option<(String,)> =
        sqlx::query_as("SELECT vars FROM config_sets WHERE app_id = $1 AND digest = $2")
            .bind(app.to_string())
            .bind(release.config.to_string())
            .fetch_optional(&mut *db)
            .await?;
    match vars {
        None => return Ok(Some("its config vars are missing".into())),
        Some((vars,)) if Digest::of(vars.as_bytes()) != release.config => {
            return Ok(Some("its config vars do not match their digest: they were changed".into()));
        }
        Some(_) => {}
    }
    let Some(slug) = &release.slug else { return Ok(None) };
    let digest: Option<(String,)> =
        sqlx::query_as("SELECT digest FROM slugs WHERE app_id = $1 AND id = $2")
            .bind(app.to_string())
            .bind(slug.id.to_string())
            .fetch_optional(db)
            .await?;
    Ok(match digest {
        None => Some(format!("its slug {} is missing", slug.id)),
        Some((digest,)) if digest != slug.digest.to_string() => {
            Some(format!("its slug {} has another digest: it was changed", slug.id))
        }
        Some(_) => None,
    })
}

impl State {
    fn add(&mut self, event: Event, label: String) {
        match event {
            Event::Created { name } | Event::Renamed { to: name } => {
                self.name = Some((name, label))
            }
            Event::Release(_) => {}
            Event::Scaled { formation } => {
                for (process_type, scale) in formation {
                    self.formation.insert(process_type, (scale, label.clone()));
                }
            }
            Event::DomainAdded { hostname } => {
                self.domains.insert(hostname);
                self.domains_by = label;
            }
            Event::DomainRemoved { hostname } => {
                self.domains.remove(&hostname);
                self.domains_by = label;
            }
            Event::Maintenance { on } => self.maintenance = (on, label),
        }
    }

    /// Whether the app's tables say the same.
    async fn compare(
        self,
        db: &mut AnyConnection,
        app: Uuid,
        head: &Head,
    ) -> Result<Option<Fault>, Error> {
        let fault = |entry: String, reason: String| {
            let entry = if entry.is_empty() { "entry 1 (created)".to_owned() } else { entry };
            Ok(Some(Fault { entry, reason }))
        };
        let (name, named_by) = self.name.unwrap_or_default();
        if name != head.name {
            return fault(
                named_by,
                format!("it names the app {name:?}, but it is {:?}", head.name),
            );
        }
        let (maintenance, switched_by) = self.maintenance;
        if maintenance != (head.maintenance != 0) {
            return fault(switched_by, "the app's maintenance mode is not what it says".into());
        }
        let rows: Vec<(String,)> = sqlx::query_as("SELECT hostname FROM domains WHERE app_id = $1")
            .bind(app.to_string())
            .fetch_all(&mut *db)
            .await?;
        if self.domains != rows.into_iter().map(|(hostname,)| hostname).collect() {
            return fault(self.domains_by, "the app's domains are not what it leaves".into());
        }
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT type, min, max FROM formation WHERE app_id = $1")
                .bind(app.to_string())
                .fetch_all(db)
                .await?;
        let mut stored = BTreeMap::new();
        for (process_type, min, max) in rows {
            stored.insert(process_type, (db::unsigned(min), db::unsigned(max)));
        }
        for (process_type, (scale, scaled_by)) in self.formation {
            let expected = (u64::from(scale.min), u64::from(scale.max));
            if stored.remove(&process_type) != Some(expected) {
                return fault(
                    scaled_by,
                    format!("the scale of {process_type} is not what it says"),
                );
            }
        }
        match stored.into_keys().next() {
            Some(extra) => {
                fault(String::new(), format!("no entry scaled {extra}, but it is scaled"))
            }
            None => Ok(None),
        }
    }
}
