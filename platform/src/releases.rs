//! Releases: slug, config vars and egress rules bound together, numbered, as entries of the ledger.

use std::{collections::HashMap, sync::Arc, time::Instant};

use sqlx::AnyConnection;
use tokio::sync::watch;
use uuid::Uuid;
use wpaas_slug::feed::{EgressRule, ReleaseSpec};

use crate::{
    Ctx, Error, Inner,
    apps::{self, App},
    auth::User,
    builds, config, db, feed, formation,
    ledger::{self, COLUMNS, Entry, Event, ReleaseEvent, SlugRef},
    locks::AppLock,
    page::{self, Key, Listed, Page},
    phases::{self, Begun, PROCESS_TYPE},
    sets::{self, Kind},
    slugs::{self, SlugRow},
    webhooks::Action,
};

/// A release, read from its ledger entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) id: Uuid,
    pub(crate) app: Uuid,
    pub(crate) version: u64,
    pub(crate) user_id: String,
    pub(crate) user_email: String,
    pub(crate) created_at: String,
    pub(crate) event: ReleaseEvent,
    pub(crate) hash: String,
    pub(crate) prev_hash: String,
}

impl TryFrom<Entry> for Release {
    type Error = Error;

    fn try_from(entry: Entry) -> Result<Self, Error> {
        let Event::Release(event) = entry.event()? else {
            return Err(Error::Corrupt(format!("{} is not a release", entry.label())));
        };
        let version =
            entry.version.ok_or_else(|| Error::Corrupt("a release without version".into()))?;
        Ok(Self {
            id: db::id(&entry.id)?,
            app: db::id(&entry.app_id)?,
            version: db::unsigned(version),
            user_id: entry.actor_id,
            user_email: entry.actor_email,
            created_at: entry.created_at,
            event,
            hash: entry.hash,
            prev_hash: entry.prev_hash,
        })
    }
}

impl Release {
    /// Who made it.
    pub(crate) fn user(&self) -> Result<User, Error> {
        let (email, created_at) = (self.user_email.clone(), self.created_at.clone());
        Ok(User { id: db::id(&self.user_id)?, email, created_at })
    }
}

/// What a release binds to its slug.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) config: config::Vars,
    pub(crate) egress: Vec<EgressRule>,
}

/// The ledger's record of an app's first release, which has nothing.
pub(crate) async fn initial(db: &mut AnyConnection, app: Uuid) -> Result<Event, Error> {
    Ok(Event::Release(ReleaseEvent {
        config: sets::put(db, Kind::Config, app, &config::Vars::new()).await?,
        egress: None,
        description: "Initial release".into(),
        rollback_of: None,
        slug: None,
        phase: false,
    }))
}

/// A release's config vars.
pub(crate) async fn config(
    db: &mut AnyConnection,
    release: &Release,
) -> Result<config::Vars, Error> {
    sets::get(db, Kind::Config, release.app, release.event.config).await
}

/// A release's egress rules.
pub(crate) async fn egress(
    db: &mut AnyConnection,
    release: &Release,
) -> Result<Vec<EgressRule>, Error> {
    match release.event.egress {
        Some(digest) => sets::get(db, Kind::Egress, release.app, digest).await,
        None => Ok(Vec::new()),
    }
}

/// What a release binds to its slug.
pub(crate) async fn settings(db: &mut AnyConnection, release: &Release) -> Result<Settings, Error> {
    let config = config(db, release).await?;
    Ok(Settings { config, egress: egress(db, release).await? })
}

/// The config vars of the app's current release.
pub(crate) async fn current_config(
    db: &mut AnyConnection,
    app: Uuid,
) -> Result<config::Vars, Error> {
    let release = current(db, app).await?;
    config(db, &release).await
}

/// What the app's current release binds to its slug.
pub(crate) async fn current_settings(db: &mut AnyConnection, app: Uuid) -> Result<Settings, Error> {
    let release = current(db, app).await?;
    settings(db, &release).await
}

