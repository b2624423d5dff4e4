//! The feed to the node: what it is told of an app, always derived from the database, never kept beside it.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::{
    Digest,
    feed::{AppSpec, Change, ReleaseSpec, Snapshot},
};

use crate::{
    Error, Inner,
    apps::{self, App},
    db, domains, formation,
    releases::{self, Release},
    sets::{self, Kind},
    slugs::SlugRow,
    stacks,
};

/// What a node must know of an app, without its release and formation.
pub(crate) async fn bare_spec(db: &mut AnyConnection, app: &App) -> Result<AppSpec, Error> {
    let domains = domains::hostnames(db, &[app.id]).await?.remove(&app.id);
    Ok(bare(app, domains.unwrap_or_default()))
}

fn bare(app: &App, domains: Vec<String>) -> AppSpec {
    AppSpec {
        id: app.id,
        owner: app.owner_id,
        name: app.name.clone(),
        domains,
        maintenance: app.maintenance,
        release: None,
        formation: BTreeMap::new(),
    }
}

/// What a node must know of an app. An app has no release for a node until it has a slug.
pub(crate) async fn spec(db: &mut AnyConnection, app: &App) -> Result<AppSpec, Error> {
    match specs(db, std::slice::from_ref(app)).await?.pop() {
        Some((spec, None)) => Ok(spec),
        Some((_, Some(error))) => Err(error),
        None => Err(Error::NotFound("app")),
    }
}

/// The same for many apps, in their order. With an error when the app's release cannot be read; the spec is
/// then without it.
async fn specs(
    db: &mut AnyConnection,
    apps: &[App],
) -> Result<Vec<(AppSpec, Option<Error>)>, Error> {
    let ids: Vec<Uuid> = apps.iter().map(|app| app.id).collect();
    let mut domains = domains::hostnames(db, &ids).await?;
    let mut currents = releases::currents_with_slugs(db, &ids).await?;
    let mut scaled = formation::scaled_of(db, &ids).await?;
    let config = |(release, slug): &(Release, Option<SlugRow>)| {
        slug.as_ref().map(|_| (release.app, release.event.config))
    };
    let rules = |current: &Result<(Release, Option<SlugRow>), Error>| {
        let (release, slug) = current.as_ref().ok()?;
        slug.as_ref().and(release.event.egress).map(|digest| (release.app, digest))
    };
    let wanted: Vec<(Uuid, Digest)> =
        currents.values().filter_map(|current| config(current.as_ref().ok()?)).collect();
    let mut configs = sets::stored(db, Kind::Config, &wanted).await?;
    let wanted: Vec<(Uuid, Digest)> = currents.values().filter_map(rules).collect();
    let mut rules = sets::stored(db, Kind::Egress, &wanted).await?;
    let mut whole = |app: &App| {
        let mut spec = bare(app, domains.remove(&app.id).unwrap_or_default());
        let current = currents.remove(&app.id).unwrap_or(Err(Error::NotFound("release")));
        let released = current.and_then(|(release, slug)| {
            let (Some(named), Some(slug)) = (&release.event.slug, slug) else { return Ok(None) };
            let config =
                sets::verified(Kind::Config, release.event.config, configs.remove(&app.id))?;
            let egress = match release.event.egress {
                Some(digest) => sets::verified(Kind::Egress, digest, rules.remove(&app.id))?,
                None => Vec::new(),
            };
            let formation =
                formation::effective_with(&scaled.remove(&app.id).unwrap_or_default(), &slug);
            let (id, version) = (release.id, release.version);
            let release = ReleaseSpec { id, version, slug: named.digest, config, egress };
            Ok(Some((release, formation)))
        });
        match released {
            Ok(Some((release, formation))) => {
                spec.release = Some(release);
                spec.formation = formation;
                (spec, None)
            }
            Ok(None) => (spec, None),
            Err(error) => (spec, Some(error)),
        }
    };
    Ok(apps.iter().map(&mut whole).collect())
}

/// Counts a change. Part of the change's own transaction.
pub(crate) async fn bump(db: &mut AnyConnection) -> Result<(), Error> {
    sqlx::query("UPDATE feed SET revision = revision + 1 WHERE id = 1").execute(db).await?;
    Ok(())
}

/// Everything, as of one moment.
pub(crate) async fn snapshot(db: &mut AnyConnection) -> Result<Snapshot, Error> {
    let (revision,): (i64,) =
        sqlx::query_as("SELECT revision FROM feed WHERE id = 1").fetch_one(&mut *db).await?;
    let stacks: BTreeMap<String, Digest> =
        stacks::list(db).await?.into_iter().map(|stack| (stack.name, stack.component)).collect();
    let mut all = Vec::new();
    // A few statements for every so many apps, and in memory never more than those beside the result.
    for apps in apps::all(db).await?.chunks(db::BATCH) {
        for (spec, error) in specs(db, apps).await? {
            // One app's damaged row must not keep all others from being served; its own release is not to
            // be trusted.
            if let Some(error) = error {
                tracing::error!(app = spec.name, %error, "the app is not served");
            }
            all.push(Arc::new(spec));
        }
    }
    Ok(Snapshot { revision: db::unsigned(revision), stacks, apps: all })
}

impl Inner {
    /// Tells the node how an app is now and waits until it is so.
    pub(crate) async fn publish(&self, spec: AppSpec) -> Result<(), Error> {
        self.apply(Change::App(Arc::new(spec))).await
    }

    /// Tells the node of a committed change.
    pub(crate) async fn apply(&self, change: Change) -> Result<(), Error> {
        self.node.apply(change).await.map_err(|error| {
            tracing::error!(%error, "the node did not take a committed change");
            Error::NotApplied(error)
        })
    }
}
