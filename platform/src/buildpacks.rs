//! The buildpacks that an app was told to use. They count from its next build on.

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_builder::BUILT_IN;

use crate::{Error, Inner, apps, auth::User, error::app_is_gone, locks::AppLock};

/// Heroku's prefix of names in the place of URLs.
const URN: &str = "urn:buildpack:";

/// The app's buildpacks in their order.
pub(crate) async fn list(db: &mut AnyConnection, app: Uuid) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT buildpack FROM app_buildpacks WHERE app_id = $1 ORDER BY ordinal")
            .bind(app.to_string())
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|(buildpack,)| buildpack).collect())
}

/// The buildpack as it is stored: the name of one that wpaas has, or the path of a user's own.
fn check(text: &str, limit: u64) -> Result<String, Error> {
    let name = text.trim().trim_start_matches(URN);
    if name.len() as u64 > limit {
        return Err(Error::Invalid(format!("A buildpack's address has at most {limit} bytes.")));
    }
    let path = name.strip_prefix("file://").unwrap_or(name);
    if BUILT_IN.contains(&name) || path.starts_with('/') {
        return Ok(name.to_owned());
    }
    Err(Error::Invalid(format!(
        "{name:?} is no buildpack of wpaas: use {}, or the absolute path of a directory or a .tgz file on the \
         server.",
        BUILT_IN.join(", ")
    )))
}

impl Inner {
    /// Replaces the app's buildpacks.
    pub(crate) async fn set_buildpacks(
        &self,
        lock: &AppLock,
        user: &User,
        wanted: &[String],
    ) -> Result<Vec<String>, Error> {
        let limit = self.limits.buildpacks_per_app;
        if wanted.len() as u64 > limit {
            return Err(Error::Invalid(format!(
                "An app can have {limit} buildpack; wpaas does not run several after one another yet."
            )));
        }
        let wanted: Vec<String> = wanted
            .iter()
            .map(|text| check(text, self.limits.path_bytes))
            .collect::<Result<_, _>>()?;
        let mut write = self.db.write().await?;
        let app = apps::by_id(&mut write, lock.app).await?;
        sqlx::query("DELETE FROM app_buildpacks WHERE app_id = $1")
            .bind(app.id.to_string())
            .execute(&mut *write)
            .await?;
        for (ordinal, buildpack) in (0_i64..).zip(&wanted) {
            sqlx::query(
                "INSERT INTO app_buildpacks (app_id, ordinal, buildpack) VALUES ($1, $2, $3)",
            )
            .bind(app.id.to_string())
            .bind(ordinal)
            .bind(buildpack.clone())
            .execute(&mut *write)
            .await
            .map_err(app_is_gone)?;
        }
        write.commit().await?;
        let shown = if wanted.is_empty() { "detected".to_owned() } else { wanted.join(", ") };
        self.say(
            app.id,
            format!("Buildpack is {shown} from the next build on, by user {}", user.email),
        );
        Ok(wanted)
    }
}
