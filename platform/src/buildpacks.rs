//! The buildpacks that an app was told to use. They count from its next build on.

use sqlx::AnyConnection;
use uuid::Uuid;

use crate::{Error, Inner, apps, auth::User, error::app_is_gone, locks::AppLock};

/// The app's buildpacks in their order.
pub(crate) async fn list(db: &mut AnyConnection, app: Uuid) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT buildpack FROM app_buildpacks WHERE app_id = $1 ORDER BY ordinal")
            .bind(app.to_string())
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|(buildpack,)| buildpack).collect())
}

impl Inner {
    /// The buildpacks as they are kept, if there are such and not too many.
    pub(crate) fn known_buildpacks(&self, wanted: &[String]) -> Result<Vec<String>, Error> {
        let limit = self.limits.buildpacks_per_app;
        if wanted.len() as u64 > limit {
            return Err(Error::Invalid(format!("An app can have at most {limit} buildpacks.")));
        }
        let limit = self.limits.path_bytes;
        let known = |text: &String| {
            if text.len() as u64 > limit {
                let text = format!("A buildpack's address has at most {limit} bytes.");
                return Err(Error::Invalid(text));
            }
            self.builder.buildpack(text)
        };
        wanted.iter().map(known).collect()
    }

    /// Replaces the app's buildpacks.
    pub(crate) async fn set_buildpacks(
        &self,
        lock: &AppLock,
        user: &User,
        wanted: &[String],
    ) -> Result<Vec<String>, Error> {
        let wanted = self.known_buildpacks(wanted)?;
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
        let shown: Vec<String> = wanted.iter().map(|text| wpaas_builder::shown(text)).collect();
        let shown = if wanted.is_empty() { "detected".to_owned() } else { shown.join(", ") };
        self.say(
            app.id,
            format!("Buildpack is {shown} from the next build on, by user {}", user.email),
        );
        Ok(wanted)
    }
}
