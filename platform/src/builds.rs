//! Builds: rows, the queue, and the way from an uploaded source to a release.
//!
//! Builds of one app run one after the other in the order of their requests; over all apps only so many run at
//! once. A build changes nothing until its release is committed, in one transaction with its own success.

use serde_json::json;
use sqlx::AnyConnection;
use tempfile::{NamedTempFile, TempDir};
use uuid::Uuid;

use crate::{
    Ctx, Error, Inner,
    apps::App,
    auth::{self, User},
    db::{self, Write},
    error::{app_is_gone, io},
    page::{self, Key, Listed, Page},
    releases::Release,
    slugs::SlugRow,
    sources,
};

mod output;
mod queue;
mod run;

pub(crate) use output::{LineWriter, Output, append, stream};
pub(crate) use queue::Queue;

/// A row of `builds`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Build {
    pub(crate) id: String,
    pub(crate) app_id: String,
    pub(crate) user_id: String,
    pub(crate) user_email: String,
    /// `pending`, `succeeded` or `failed`.
    pub(crate) status: String,
    pub(crate) stream_token: String,
    pub(crate) source_url: String,
    pub(crate) source_version: Option<String>,
    pub(crate) source_version_description: Option<String>,
    pub(crate) source_checksum: Option<String>,
    /// JSON: `["heroku/nodejs", …]`.
    pub(crate) buildpacks: Option<String>,
    pub(crate) stack: Option<String>,
    pub(crate) release_id: Option<String>,
    pub(crate) slug_id: Option<String>,
    pub(crate) slug_digest: Option<String>,
    /// JSON: `[{"name": …, "ms": …}]`.
    pub(crate) steps: String,
    pub(crate) uploaded_blobs: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

const COLUMNS: &str = "id, app_id, user_id, user_email, status, stream_token, source_url, source_version, \
     source_version_description, source_checksum, buildpacks, stack, release_id, slug_id, slug_digest, \
     steps, uploaded_blobs, created_at, updated_at";

/// What a request for a build says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    pub(crate) version: Option<String>,
    pub(crate) version_description: Option<String>,
    pub(crate) checksum: Option<String>,
    /// In order; the app's own without any.
    pub(crate) buildpacks: Vec<String>,
}

/// What a build that came to a release has to record.
pub(crate) struct Done {
    pub(crate) id: Uuid,
    pub(crate) slug: SlugRow,
    pub(crate) steps: Vec<(String, std::time::Duration)>,
    pub(crate) uploaded_blobs: u64,
}

/// What lists of builds can be ordered by; ids are in the order of creation.
pub(crate) const KEYS: &[Key] = &[Key::text("id", "id")];

/// One page of the app's builds.
pub(crate) async fn list(
    db: &mut AnyConnection,
    app: Uuid,
    page: &Page,
) -> Result<Listed<Build>, Error> {
    let base = format!("SELECT {COLUMNS} FROM builds WHERE app_id = $1");
    page::select(db, base, app.to_string(), KEYS, page).await
}

/// The app's build with this id.
pub(crate) async fn find(db: &mut AnyConnection, app: Uuid, id: &str) -> Result<Build, Error> {
    let sql = format!("SELECT {COLUMNS} FROM builds WHERE app_id = $1 AND id = $2");
    let build: Option<Build> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(app.to_string())
        .bind(id.to_owned())
        .fetch_optional(db)
        .await?;
    build.ok_or(Error::NotFound("build"))
}

/// The build whose output this token opens.
pub(crate) async fn by_stream_token(db: &mut AnyConnection, token: &str) -> Result<Build, Error> {
    let sql = format!("SELECT {COLUMNS} FROM builds WHERE stream_token = $1");
    let build: Option<Build> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(token.to_owned()).fetch_optional(db).await?;
    build.ok_or(Error::NotFound("build"))
}

/// Records a build's success, inside its release's transaction.
pub(crate) async fn succeeded(
    db: &mut AnyConnection,
    done: &Done,
    release: &Release,
) -> Result<(), Error> {
    let steps: Vec<_> = done
        .steps
        .iter()
        .map(|(name, took)| json!({"name": name, "ms": took.as_secs_f64() * 1000.0}))
        .collect();
    sqlx::query(
        "UPDATE builds SET status = 'succeeded', release_id = $1, slug_id = $2, slug_digest = $3, \
         stack = $4, steps = $5, uploaded_blobs = $6, updated_at = $7 WHERE id = $8",
    )
    .bind(release.id.to_string())
    .bind(done.slug.id.to_string())
    .bind(done.slug.digest.to_string())
    .bind(done.slug.stack.clone())
    .bind(serde_json::Value::from(steps).to_string())
    .bind(db::big(done.uploaded_blobs))
    .bind(db::now())
    .bind(done.id.to_string())
    .execute(db)
    .await?;
    Ok(())
}

impl Inner {
    /// Records that a build has failed, if it is there and goes on.
    async fn failed(&self, write: &mut Write<'_>, id: &str) -> Result<(), Error> {
        let sql = format!("SELECT {COLUMNS} FROM builds WHERE id = $1 AND status = 'pending'");
        let before: Vec<Build> = db::fetch_all(write, sql, [id.to_owned()]).await?;
        let Some(before) = before.into_iter().next() else { return Ok(()) };
        let (status, updated_at) = ("failed".to_owned(), db::now());
        let build = Build { status, updated_at, ..before.clone() };
        sqlx::query("UPDATE builds SET status = $1, updated_at = $2 WHERE id = $3")
            .bind(build.status.clone())
            .bind(build.updated_at.clone())
            .bind(build.id.clone())
            .execute(&mut **write)
            .await?;
        self.tell_build(write, Some(&before), &build).await
    }

