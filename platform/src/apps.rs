//! Apps: their rows, and making, renaming and deleting them.

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::feed::Change;

use crate::{
    Ctx, Error, Inner,
    auth::User,
    db,
    error::is_taken,
    feed,
    ledger::{self, Event},
    locks::AppLock,
    names, releases,
};

/// A row of `apps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) owner_id: Uuid,
    pub(crate) owner_email: String,
    pub(crate) maintenance: bool,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// The columns of [`App`] with its owner's name.
pub(crate) const SELECT: &str = "SELECT apps.id, apps.name, apps.owner_id, users.email AS owner_email, \
     apps.maintenance, apps.created_at, apps.updated_at \
     FROM apps JOIN users ON users.id = apps.owner_id";

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    id: String,
    name: String,
    owner_id: String,
    owner_email: String,
    maintenance: i64,
    created_at: String,
    updated_at: String,
}

impl TryFrom<Row> for App {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: db::id(&row.id)?,
            name: row.name,
            owner_id: db::id(&row.owner_id)?,
            owner_email: row.owner_email,
            maintenance: row.maintenance != 0,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The app with this id or name, if it is the user's. Somebody else's app is as absent as one that was never
/// made.
pub(crate) async fn find(db: &mut AnyConnection, owner: Uuid, app: &str) -> Result<App, Error> {
    let sql = format!("{SELECT} WHERE apps.owner_id = $1 AND (apps.id = $2 OR apps.name = $2)");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(owner.to_string())
        .bind(app.to_owned())
        .fetch_optional(db)
        .await?;
    row.ok_or(Error::NotFound("app"))?.try_into()
}

/// The app with this id.
pub(crate) async fn by_id(db: &mut AnyConnection, id: Uuid) -> Result<App, Error> {
    let sql = format!("{SELECT} WHERE apps.id = $1");
    let row: Option<Row> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(db).await?;
    row.ok_or(Error::NotFound("app"))?.try_into()
}

/// Every app of the platform.
pub(crate) async fn all(db: &mut AnyConnection) -> Result<Vec<App>, Error> {
    let sql = format!("{SELECT} ORDER BY apps.id");
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(db).await?;
    rows.into_iter().map(App::try_from).collect()
}

fn taken(name: &str) -> impl FnOnce(sqlx::Error) -> Error {
    let text = format!("Name {name} is already taken.");
    move |error| if is_taken(&error) { Error::Invalid(text) } else { error.into() }
}

/// Changes to an app's own row.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) name: Option<String>,
    pub(crate) maintenance: Option<bool>,
}

