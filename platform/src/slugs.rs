//! Slugs as the API knows them: an id for a manifest in the store, with what lists need of it.

use std::collections::{BTreeMap, HashMap};

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::{Digest, store};

use crate::{Error, Inner, apps::App, db, error::app_is_gone, ledger::SlugRef};

/// A row of `slugs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlugRow {
    pub(crate) id: Uuid,
    pub(crate) app: Uuid,
    pub(crate) digest: Digest,
    /// Command by process type.
    pub(crate) process_types: BTreeMap<String, String>,
    pub(crate) buildpack: Option<String>,
    pub(crate) stack: Option<String>,
    pub(crate) size: u64,
    pub(crate) commit: Option<String>,
    pub(crate) commit_description: Option<String>,
    pub(crate) created_at: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    app_id: String,
    digest: String,
    process_types: String,
    buildpack: Option<String>,
    stack: Option<String>,
    size: i64,
    commit_id: Option<String>,
    commit_description: Option<String>,
    created_at: String,
}

impl SlugRow {
    /// A new row for a slug that is in the store.
    pub(crate) fn new(app: Uuid, slug: &wpaas_slug::Slug) -> Self {
        let command = |process: &wpaas_slug::ProcessType| process.command.clone();
        let processes = slug.config.processes.iter();
        Self {
            id: db::new_id(),
            app,
            digest: slug.digest,
            process_types: processes
                .map(|(name, process)| (name.clone(), command(process)))
                .collect(),
            buildpack: Some(slug.config.buildpack.clone()),
            stack: slug.config.stack.clone(),
            size: slug.config.size(),
            commit: None,
            commit_description: None,
            created_at: db::now(),
        }
    }

    /// How a release names it.
    pub(crate) fn reference(&self) -> SlugRef {
        SlugRef { digest: self.digest, id: self.id }
    }
}

/// Stores a new slug's row.
pub(crate) async fn insert(db: &mut AnyConnection, slug: &SlugRow) -> Result<(), Error> {
    let process_types = serde_json::to_string(&slug.process_types)
        .map_err(|error| Error::Corrupt(format!("process types: {error}")))?;
    sqlx::query(
        "INSERT INTO slugs (id, app_id, digest, process_types, buildpack, stack, size, commit_id, \
         commit_description, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(slug.id.to_string())
    .bind(slug.app.to_string())
    .bind(slug.digest.to_string())
    .bind(process_types)
    .bind(slug.buildpack.clone())
    .bind(slug.stack.clone())
    .bind(db::big(slug.size))
    .bind(slug.commit.clone())
    .bind(slug.commit_description.clone())
    .bind(slug.created_at.clone())
    .execute(db)
    .await
    .map_err(app_is_gone)?;
    Ok(())
}

/// The app's slug with this id.
pub(crate) async fn find(db: &mut AnyConnection, app: Uuid, id: &str) -> Result<SlugRow, Error> {
    let row = rows(db, &[id.to_owned()]).await?.pop();
    // Another app's slug is as absent as one that was never made.
    let row = row.filter(|row| row.app_id == app.to_string());
    row.ok_or(Error::NotFound("slug"))?.try_into()
}

/// Many slugs by id.
pub(crate) async fn by_ids(
    db: &mut AnyConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Result<SlugRow, Error>>, Error> {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let rows = rows(db, &ids).await?;
    rows.into_iter().map(|row| Ok((db::id(&row.id)?, row.try_into()))).collect()
}

async fn rows(db: &mut AnyConnection, ids: &[String]) -> Result<Vec<Row>, Error> {
    let mut found = Vec::new();
    for ids in ids.chunks(db::BATCH) {
        let sql = format!(
            "SELECT id, app_id, digest, process_types, buildpack, stack, size, commit_id, \
             commit_description, created_at FROM slugs WHERE id IN {}",
            db::places(1, ids.len())
        );
        found.extend(db::fetch_all::<Row>(db, sql, ids.iter().cloned()).await?);
    }
    Ok(found)
}

impl TryFrom<Row> for SlugRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let broken = |error: String| Error::Corrupt(format!("slug {}: {error}", row.id));
        Ok(Self {
            id: db::id(&row.id)?,
            app: db::id(&row.app_id)?,
            digest: row.digest.parse().map_err(|_| broken("its digest is none".into()))?,
            process_types: serde_json::from_str(&row.process_types)
                .map_err(|error| broken(error.to_string()))?,
            buildpack: row.buildpack,
            stack: row.stack,
            size: db::unsigned(row.size),
            commit: row.commit_id,
            commit_description: row.commit_description,
            created_at: row.created_at,
        })
    }
}

impl Inner {
    /// Takes a slug whose blobs were uploaded: every blob must be there, and its stack is installed.
    pub(crate) async fn adopt_slug(
        &self,
        app: &App,
        digest: Digest,
        commit: Option<String>,
        commit_description: Option<String>,
    ) -> Result<SlugRow, Error> {
        let slug =
            self.store.get_slug(digest, &self.limits).await.map_err(|error| match error {
                store::Error::NotFound(_)
                | store::Error::Manifest(_)
                | store::Error::TooLarge { .. } => {
                    Error::Invalid(format!("Cannot take slug {digest}: {error}."))
                }
                error => error.into(),
            })?;
        let blobs = slug.config.blobs().into_keys().collect();
        let missing = self.store.missing(blobs).await?;
        if let Some(first) = missing.first() {
            return Err(Error::Invalid(format!(
                "Cannot take slug {digest}: {} of its blobs are missing, {first} first. \
                 Upload them with PUT /blobs/DIGEST.",
                missing.len()
            )));
        }
        if let Some(stack) = &slug.config.stack {
            self.ensure_stack(stack).await?;
        }
        let row = SlugRow { commit, commit_description, ..SlugRow::new(app.id, &slug) };
        let mut write = self.db.write().await?;
        insert(&mut write, &row).await?;
        write.commit().await?;
        Ok(row)
    }
}
