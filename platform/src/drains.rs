//! Log drains: where an app's log goes besides its history. Each has a bounded buffer that logplex fills, and a task
//! that empties it into the receiver.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use sqlx::AnyConnection;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use wpaas_slug::Limits;

use crate::{
    Error, Inner,
    auth::User,
    db,
    error::is_taken,
    ledger::{self, Event},
    locks::AppLock,
};

mod address;
mod buffer;
mod delivery;
mod frame;

use address::Address;
pub(crate) use buffer::Buffer;
use delivery::Delivery;

/// A row of `log_drains`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Drain {
    pub(crate) id: String,
    pub(crate) app_id: String,
    pub(crate) token: String,
    pub(crate) url: String,
    pub(crate) created_at: String,
}

const SELECT: &str = "SELECT id, app_id, token, url, created_at FROM log_drains";

/// The drains that run.
pub(crate) struct Drains {
    running: Mutex<HashMap<Uuid, Running>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Running {
    app: Uuid,
    removed: CancellationToken,
}

impl Drains {
    pub(crate) fn new() -> Self {
        let (running, tasks) = (Mutex::default(), TaskTracker::new());
        Self { running, tasks, stop: CancellationToken::new() }
    }

    /// Ends the drains of an app.
    pub(crate) fn forget(&self, app: Uuid) {
        self.running.lock().retain(|_, drain| {
            if drain.app == app {
                drain.removed.cancel();
            }
            drain.app != app
        });
    }

    /// Sends what is in the buffers as far as that works, and ends all drains.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The app's drains, oldest first.
pub(crate) async fn list(db: &mut AnyConnection, app: Uuid) -> Result<Vec<Drain>, Error> {
    let sql = format!("{SELECT} WHERE app_id = $1 ORDER BY id");
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(app.to_string());
    Ok(query.fetch_all(db).await?)
}

/// The drain with this id, URL or token.
pub(crate) fn pick(drains: Vec<Drain>, which: &str) -> Result<Drain, Error> {
    let found = drains
        .into_iter()
        .find(|drain| [&drain.id, &drain.url, &drain.token].contains(&&which.to_owned()));
    found.ok_or(Error::NotFound("log drain"))
}

impl Inner {
    /// Starts the drains of all apps.
    pub(crate) async fn start_drains(&self) -> Result<(), Error> {
        let mut db = self.db.read().await?;
        let drains: Vec<Drain> = sqlx::query_as(SELECT).fetch_all(&mut *db).await?;
        for drain in drains {
            // One damaged row must not keep the platform from starting.
            if let Err(error) = self.start_drain(&drain) {
                tracing::error!(drain = drain.token, %error, "the log drain does not run");
            }
        }
        Ok(())
    }

    fn start_drain(&self, drain: &Drain) -> Result<(), Error> {
        let (id, app) = (db::id(&drain.id)?, db::id(&drain.app_id)?);
        let (buffer, removed) = (Arc::new(Buffer::new(&self.limits)), CancellationToken::new());
        let delivery = Delivery {
            app,
            token: drain.token.clone(),
            address: Address::parse(&drain.url)?,
            buffer: Arc::clone(&buffer),
            node: Arc::clone(&self.node),
            logplex: self.logplex.clone(),
            limits: self.limits.clone(),
            stop: self.drains.stop.clone(),
        };
        self.drains.running.lock().insert(id, Running { app, removed: removed.clone() });
        self.logplex.attach(app, id, buffer);
        self.drains.tasks.spawn(delivery.run(removed));
        Ok(())
    }

    /// Adds a drain to an app.
    pub(crate) async fn add_drain(
        &self,
        lock: &AppLock,
        user: &User,
        url: &str,
    ) -> Result<Drain, Error> {
        let longest = self.limits.drain_url_bytes;
        if url.len() > Limits::size(longest) {
            return Err(Error::Invalid(format!(
                "Url is longer than the limit of {longest} bytes."
            )));
        }
        let address = Address::parse(url)?;
        // What a name leads to is checked at each connection.
        self.node.check_egress(&[address.to.rule()]).await.map_err(Error::Refused)?;
        let mut write = self.db.write().await?;
        let most = self.limits.drains_per_app;
        if list(&mut write, lock.app).await?.len() as u64 >= most {
            return Err(Error::Invalid(format!(
                "You have reached the limit of {most} drains per app."
            )));
        }
        let (all,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM log_drains").fetch_one(&mut *write).await?;
        if db::unsigned(all) >= self.limits.drains {
            let most = self.limits.drains;
            return Err(Error::Invalid(format!("This platform holds at most {most} log drains.")));
        }
        let drain = Drain {
            id: db::new_id().to_string(),
            app_id: lock.app.to_string(),
            token: format!("d.{}", Uuid::new_v4()),
            url: url.to_owned(),
            created_at: db::now(),
        };
        sqlx::query(
            "INSERT INTO log_drains (id, app_id, token, url, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(drain.id.clone())
        .bind(drain.app_id.clone())
        .bind(drain.token.clone())
        .bind(drain.url.clone())
        .bind(drain.created_at.clone())
        .execute(&mut *write)
        .await
        .map_err(|error| match is_taken(&error) {
            true => Error::Invalid("Url has already been taken.".into()),
            false => crate::error::app_is_gone(error),
        })?;
        let (token, to) = (drain.token.clone(), address.shown());
        let said = format!("Log drain {token} to {to} added by user {}", user.email);
        let event = Event::DrainAdded { token, to };
        ledger::append(&mut write, lock.app, user, db::new_id(), &event).await?;
        write.commit().await?;
        self.start_drain(&drain)?;
        self.say(lock.app, said);
        Ok(drain)
    }

    /// Removes the drain with this id, URL or token.
    pub(crate) async fn remove_drain(
        &self,
        lock: &AppLock,
        user: &User,
        which: &str,
    ) -> Result<Drain, Error> {
        let mut write = self.db.write().await?;
        let drain = pick(list(&mut write, lock.app).await?, which)?;
        sqlx::query("DELETE FROM log_drains WHERE id = $1")
            .bind(drain.id.clone())
            .execute(&mut *write)
            .await?;
        let event = Event::DrainRemoved { token: drain.token.clone() };
        ledger::append(&mut write, lock.app, user, db::new_id(), &event).await?;
        write.commit().await?;
        let id = db::id(&drain.id)?;
        if let Some(running) = self.drains.running.lock().remove(&id) {
            running.removed.cancel();
        }
        self.logplex.detach(lock.app, id);
        self.say(lock.app, format!("Log drain {} removed by user {}", drain.token, user.email));
        Ok(drain)
    }
}