    /// Takes a build into the queue and returns its row; it runs on its own from here.
    pub(crate) async fn create_build(
        self: &Ctx,
        app: &App,
        user: &User,
        wanted: Wanted,
    ) -> Result<Build, Error> {
        let token = sources::token_of(&wanted.url).ok_or_else(|| {
            Error::Invalid("source_blob.url must be a get_url that POST /sources returned.".into())
        })?;
        let mut db = self.db.read().await?;
        let unknown =
            || Error::Invalid("source_blob.url has expired; POST /sources gives a new one.".into());
        let source = sources::find(&mut db, token).await.map_err(|error| match error {
            Error::NotFound(_) => unknown(),
            error => error,
        })?;
        drop(db);
        if source.user != user.id {
            return Err(unknown());
        }
        if source.size.is_none() {
            return Err(Error::Invalid(
                "Nothing was uploaded yet: PUT the archive to the source's put_url first.".into(),
            ));
        }
        let scratch = self.data.scratch_dir()?;
        // A link: the source may expire, or be uploaded anew, while the build waits.
        tokio::fs::hard_link(self.data.source(source.id), scratch.path().join(run::ARCHIVE))
            .await
            .map_err(|_| unknown())?;
        self.enqueue_build(app, user, wanted, scratch).await
    }

    /// The same for an archive that this process has made.
    pub(crate) async fn create_build_of(
        self: &Ctx,
        app: &App,
        user: &User,
        wanted: Wanted,
        archive: NamedTempFile,
    ) -> Result<Build, Error> {
        let scratch = self.data.scratch_dir()?;
        let persisted = archive.persist(scratch.path().join(run::ARCHIVE));
        persisted.map_err(|error| io("source archive")(error.error))?;
        self.enqueue_build(app, user, wanted, scratch).await
    }

    /// `scratch` holds the source.
    async fn enqueue_build(
        self: &Ctx,
        app: &App,
        user: &User,
        wanted: Wanted,
        scratch: TempDir,
    ) -> Result<Build, Error> {
        let place = self.builds.enter(app.id, self.limits.queued_builds_per_app)?;
        let id = db::new_id();
        let now = db::now();
        let told = (!wanted.buildpacks.is_empty()).then(|| json!(wanted.buildpacks).to_string());
        let mut write = self.db.write().await?;
        sqlx::query(
            "INSERT INTO builds (id, app_id, user_id, user_email, status, stream_token, source_url, \
             source_version, source_version_description, source_checksum, buildpacks, steps, \
             uploaded_blobs, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8, $9, $10, '[]', 0, $11, $11)",
        )
        .bind(id.to_string())
        .bind(app.id.to_string())
        .bind(user.id.to_string())
        .bind(user.email.clone())
        .bind(auth::secret()?)
        .bind(wanted.url.clone())
        .bind(wanted.version.clone())
        .bind(wanted.version_description.clone())
        .bind(wanted.checksum.clone())
        .bind(told)
        .bind(now)
        .execute(&mut *write)
        .await
        .map_err(app_is_gone)?;
        let build = find(&mut write, app.id, &id.to_string()).await?;
        let output = Output::create(&self.data.build_log(id), self.limits.build_output_bytes)?;
        let old = self.drop_old_builds(&mut write, app.id).await?;
        self.tell_build(&mut write, None, &build).await?;
        write.commit().await?;
        self.data.forget_builds(old).await;
        self.say(app.id, format!("Build started by user {}", user.email));
        self.start_build(run::Run {
            id,
            app: app.id,
            user: user.clone(),
            wanted,
            scratch,
            place,
            output,
        });
        Ok(build)
    }

    /// Removes the rows of the oldest finished builds beyond the limit and returns their ids.
    async fn drop_old_builds(
        &self,
        db: &mut AnyConnection,
        app: Uuid,
    ) -> Result<Vec<String>, Error> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM builds WHERE app_id = $1 AND status <> 'pending' \
             ORDER BY id DESC LIMIT 1000 OFFSET $2",
        )
        .bind(app.to_string())
        .bind(db::big(self.limits.builds_per_app))
        .fetch_all(&mut *db)
        .await?;
        for (id,) in &rows {
            sqlx::query("DELETE FROM builds WHERE id = $1")
                .bind(id.clone())
                .execute(&mut *db)
                .await?;
        }
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Fails the builds that an earlier process left behind. Nothing of theirs was released.
    pub(crate) async fn fail_interrupted_builds(&self) -> Result<(), Error> {
        let mut write = self.db.write().await?;
        let pending: Vec<(String,)> =
            sqlx::query_as("SELECT id FROM builds WHERE status = 'pending' ORDER BY id")
                .fetch_all(&mut *write)
                .await?;
        for (id,) in &pending {
            output::append(&self.data.build_log(db::id(id)?), run::INTERRUPTED)?;
            self.failed(&mut write, id).await?;
        }
        write.commit().await
    }
}
