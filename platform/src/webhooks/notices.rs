//! What webhooks are told, and when: recorded in the transaction of the change, so that what happened is told and what did
//! not happen is not.

use serde_json::{Map, Value, json};
use uuid::Uuid;
use wpaas_slug::Limits;

use super::list;
use crate::{
    Error, Inner,
    api::serialise,
    apps::App,
    auth::User,
    builds::Build,
    db::{self, Write},
    domains::Domain,
    formation::Process,
    phases,
    releases::{self, Release},
};

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entity {
    /// The app's name and maintenance mode.
    App,
    /// A build that began or ended.
    Build,
    /// A custom domain.
    Domain,
    /// The scale of a process type.
    Formation,
    /// A release that was made, or whose release phase ended.
    Release,
}

impl Entity {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::App, Self::Build, Self::Domain, Self::Formation, Self::Release];

    /// As webhooks include it: `api:release`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::App => "api:app",
            Self::Build => "api:build",
            Self::Domain => "api:domain",
            Self::Formation => "api:formation",
            Self::Release => "api:release",
        }
    }

    /// As payloads name it: `release`.
    fn resource(self) -> &'static str {
        self.name().trim_start_matches("api:")
    }
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is new.
    Create,
    /// It is another than before.
    Update,
    /// It is gone.
    Destroy,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Destroy => "destroy",
        }
    }
}

/// The version of the API whose objects payloads hold.
const VERSION: &str = "application/vnd.heroku+json; version=3";

/// What an event says besides whom it is about.
struct Notice {
    entity: Entity,
    action: Action,
    actor: Value,
    data: Value,
    previous: Value,
}

/// What `before` says otherwise than `after`.
fn difference(before: Value, after: &Value) -> Value {
    let Value::Object(before) = before else { return json!({}) };
    let changed = before.into_iter().filter(|(name, value)| after.get(name) != Some(value));
    Value::Object(changed.collect::<Map<_, _>>())
}

fn actor(user: &User) -> Value {
    json!({"email": user.email, "id": user.id})
}

impl Inner {
    /// The webhooks that an app has for an entity, with their levels.
    async fn listeners(
        &self,
        write: &mut Write<'_>,
        app: Uuid,
        entity: Entity,
    ) -> Result<Vec<(String, String)>, Error> {
        let webhooks = list(write, app).await?.into_iter();
        let wanted = webhooks.filter(|webhook| webhook.includes().any(|one| one == entity.name()));
        Ok(wanted.map(|webhook| (webhook.id, webhook.level)).collect())
    }

    async fn is_told(&self, write: &mut Write<'_>, app: Uuid, of: Entity) -> Result<bool, Error> {
        Ok(!self.listeners(write, app, of).await?.is_empty())
    }

    async fn record(
        &self,
        write: &mut Write<'_>,
        app: Uuid,
        mut notice: Notice,
    ) -> Result<(), Error> {
        let include = notice.entity.name();
        if notice.data.to_string().len() > Limits::size(self.limits.webhook_data_bytes) {
            notice.data = json!({"id": notice.data.get("id")});
            notice.previous = json!({});
        }
        let payload = json!({
            "action": notice.action.name(),
            "actor": notice.actor,
            "data": notice.data,
            "previous_data": notice.previous,
            "resource": notice.entity.resource(),
            "version": VERSION,
        });
        let (event, now) = (db::new_id().to_string(), db::now());
        sqlx::query(
            "INSERT INTO webhook_events (id, app_id, include, payload, created_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(event.clone())
        .bind(app.to_string())
        .bind(include)
        .bind(payload.to_string())
        .bind(now.clone())
        .execute(&mut **write)
        .await?;
        for (webhook, level) in self.listeners(write, app, notice.entity).await? {
            sqlx::query(
                "INSERT INTO webhook_deliveries (id, app_id, webhook_id, event_id, include, level, status, \
                 attempts, next_attempt_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, 'pending', 0, $7, $7, $7)",
            )
            .bind(db::new_id().to_string())
            .bind(app.to_string())
            .bind(webhook)
            .bind(event.clone())
            .bind(include)
            .bind(level)
            .bind(now.clone())
            .execute(&mut **write)
            .await?;
        }
        self.drop_old_events(write, app).await?;
        write.then_wake(&self.webhooks.arrived);
        Ok(())
    }

    async fn drop_old_events(&self, write: &mut Write<'_>, app: Uuid) -> Result<(), Error> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM webhook_events WHERE app_id = $1 ORDER BY id DESC LIMIT 100 OFFSET $2",
        )
        .bind(app.to_string())
        .bind(db::big(self.limits.webhook_events_per_app))
        .fetch_all(&mut **write)
        .await?;
        for (id,) in rows {
            for statement in [
                "DELETE FROM webhook_deliveries WHERE event_id = $1",
                "DELETE FROM webhook_events WHERE id = $1",
            ] {
                sqlx::query(statement).bind(id.clone()).execute(&mut **write).await?;
            }
        }
        Ok(())
    }