/// The app's current release: the one with the highest version, but for those whose release phase runs or failed.
pub(crate) async fn current(db: &mut AnyConnection, app: Uuid) -> Result<Release, Error> {
    currents(db, &[app]).await?.remove(&app).unwrap_or(Err(Error::NotFound("release")))
}

/// Something of each of many apps, or why that one cannot be read.
type ByApp<T> = HashMap<Uuid, Result<T, Error>>;

/// The current releases of many apps.
async fn currents(db: &mut AnyConnection, apps: &[Uuid]) -> Result<ByApp<Release>, Error> {
    let mut found = HashMap::new();
    for apps in apps.chunks(db::BATCH) {
        // A look-up in the index on app and version for each app, however many releases it has.
        let sql = format!(
            "SELECT {COLUMNS} FROM ledger WHERE app_id IN {} AND version = \
             (SELECT newest.version FROM ledger AS newest WHERE newest.app_id = ledger.app_id \
             AND newest.version IS NOT NULL AND NOT EXISTS (SELECT 1 FROM release_phases AS phase \
             WHERE phase.app_id = newest.app_id AND phase.version = newest.version \
             AND phase.status <> 'succeeded') ORDER BY newest.version DESC LIMIT 1)",
            db::places(1, apps.len())
        );
        let rows: Vec<Entry> = db::fetch_all(db, sql, apps.iter().map(Uuid::to_string)).await?;
        for entry in rows {
            found.insert(db::id(&entry.app_id)?, entry.try_into());
        }
    }
    Ok(found)
}

/// The release with this version (`3`, `v3`) or id, or the `current` one.
pub(crate) async fn find(db: &mut AnyConnection, app: Uuid, which: &str) -> Result<Release, Error> {
    if which == "current" {
        return current(db, app).await;
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger \
         WHERE app_id = $1 AND version IS NOT NULL AND (id = $2 OR version = $3)"
    );
    // Versions start at 1, so 0 matches none.
    let version: u32 = which.strip_prefix('v').unwrap_or(which).parse().unwrap_or(0);
    let entry: Option<Entry> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(app.to_string())
        .bind(which.to_owned())
        .bind(i64::from(version))
        .fetch_optional(db)
        .await?;
    entry.ok_or(Error::NotFound("release"))?.try_into()
}

/// What lists of releases can be ordered by.
pub(crate) const KEYS: &[Key] = &[Key::number("version", "version"), Key::text("id", "id")];

/// One page of the app's releases.
pub(crate) async fn list(
    db: &mut AnyConnection,
    app: Uuid,
    page: &Page,
) -> Result<Listed<Release>, Error> {
    let base = format!("SELECT {COLUMNS} FROM ledger WHERE app_id = $1 AND version IS NOT NULL");
    let listed: Listed<Entry> = page::select(db, base, app.to_string(), KEYS, page).await?;
    listed.try_map(Release::try_from)
}

/// The slug of a release to be.
pub(crate) enum Slug {
    /// One that an earlier release has or that was uploaded.
    Stored(SlugRef),
    /// One that a build just made; its row is written with the release.
    New(Box<SlugRow>),
}

/// A release to be.
pub(crate) struct Draft {
    pub(crate) slug: Option<Slug>,
    pub(crate) settings: Settings,
    /// Heroku's words: `Deploy 1a2b3c4d`.
    pub(crate) description: String,
    pub(crate) rollback_of: Option<u64>,
    /// What the app's log says before `Release vN created`.
    pub(crate) said: String,
    /// The build that this release completes.
    pub(crate) build: Option<builds::Done>,
    /// Where the output of its release phase goes, beside its own: that of a build.
    pub(crate) echo: Option<builds::Output>,
}

/// A release that was recorded.
pub(crate) struct Made {
    pub(crate) release: Release,
    /// What a release phase comes to, once it has ended; without one the release is live.
    pub(crate) phase: Option<watch::Receiver<Option<bool>>>,
}

