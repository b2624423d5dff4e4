//! The feed to the node: what it is told of an app, always derived from the database, never kept beside it.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::AnyConnection;
use wpaas_slug::{
    Digest,
    feed::{AppSpec, Change, ReleaseSpec, Snapshot},
};

use crate::{
    Error, Inner,
    apps::{self, App},
    config, db, domains, formation, releases, stacks,
};

/// What a node must know of an app, without its release and formation.
pub(crate) async fn bare_spec(db: &mut AnyConnection, app: &App) -> Result<AppSpec, Error> {
    let domains = domains::list(db, app.id).await?;
    Ok(AppSpec {
        id: app.id,
        name: app.name.clone(),
        domains: domains.into_iter().map(|domain| domain.hostname).collect(),
        maintenance: app.maintenance,
        release: None,
        formation: BTreeMap::new(),
    })
}

/// What a node must know of an app. An app has no release for a node until it has a slug.
pub(crate) async fn spec(db: &mut AnyConnection, app: &App) -> Result<AppSpec, Error> {
    let mut spec = bare_spec(db, app).await?;
    let (release, slug) = releases::current_with_slug(db, app).await?;
    if let (Some(named), Some(slug)) = (&release.event.slug, slug) {
        spec.formation = formation::effective(db, app.id, &slug).await?;
        spec.release = Some(ReleaseSpec {
            id: release.id,
            version: release.version,
            slug: named.digest,
            config: config::get(db, app.id, release.event.config).await?,
            egress: vec![],
        });
    }
    Ok(spec)
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
    let mut specs = Vec::new();
    for app in apps::all(db).await? {
        let spec = match spec(db, &app).await {
            Ok(spec) => spec,
            // One app's damaged row must not keep all others from being served; its own release is not to
            // be trusted.
            Err(error @ (Error::Corrupt(_) | Error::NotFound(_))) => {
                tracing::error!(app = app.name, %error, "the app is not served");
                bare_spec(db, &app).await?
            }
            Err(error) => return Err(error),
        };
        specs.push(Arc::new(spec));
    }
    Ok(Snapshot { revision: db::unsigned(revision), stacks, apps: specs })
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