impl Inner {
    /// Makes an app with its first release, which has neither slug nor config vars.
    pub(crate) async fn create_app(&self, user: &User, name: Option<String>) -> Result<App, Error> {
        let name = name.unwrap_or_else(names::random_app);
        names::check_app(&name)?;
        let _names = self.locks.names().await;
        let mut write = self.db.write().await?;
        let (apps,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM apps").fetch_one(&mut *write).await?;
        if db::unsigned(apps) >= self.limits.apps {
            let limit = self.limits.apps;
            return Err(Error::Invalid(format!("This platform holds at most {limit} apps.")));
        }
        let id = db::new_id();
        sqlx::query(
            "INSERT INTO apps (id, name, owner_id, maintenance, head_seq, head_hash, created_at, updated_at) \
             VALUES ($1, $2, $3, 0, 0, $4, $5, $5)",
        )
        .bind(id.to_string())
        .bind(name.clone())
        .bind(user.id.to_string())
        .bind(ledger::GENESIS)
        .bind(db::now())
        .execute(&mut *write)
        .await
        .map_err(taken(&name))?;
        let created = Event::Created { name };
        ledger::append(&mut write, id, user, db::new_id(), &created).await?;
        let first = releases::initial(&mut write, id).await?;
        ledger::append(&mut write, id, user, db::new_id(), &first).await?;
        let app = by_id(&mut write, id).await?;
        let spec = feed::spec(&mut write, &app).await?;
        feed::bump(&mut write).await?;
        write.commit().await?;
        self.say(id, format!("Initial release by user {}", user.email));
        self.say(id, format!("Release v1 created by user {}", user.email));
        self.publish(spec).await?;
        Ok(app)
    }

    /// Renames an app and switches its maintenance mode.
    pub(crate) async fn update_app(
        &self,
        lock: &AppLock,
        user: &User,
        update: Update,
    ) -> Result<App, Error> {
        let _names = self.locks.names().await;
        let mut write = self.db.write().await?;
        let app = by_id(&mut write, lock.app).await?;
        let mut said = Vec::new();
        if let Some(name) = update.name.filter(|name| *name != app.name) {
            names::check_app(&name)?;
            sqlx::query("UPDATE apps SET name = $1 WHERE id = $2")
                .bind(name.clone())
                .bind(app.id.to_string())
                .execute(&mut *write)
                .await
                .map_err(taken(&name))?;
            said.push(format!("Renamed to {name} by user {}", user.email));
            let event = Event::Renamed { to: name };
            ledger::append(&mut write, app.id, user, db::new_id(), &event).await?;
        }
        if let Some(on) = update.maintenance.filter(|on| *on != app.maintenance) {
            sqlx::query("UPDATE apps SET maintenance = $1 WHERE id = $2")
                .bind(i64::from(on))
                .bind(app.id.to_string())
                .execute(&mut *write)
                .await?;
            let event = Event::Maintenance { on };
            ledger::append(&mut write, app.id, user, db::new_id(), &event).await?;
            let state = if on { "on" } else { "off" };
            said.push(format!("Maintenance mode {state} by user {}", user.email));
        }
        if said.is_empty() {
            return Ok(app);
        }
        let before = app;
        let app = by_id(&mut write, lock.app).await?;
        self.tell_app(&mut write, user, &before, &app).await?;
        let spec = feed::spec(&mut write, &app).await?;
        feed::bump(&mut write).await?;
        write.commit().await?;
        for line in said {
            self.say(app.id, line);
        }
        self.publish(spec).await?;
        Ok(app)
    }

    /// Deletes an app and everything that is its own. Blobs stay: other slugs may share them.
    pub(crate) async fn delete_app(self: &Ctx, lock: &AppLock) -> Result<App, Error> {
        let _names = self.locks.names().await;
        let mut write = self.db.write().await?;
        let app = by_id(&mut write, lock.app).await?;
        let builds: Vec<(String,)> = sqlx::query_as("SELECT id FROM builds WHERE app_id = $1")
            .bind(app.id.to_string())
            .fetch_all(&mut *write)
            .await?;
        let phases: Vec<(String,)> =
            sqlx::query_as("SELECT release_id FROM release_phases WHERE app_id = $1")
                .bind(app.id.to_string())
                .fetch_all(&mut *write)
                .await?;
        for statement in [
            "DELETE FROM release_phases WHERE app_id = $1",
            "DELETE FROM builds WHERE app_id = $1",
            "DELETE FROM app_buildpacks WHERE app_id = $1",
            "DELETE FROM domains WHERE app_id = $1",
            "DELETE FROM log_drains WHERE app_id = $1",
            "DELETE FROM webhook_deliveries WHERE app_id = $1",
            "DELETE FROM webhook_events WHERE app_id = $1",
            "DELETE FROM webhooks WHERE app_id = $1",
            "DELETE FROM formation WHERE app_id = $1",
            "DELETE FROM slugs WHERE app_id = $1",
            "DELETE FROM config_sets WHERE app_id = $1",
            "DELETE FROM egress_sets WHERE app_id = $1",
            "DELETE FROM ledger WHERE app_id = $1",
            "DELETE FROM apps WHERE id = $1",
        ] {
            sqlx::query(statement).bind(app.id.to_string()).execute(&mut *write).await?;
        }
        feed::bump(&mut write).await?;
        write.commit().await?;
        self.builds.cancel_app(app.id);
        self.drains.forget(app.id);
        self.logplex.forget(app.id);
        let ids = |rows: Vec<(String,)>| rows.into_iter().map(|(id,)| id).collect();
        self.data.forget_app(app.id, ids(builds), ids(phases)).await;
        self.apply(Change::AppRemoved { id: app.id }).await?;
        Ok(app)
    }
}