impl Inner {
    /// Makes a release: the node prepares it, then it is committed, then the node switches to it. When this
    /// returns, requests that arrive see it, unless it has a release phase: that has begun then, and the release goes
    /// live when it succeeds. On an error before the commit nothing has changed.
    pub(crate) async fn release(
        self: &Ctx,
        lock: &AppLock,
        user: &User,
        mut draft: Draft,
    ) -> Result<Made, Error> {
        self.check_no_phase(lock.app)?;
        let id = db::new_id();
        let mut db = self.db.read().await?;
        let app = apps::by_id(&mut db, lock.app).await?;
        let last = db::unsigned(ledger::last_version(&mut db, app.id).await?);
        let row = match draft.slug {
            None => None,
            Some(Slug::New(row)) => Some((true, *row)),
            Some(Slug::Stored(slug)) => {
                Some((false, slugs::find(&mut db, app.id, &slug.id.to_string()).await?))
            }
        };
        let prepare = match &row {
            None => None,
            Some((_, slug)) => {
                let mut spec = feed::bare_spec(&mut db, &app).await?;
                spec.formation = formation::effective(&mut db, app.id, slug).await?;
                spec.release = Some(ReleaseSpec {
                    id,
                    version: last + 1,
                    slug: slug.digest,
                    config: draft.settings.config.clone(),
                    egress: draft.settings.egress.clone(),
                });
                Some(Arc::new(spec))
            }
        };
        // No connection is held while the node fetches and compiles, nor while this waits for its turn to
        // write: enough of those would leave none for the writer.
        drop(db);
        if let Some(spec) = &prepare {
            let started = Instant::now();
            self.node.prepare(spec.clone()).await.map_err(Error::Refused)?;
            if let Some(build) = &mut draft.build {
                build.steps.push(("prepare".into(), started.elapsed()));
            }
        }
        let command =
            row.as_ref().and_then(|(_, slug)| slug.process_types.get(PROCESS_TYPE).cloned());
        let mut write = self.db.write().await?;
        let slug = match row {
            Some((true, slug)) => {
                slugs::insert(&mut write, &slug).await?;
                Some(slug.reference())
            }
            Some((false, slug)) => Some(slug.reference()),
            None => None,
        };
        let Settings { config, egress } = draft.settings;
        let config = sets::put(&mut write, Kind::Config, app.id, &config).await?;
        let egress = match egress.is_empty() {
            true => None,
            false => Some(sets::put(&mut write, Kind::Egress, app.id, &egress).await?),
        };
        let event = Event::Release(ReleaseEvent {
            config,
            egress,
            description: draft.description,
            rollback_of: draft.rollback_of,
            slug,
            phase: command.is_some(),
        });
        let release: Release =
            ledger::append(&mut write, app.id, user, id, &event).await?.try_into()?;
        if let Some(done) = draft.build {
            let before = builds::find(&mut write, app.id, &done.id.to_string()).await?;
            builds::succeeded(&mut write, &done, &release).await?;
            let build = builds::find(&mut write, app.id, &before.id).await?;
            self.tell_build(&mut write, Some(&before), &build).await?;
        }
        let created = format!("Release v{} created by user {}", release.version, user.email);
        if let (Some(command), Some(spec)) = (command, prepare) {
            phases::begin(&mut write, &release).await?;
            self.tell_release(&mut write, &app, user, Action::Create, &release).await?;
            write.commit().await?;
            self.say(app.id, draft.said);
            self.say(app.id, created);
            let (user, echo) = (user.clone(), draft.echo);
            let begun = Begun { release: release.clone(), spec, command, user, echo };
            return Ok(Made { release, phase: Some(self.start_phase(begun)?) });
        }
        self.tell_release(&mut write, &app, user, Action::Create, &release).await?;
        let spec = feed::spec(&mut write, &app).await?;
        feed::bump(&mut write).await?;
        write.commit().await?;
        self.say(app.id, draft.said);
        self.say(app.id, created);
        self.publish(spec).await?;
        Ok(Made { release, phase: None })
    }

