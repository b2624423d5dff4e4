//! Webhooks: URLs that an app's owner wants told of what happens to the app, by POST.
//!
//! An event is written in the transaction of the change itself, with a delivery for each webhook that asked for it
//! (`notices.rs`). What is to be sent, and when it is tried again, is in the database alone, so that it survives the
//! server's end (`delivery.rs`). A receiver may get an event twice, and can tell by the delivery's id.

use std::collections::BTreeSet;

use axum::http::HeaderValue;
use sqlx::AnyConnection;
use url::Url;
use uuid::Uuid;
use wpaas_slug::{Limits, outbound::Destination};

use crate::{
    Error, Inner,
    auth::{self, User},
    db,
    ledger::{self, Event},
    locks::AppLock,
    outgoing,
    page::{self, Key, Listed, Page},
};

mod delivery;
mod notices;

pub(crate) use delivery::Webhooks;
pub(crate) use notices::{Action, Entity};

/// Events of Heroku's that are about things which wpaas does not have: whoever asks for them gets none.
const NEVER: [&str; 4] =
    ["api:addon", "api:addon-attachment", "api:collaborator", "api:sni-endpoint"];

/// Whether a delivery that failed is tried again.
const LEVELS: [&str; 2] = ["notify", "sync"];

/// How a delivery can stand.
pub(crate) const STATUSES: [&str; 5] = ["pending", "scheduled", "retrying", "failed", "succeeded"];

/// A row of `webhooks`. It holds secrets, so it has no `Debug`.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) app_id: String,
    /// Names of entities, apart by spaces.
    pub(crate) include: String,
    pub(crate) level: String,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) authorization_header: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

const SELECT: &str = "SELECT id, app_id, include, level, url, secret, authorization_header, created_at, \
                      updated_at FROM webhooks WHERE app_id = $1";

impl Webhook {
    /// The names of the entities that it is told of.
    pub(crate) fn includes(&self) -> impl Iterator<Item = &str> {
        self.include.split(' ')
    }
}

/// A row of `webhook_events`.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Happened {
    pub(crate) id: String,
    pub(crate) include: String,
    /// JSON, as the API shows it.
    pub(crate) payload: String,
    pub(crate) created_at: String,
}

const EVENTS: &str =
    "SELECT id, include, payload, created_at FROM webhook_events WHERE app_id = $1";

/// A row of `webhook_deliveries`.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) app_id: String,
    pub(crate) webhook_id: String,
    pub(crate) event_id: String,
    pub(crate) include: String,
    pub(crate) level: String,
    pub(crate) status: String,
    pub(crate) attempts: i64,
    pub(crate) next_attempt_at: Option<String>,
    pub(crate) attempt_id: Option<String>,
    pub(crate) attempt_code: Option<i64>,
    pub(crate) attempt_error: Option<String>,
    pub(crate) attempt_at: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

const DELIVERIES: &str = "SELECT id, app_id, webhook_id, event_id, include, level, status, attempts, \
                          next_attempt_at, attempt_id, attempt_code, attempt_error, attempt_at, created_at, \
                          updated_at FROM webhook_deliveries";

const KEYS: &[Key] = &[Key::text("id", "id")];

/// The app's webhooks, oldest first.
pub(crate) async fn list(db: &mut AnyConnection, app: Uuid) -> Result<Vec<Webhook>, Error> {
    db::fetch_all(db, format!("{SELECT} ORDER BY id"), [app.to_string()]).await
}

/// The app's webhook with this id.
pub(crate) async fn find(db: &mut AnyConnection, app: Uuid, id: &str) -> Result<Webhook, Error> {
    let found = list(db, app).await?.into_iter().find(|webhook| webhook.id == id);
    found.ok_or(Error::NotFound("webhook"))
}

/// What happened to the app, a page of it.
pub(crate) async fn events(
    db: &mut AnyConnection,
    app: Uuid,
    page: &Page,
) -> Result<Listed<Happened>, Error> {
    page::select(db, EVENTS.to_owned(), app.to_string(), KEYS, page).await
}

/// The app's event with this id.
pub(crate) async fn event(db: &mut AnyConnection, app: Uuid, id: &str) -> Result<Happened, Error> {
    let sql = format!("{EVENTS} AND id = $2");
    let found = db::fetch_all(db, sql, [app.to_string(), id.to_owned()]).await?;
    found.into_iter().next().ok_or(Error::NotFound("webhook event"))
}

