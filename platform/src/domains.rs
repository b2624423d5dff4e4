//! Custom domains.

use std::collections::HashMap;

use sqlx::AnyConnection;
use uuid::Uuid;

use crate::{
    Error, Inner, apps,
    auth::User,
    db,
    error::is_taken,
    feed,
    ledger::{self, Event},
    locks::AppLock,
    names,
    webhooks::Action,
};

/// A custom domain of an app.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Domain {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) created_at: String,
}

/// The app's custom domains, oldest first.
pub(crate) async fn list(db: &mut AnyConnection, app: Uuid) -> Result<Vec<Domain>, Error> {
    let domains = sqlx::query_as(
        "SELECT id, hostname, created_at FROM domains WHERE app_id = $1 ORDER BY id",
    )
    .bind(app.to_string())
    .fetch_all(db)
    .await?;
    Ok(domains)
}

/// The hostnames of many apps, oldest first.
pub(crate) async fn hostnames(
    db: &mut AnyConnection,
    apps: &[Uuid],
) -> Result<HashMap<Uuid, Vec<String>>, Error> {
    let mut found: HashMap<Uuid, Vec<String>> = HashMap::new();
    for apps in apps.chunks(db::BATCH) {
        let sql = format!(
            "SELECT app_id, hostname FROM domains WHERE app_id IN {} ORDER BY id",
            db::places(1, apps.len())
        );
        let rows: Vec<(String, String)> =
            db::fetch_all(db, sql, apps.iter().map(Uuid::to_string)).await?;
        for (app, hostname) in rows {
            found.entry(db::id(&app)?).or_default().push(hostname);
        }
    }
    Ok(found)
}

impl Inner {
    /// Adds a custom domain.
    pub(crate) async fn add_domain(
        &self,
        lock: &AppLock,
        user: &User,
        hostname: &str,
    ) -> Result<Domain, Error> {
        let hostname = names::check_hostname(hostname, &self.urls.apps.domain)?;
        let _names = self.locks.names().await;
        let mut write = self.db.write().await?;
        let app = apps::by_id(&mut write, lock.app).await?;
        if list(&mut write, app.id).await?.len() as u64 >= self.limits.domains_per_app {
            let limit = self.limits.domains_per_app;
            return Err(Error::Invalid(format!("An app can have at most {limit} domains.")));
        }
        let domain = Domain { id: db::new_id().to_string(), hostname, created_at: db::now() };
        sqlx::query(
            "INSERT INTO domains (id, app_id, hostname, created_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(domain.id.clone())
        .bind(app.id.to_string())
        .bind(domain.hostname.clone())
        .bind(domain.created_at.clone())
        .execute(&mut *write)
        .await
        .map_err(|error| {
            let text = format!("{} is currently in use by another app.", domain.hostname);
            if is_taken(&error) { Error::Invalid(text) } else { error.into() }
        })?;
        let event = Event::DomainAdded { hostname: domain.hostname.clone() };
        ledger::append(&mut write, app.id, user, db::new_id(), &event).await?;
        self.tell_domain(&mut write, &app, user, Action::Create, &domain).await?;
        let spec = feed::spec(&mut write, &app).await?;
        feed::bump(&mut write).await?;
        write.commit().await?;
        self.say(app.id, format!("Domain {} added by user {}", domain.hostname, user.email));
        self.publish(spec).await?;
        Ok(domain)
    }

    /// Removes the custom domain with this id or hostname.
    pub(crate) async fn remove_domain(
        &self,
        lock: &AppLock,
        user: &User,
        which: &str,
    ) -> Result<Domain, Error> {
        let _names = self.locks.names().await;
        let mut write = self.db.write().await?;
        let app = apps::by_id(&mut write, lock.app).await?;
        let domain = pick(list(&mut write, app.id).await?, which)?;
        sqlx::query("DELETE FROM domains WHERE id = $1")
            .bind(domain.id.clone())
            .execute(&mut *write)
            .await?;
        let event = Event::DomainRemoved { hostname: domain.hostname.clone() };
        ledger::append(&mut write, app.id, user, db::new_id(), &event).await?;
        self.tell_domain(&mut write, &app, user, Action::Destroy, &domain).await?;
        let spec = feed::spec(&mut write, &app).await?;
        feed::bump(&mut write).await?;
        write.commit().await?;
        self.say(app.id, format!("Domain {} removed by user {}", domain.hostname, user.email));
        self.publish(spec).await?;
        Ok(domain)
    }
}

/// The domain with this id or hostname.
pub(crate) fn pick(domains: Vec<Domain>, which: &str) -> Result<Domain, Error> {
    let lower = which.to_ascii_lowercase();
    let found = domains.into_iter().find(|domain| domain.id == which || domain.hostname == lower);
    found.ok_or(Error::NotFound("domain"))
}