    /// Releases a slug that was uploaded or that an earlier build made, with the settings of today.
    pub(crate) async fn release_slug(
        self: &Ctx,
        lock: &AppLock,
        user: &User,
        slug: &str,
        description: Option<String>,
    ) -> Result<Release, Error> {
        let mut db = self.db.read().await?;
        let slug = slugs::find(&mut db, lock.app, slug).await.map_err(|error| match error {
            Error::NotFound(_) => Error::Invalid("Couldn't find that slug of this app.".into()),
            error => error,
        })?;
        let settings = current_settings(&mut db, lock.app).await?;
        drop(db);
        let draft = Draft {
            description: description.unwrap_or_else(|| deploy_description(&slug)),
            slug: Some(Slug::Stored(slug.reference())),
            settings,
            rollback_of: None,
            said: format!("Deployed by user {}", user.email),
            build: None,
            echo: None,
        };
        Ok(self.release(lock, user, draft).await?.release)
    }

    /// Brings back the slug, the config vars and the egress rules of an earlier release, together, as a new release.
    pub(crate) async fn rollback(
        self: &Ctx,
        lock: &AppLock,
        user: &User,
        to: &str,
        description: Option<String>,
    ) -> Result<Release, Error> {
        let mut db = self.db.read().await?;
        let target = find(&mut db, lock.app, to).await?;
        let version = target.version;
        let slug = target.event.slug.clone().ok_or_else(|| {
            Error::Invalid(format!("Cannot roll back to v{version}: nothing was deployed yet."))
        })?;
        let phase = phases::of_one(&mut db, &target).await?;
        if phase.is_some_and(|phase| phase.status != phases::Status::Succeeded) {
            let reason = format!("Cannot roll back to v{version}: it was never live.");
            return Err(Error::Invalid(reason));
        }
        let settings = settings(&mut db, &target).await?;
        drop(db);
        let draft = Draft {
            slug: Some(Slug::Stored(slug)),
            settings,
            description: description.unwrap_or_else(|| format!("Rollback to v{version}")),
            rollback_of: Some(version),
            said: format!("Rollback to v{version} by user {}", user.email),
            build: None,
            echo: None,
        };
        Ok(self.release(lock, user, draft).await?.release)
    }
}

/// `Deploy 1a2b3c4d`: the commit where one is known, the slug otherwise.
pub(crate) fn deploy_description(slug: &SlugRow) -> String {
    let name = slug.commit.clone().unwrap_or_else(|| slug.digest.short());
    format!("Deploy {}", name.chars().take(8).collect::<String>())
}

/// The current release and its slug, for what is shown of an app.
pub(crate) async fn current_with_slug(
    db: &mut AnyConnection,
    app: &App,
) -> Result<(Release, Option<SlugRow>), Error> {
    let mut found = currents_with_slugs(db, &[app.id]).await?;
    found.remove(&app.id).unwrap_or(Err(Error::NotFound("release")))
}

/// The same for many apps. One whose rows are damaged has an error instead.
pub(crate) async fn currents_with_slugs(
    db: &mut AnyConnection,
    apps: &[Uuid],
) -> Result<ByApp<(Release, Option<SlugRow>)>, Error> {
    let releases = currents(db, apps).await?;
    let named =
        |release: &Result<Release, Error>| Some(release.as_ref().ok()?.event.slug.as_ref()?.id);
    let slugs: Vec<Uuid> = releases.values().filter_map(named).collect();
    let mut slugs = slugs::by_ids(db, &slugs).await?;
    let mut with_slug = |app: Uuid, release: Release| {
        let slug = match &release.event.slug {
            None => None,
            // Every app has slugs of its own, so nobody else takes this one.
            Some(slug) => match slugs.remove(&slug.id) {
                Some(Ok(slug)) if slug.app == app => Some(slug),
                Some(Err(error)) => return Err(error),
                _ => return Err(Error::NotFound("slug")),
            },
        };
        Ok((release, slug))
    };
    Ok(releases
        .into_iter()
        .map(|(app, release)| (app, release.and_then(|release| with_slug(app, release))))
        .collect())
}