/// The app's deliveries, a page of them; those of one status, one of [`STATUSES`], if it is named.
pub(crate) async fn deliveries(
    db: &mut AnyConnection,
    app: Uuid,
    status: Option<&str>,
    page: &Page,
) -> Result<Listed<Delivery>, Error> {
    let status = match status {
        None => String::new(),
        Some(wanted) => match STATUSES.into_iter().find(|status| *status == wanted) {
            Some(status) => format!(" AND status = '{status}'"),
            None => {
                let known = STATUSES.join(", ");
                return Err(Error::Invalid(format!("A delivery's status is one of {known}.")));
            }
        },
    };
    let base = format!("{DELIVERIES} WHERE app_id = $1{status}");
    page::select(db, base, app.to_string(), KEYS, page).await
}

/// The app's delivery with this id.
pub(crate) async fn delivery(
    db: &mut AnyConnection,
    app: Uuid,
    id: &str,
) -> Result<Delivery, Error> {
    let sql = format!("{DELIVERIES} WHERE app_id = $1 AND id = $2");
    let found = db::fetch_all(db, sql, [app.to_string(), id.to_owned()]).await?;
    found.into_iter().next().ok_or(Error::NotFound("webhook delivery"))
}

/// What a request says of a webhook; what it does not say stays.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) include: Option<Vec<String>>,
    pub(crate) level: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) secret: Option<String>,
    /// Without a text, none is sent.
    pub(crate) authorization: Option<Option<String>>,
}

/// What a webhook may include, in the order of the names.
fn included(names: &[String]) -> Result<String, Error> {
    let mut found = BTreeSet::new();
    for name in names.iter().map(|name| name.trim()) {
        let known = Entity::ALL.iter().map(|entity| entity.name()).chain(NEVER);
        match known.into_iter().find(|known| *known == name) {
            Some(known) => found.insert(known),
            None => {
                let names = Entity::ALL.map(Entity::name).join(", ");
                return Err(Error::Invalid(format!(
                    "Include {name:?} is no event that wpaas tells of. It tells of {names}."
                )));
            }
        };
    }
    if found.is_empty() {
        return Err(Error::Invalid(
            "Include must name at least one event, api:release say.".into(),
        ));
    }
    Ok(found.into_iter().collect::<Vec<_>>().join(" "))
}

fn level(name: &str) -> Result<String, Error> {
    match LEVELS.contains(&name) {
        true => Ok(name.to_owned()),
        false => {
            Err(Error::Invalid("Level is notify (tried once) or sync (until it works).".into()))
        }
    }
}

/// A webhook's URL and the server that it names.
fn address(text: &str) -> Result<(Url, Destination), Error> {
    let invalid =
        |why: &str| Error::Invalid(format!("Url {why}. A webhook's is https://HOST/PATH."));
    let url = Url::parse(text).map_err(|_| invalid("is invalid"))?;
    let (tls, port) = match url.scheme() {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err(invalid("has a scheme that webhooks cannot have")),
    };
    let to = outgoing::destination(&url, tls, port).map_err(invalid)?;
    Ok((url, to))
}

impl Inner {
    fn bounded(&self, name: &str, text: &str) -> Result<(), Error> {
        let most = self.limits.webhook_field_bytes;
        match text.len() > Limits::size(most) {
            true => {
                Err(Error::Invalid(format!("{name} is longer than the limit of {most} bytes.")))
            }
            false => Ok(()),
        }
    }

    /// Writes what is wanted into the webhook, and returns its server as logs show it.
    async fn fill(&self, webhook: &mut Webhook, wanted: Wanted) -> Result<String, Error> {
        if let Some(names) = wanted.include {
            webhook.include = included(&names)?;
        }
        if let Some(name) = wanted.level {
            webhook.level = level(&name)?;
        }
        if let Some(url) = wanted.url {
            webhook.url = url.trim().to_owned();
        }
        if let Some(secret) = wanted.secret.filter(|secret| !secret.is_empty()) {
            self.bounded("Secret", &secret)?;
            webhook.secret = secret;
        }
        if let Some(header) = wanted.authorization {
            let header = header.filter(|header| !header.is_empty());
            if let Some(text) = &header {
                self.bounded("Authorization", text)?;
                HeaderValue::from_str(text).map_err(|_| {
                    Error::Invalid("Authorization cannot be sent as a header.".into())
                })?;
            }
            webhook.authorization_header = header;
        }
        self.bounded("Url", &webhook.url)?;
        let (url, to) = address(&webhook.url)?;
        // What a name leads to is checked at each connection.
        self.node.check_egress(&[to.rule()]).await.map_err(Error::Refused)?;
        webhook.updated_at = db::now();
        Ok(outgoing::shown(&url, &to))
    }