    /// Tells of a release that was made or whose phase ended.
    pub(crate) async fn tell_release(
        &self,
        write: &mut Write<'_>,
        app: &App,
        user: &User,
        action: Action,
        release: &Release,
    ) -> Result<(), Error> {
        let entity = Entity::Release;
        if !self.is_told(write, app.id, entity).await? {
            return Ok(());
        }
        let phase = phases::of_one(write, release).await?;
        let current = releases::current(write, app.id).await?.version;
        let data = serialise::release(self, app, release, phase.as_ref(), current, PLAIN);
        let previous = match action {
            Action::Update => json!({"status": phases::Status::Pending.name()}),
            Action::Create | Action::Destroy => json!({}),
        };
        let notice = Notice { entity, action, actor: actor(user), data, previous };
        self.record(write, app.id, notice).await
    }

    /// Tells of a build that was made, or that is not as `before` any more.
    pub(crate) async fn tell_build(
        &self,
        write: &mut Write<'_>,
        before: Option<&Build>,
        build: &Build,
    ) -> Result<(), Error> {
        let (app, entity) = (db::id(&build.app_id)?, Entity::Build);
        if !self.is_told(write, app, entity).await? {
            return Ok(());
        }
        let shown = |build: &Build| serialise::build(self, build, PLAIN);
        let data = shown(build);
        let previous = before.map_or(json!({}), |before| difference(shown(before), &data));
        let action = if before.is_some() { Action::Update } else { Action::Create };
        let actor = json!({"email": build.user_email, "id": build.user_id});
        self.record(write, app, Notice { entity, action, actor, data, previous }).await
    }

    /// Tells that an app has another name or another maintenance mode.
    pub(crate) async fn tell_app(
        &self,
        write: &mut Write<'_>,
        user: &User,
        before: &App,
        after: &App,
    ) -> Result<(), Error> {
        let (entity, action) = (Entity::App, Action::Update);
        if !self.is_told(write, after.id, entity).await? {
            return Ok(());
        }
        // A damaged release does not keep the app from being renamed.
        let current = releases::current_with_slug(write, after).await.ok();
        let shown = |app: &App| serialise::app(self, app, current.as_ref());
        let data = shown(after);
        let previous = difference(shown(before), &data);
        let notice = Notice { entity, action, actor: actor(user), data, previous };
        self.record(write, after.id, notice).await
    }

    /// Tells of every process type that was scaled.
    pub(crate) async fn tell_formation(
        &self,
        write: &mut Write<'_>,
        app: &App,
        user: &User,
        before: &[Process],
        after: &[Process],
    ) -> Result<(), Error> {
        let (entity, action) = (Entity::Formation, Action::Update);
        if !self.is_told(write, app.id, entity).await? {
            return Ok(());
        }
        let shown = |process: &Process| serialise::formation(app, process, PLAIN);
        for process in after {
            let was = before.iter().find(|was| was.process_type == process.process_type);
            let Some(was) = was.filter(|was| was.scale != process.scale) else { continue };
            let data = shown(process);
            let previous = difference(shown(was), &data);
            let notice = Notice { entity, action, actor: actor(user), data, previous };
            self.record(write, app.id, notice).await?;
        }
        Ok(())
    }

    /// Tells of a domain that was added or removed.
    pub(crate) async fn tell_domain(
        &self,
        write: &mut Write<'_>,
        app: &App,
        user: &User,
        action: Action,
        domain: &Domain,
    ) -> Result<(), Error> {
        let entity = Entity::Domain;
        if !self.is_told(write, app.id, entity).await? {
            return Ok(());
        }
        let data = serialise::domain(self, app, domain);
        let notice = Notice { entity, action, actor: actor(user), data, previous: json!({}) };
        self.record(write, app.id, notice).await
    }
}

/// Payloads have Heroku's fields and no other.
const PLAIN: serialise::Extended = serialise::Extended(false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_data_is_what_changed() {
        let (before, after) = (json!({"a": 1, "b": 2, "gone": 3}), json!({"a": 1, "b": 4}));
        assert_eq!(difference(before, &after), json!({"b": 2, "gone": 3}));
    }
}
