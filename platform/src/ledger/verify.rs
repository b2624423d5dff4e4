//! Walks an app's ledger: every hash, every config set and slug that a release names, and that the app's
//! tables say what the ledger says.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::{Digest, feed::Scale};

use super::{COLUMNS, Entry, Event, GENESIS, PhaseEvent, ReleaseEvent};
use crate::{
    Error, db, phases,
    sets::{self, Kind},
};

/// Entries in memory at once.
const PAGE: u64 = 500;

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
    let mut walk = Walk::default();
    let fault = walk.find_fault(db, app, &head).await?;
    Ok(Verification { entries: walk.entries, fault })
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
    /// By version of the releases with a release phase: how it stands.
    phases: BTreeMap<u64, (phases::Status, String)>,
}

/// How far a walk is.
#[derive(Default)]
struct Walk {
    entries: u64,
    versions: i64,
    /// The entry before: its place, hash and name.
    last: Option<(i64, String, String)>,
    state: State,
}

impl Walk {
    async fn find_fault(
        &mut self,
        db: &mut AnyConnection,
        app: Uuid,
        head: &Head,
    ) -> Result<Option<Fault>, Error> {
        loop {
            let page = page_of(db, app, self.last.as_ref().map(|(seq, ..)| *seq)).await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                self.entries += 1;
                let event = match self.check_link(&entry) {
                    Ok(event) => event,
                    Err(fault) => return Ok(Some(fault)),
                };
                if let Event::Release(release) = &event
                    && let Some(reason) = check_release(db, app, release).await?
                {
                    return Ok(Some(Fault { entry: entry.label(), reason }));
                }
                if let Err(reason) = self.state.add(event, &entry) {
                    return Ok(Some(Fault { entry: entry.label(), reason }));
                }
                self.last = Some((entry.seq, entry.hash.clone(), entry.label()));
            }
        }
        let (seq, hash, label) = self.last.take().unwrap_or((0, GENESIS.into(), "entry 1".into()));
        if head.head_seq > seq {
            let end =
                if seq == 0 { "nothing is left".into() } else { format!("the last is {label}") };
            let entry = format!("entry {}", seq + 1);
            let reason = format!("it is missing: the app has {} entries, {end}", head.head_seq);
            return Ok(Some(Fault { entry, reason }));
        }
        if head.head_seq < seq || head.head_hash != hash {
            let reason = "it is not the one that the app records as its last".into();
            return Ok(Some(Fault { entry: label, reason }));
        }
        std::mem::take(&mut self.state).compare(db, app, head).await
    }

    /// Checks an entry against its own hash and its place in the chain.
    fn check_link(&mut self, entry: &Entry) -> Result<Event, Fault> {
        let fault = |reason: String| Err(Fault { entry: entry.label(), reason });
        let (seq, previous) = match &self.last {
            Some((seq, hash, _)) => (seq + 1, hash.as_str()),
            None => (1, GENESIS),
        };
        if entry.seq != seq {
            let reason = format!("it is missing: {} comes in its place", entry.label());
            return Err(Fault { entry: format!("entry {seq}"), reason });
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
        let version = matches!(event, Event::Release(_)).then(|| self.versions + 1);
        if entry.version != version {
            return fault(format!("its version should be {version:?}"));
        }
        self.versions += i64::from(version.is_some());
        Ok(event)
    }
}

/// The next entries, in order. The first page starts at the very first row, wherever somebody put it.
async fn page_of(
    db: &mut AnyConnection,
    app: Uuid,
    after: Option<i64>,
) -> Result<Vec<Entry>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger WHERE app_id = $1 AND seq > $2 ORDER BY seq LIMIT {PAGE}"
    );
    let entries = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(app.to_string())
        .bind(after.unwrap_or(i64::MIN))
        .fetch_all(db)
        .await?;
    Ok(entries)
}

/// Checks what a release names outside the ledger; the reason when something is wrong.
async fn check_release(
    db: &mut AnyConnection,
    app: Uuid,
    release: &ReleaseEvent,
) -> Result<Option<String>, Error> {
    let sets = [(Kind::Config, Some(release.config)), (Kind::Egress, release.egress)];
    for (kind, digest) in sets.into_iter().filter_map(|(kind, digest)| Some((kind, digest?))) {
        let name = kind.name();
        match sets::stored(db, kind, &[(app, digest)]).await?.remove(&app) {
            None => return Ok(Some(format!("its {name} are missing"))),
            Some(text) if Digest::of(text.as_bytes()) != digest => {
                return Ok(Some(format!(
                    "its {name} do not match their digest: they were changed"
                )));
            }
            Some(_) => {}
        }
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
    /// The reason when the entry cannot follow the ones before it.
    fn add(&mut self, event: Event, entry: &Entry) -> Result<(), String> {
        let label = entry.label();
        match event {
            Event::Created { name } | Event::Renamed { to: name } => {
                self.name = Some((name, label))
            }
            Event::Release(release) => {
                if release.phase {
                    let version = db::unsigned(entry.version.unwrap_or_default());
                    self.phases.insert(version, (phases::Status::Pending, label));
                }
            }
            Event::Phase(PhaseEvent { version, succeeded, .. }) => {
                let ended =
                    if succeeded { phases::Status::Succeeded } else { phases::Status::Failed };
                match self.phases.get_mut(&version) {
                    Some(phase) if phase.0 == phases::Status::Pending => *phase = (ended, label),
                    _ => return Err(format!("no release phase of v{version} was running")),
                }
            }
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
            // Who is told of an app is no part of what runs.
            Event::DrainAdded { .. }
            | Event::DrainRemoved { .. }
            | Event::WebhookAdded { .. }
            | Event::WebhookChanged { .. }
            | Event::WebhookRemoved { .. } => {}
            Event::Maintenance { on } => self.maintenance = (on, label),
        }
        Ok(())
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
                .fetch_all(&mut *db)
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
        if let Some(extra) = stored.into_keys().next() {
            return fault(String::new(), format!("no entry scaled {extra}, but it is scaled"));
        }
        let mut stored = phases::stored(db, app).await?;
        for (version, (status, said_by)) in self.phases {
            if stored.remove(&version) != Some(status.name().to_owned()) {
                let reason = format!("the release phase of v{version} is not as it says");
                return fault(said_by, reason);
            }
        }
        match stored.into_keys().next() {
            Some(extra) => {
                fault(String::new(), format!("v{extra} has no release phase, and is said to"))
            }
            None => Ok(None),
        }
    }
}