    /// Adds a webhook to an app. What signs its deliveries is returned where nobody named it.
    pub(crate) async fn add_webhook(
        &self,
        lock: &AppLock,
        user: &User,
        wanted: Wanted,
    ) -> Result<(Webhook, Option<String>), Error> {
        if wanted.include.is_none() || wanted.level.is_none() || wanted.url.is_none() {
            return Err(Error::Invalid("A webhook needs include, level and url.".into()));
        }
        let id = db::new_id();
        let own = auth::secret()?;
        let mut webhook = Webhook {
            id: id.to_string(),
            app_id: lock.app.to_string(),
            include: String::new(),
            level: String::new(),
            url: String::new(),
            secret: own.clone(),
            authorization_header: None,
            created_at: db::now(),
            updated_at: String::new(),
        };
        let to = self.fill(&mut webhook, wanted).await?;
        webhook.updated_at = webhook.created_at.clone();
        let mut write = self.db.write().await?;
        let most = self.limits.webhooks_per_app;
        if list(&mut write, lock.app).await?.len() as u64 >= most {
            return Err(Error::Invalid(format!("An app can have at most {most} webhooks.")));
        }
        sqlx::query(
            "INSERT INTO webhooks (id, app_id, include, level, url, secret, authorization_header, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        )
        .bind(webhook.id.clone())
        .bind(webhook.app_id.clone())
        .bind(webhook.include.clone())
        .bind(webhook.level.clone())
        .bind(webhook.url.clone())
        .bind(webhook.secret.clone())
        .bind(webhook.authorization_header.clone())
        .bind(webhook.created_at.clone())
        .execute(&mut *write)
        .await
        .map_err(crate::error::app_is_gone)?;
        let said = format!("Webhook {id} to {to} added by user {}", user.email);
        let event = Event::WebhookAdded { id, to };
        ledger::append(&mut write, lock.app, user, db::new_id(), &event).await?;
        write.commit().await?;
        self.say(lock.app, said);
        let made = (webhook.secret == own).then_some(own);
        Ok((webhook, made))
    }

    /// Changes a webhook; deliveries that are still to be sent go by what it says then.
    pub(crate) async fn change_webhook(
        &self,
        lock: &AppLock,
        user: &User,
        which: &str,
        wanted: Wanted,
    ) -> Result<Webhook, Error> {
        let mut db = self.db.read().await?;
        let mut webhook = find(&mut db, lock.app, which).await?;
        drop(db);
        let to = self.fill(&mut webhook, wanted).await?;
        let mut write = self.db.write().await?;
        sqlx::query(
            "UPDATE webhooks SET include = $1, level = $2, url = $3, secret = $4, \
             authorization_header = $5, updated_at = $6 WHERE id = $7",
        )
        .bind(webhook.include.clone())
        .bind(webhook.level.clone())
        .bind(webhook.url.clone())
        .bind(webhook.secret.clone())
        .bind(webhook.authorization_header.clone())
        .bind(webhook.updated_at.clone())
        .bind(webhook.id.clone())
        .execute(&mut *write)
        .await?;
        let id = db::id(&webhook.id)?;
        let said = format!("Webhook {id} to {to} changed by user {}", user.email);
        let event = Event::WebhookChanged { id, to };
        ledger::append(&mut write, lock.app, user, db::new_id(), &event).await?;
        write.commit().await?;
        self.say(lock.app, said);
        Ok(webhook)
    }

    /// Removes a webhook, with what was to be sent to it.
    pub(crate) async fn remove_webhook(
        &self,
        lock: &AppLock,
        user: &User,
        which: &str,
    ) -> Result<Webhook, Error> {
        let mut write = self.db.write().await?;
        let webhook = find(&mut write, lock.app, which).await?;
        for statement in [
            "DELETE FROM webhook_deliveries WHERE webhook_id = $1",
            "DELETE FROM webhooks WHERE id = $1",
        ] {
            sqlx::query(statement).bind(webhook.id.clone()).execute(&mut *write).await?;
        }
        let id = db::id(&webhook.id)?;
        let event = Event::WebhookRemoved { id };
        ledger::append(&mut write, lock.app, user, db::new_id(), &event).await?;
        write.commit().await?;
        self.say(lock.app, format!("Webhook {id} removed by user {}", user.email));
        Ok(webhook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_named_as_herokus() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = names(&["api:release", " api:build", "api:release", "api:addon"]);
        assert_eq!(included(&all).unwrap(), "api:addon api:build api:release");
        for bad in [names(&[]), names(&["release"]), names(&["api:release", "dyno"])] {
            assert!(included(&bad).unwrap_err().to_string().contains("api:release"), "{bad:?}");
        }
        assert!(level("notify").is_ok() && level("often").is_err());
    }
}
