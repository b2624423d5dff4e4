//! The formation: per process type of the current slug, how many dynos may and must run.
//!
//! Only process types that somebody scaled have a row; the others have their default, so that a new process
//! type needs no writing. Web starts as 0..20 (scaled to zero until a request comes), anything else as 0.

use std::collections::{BTreeMap, HashMap};

use sqlx::AnyConnection;
use uuid::Uuid;
use wpaas_slug::feed::Scale;

use crate::{
    Error, Inner, apps,
    auth::User,
    db, feed,
    ledger::{self, Event},
    locks::AppLock,
    phases, releases,
    slugs::SlugRow,
};

/// The only dyno size.
pub(crate) const SIZE: &str = "Basic";

/// Most web dynos of an app that nobody scaled.
const DEFAULT_WEB_MAX: u32 = 20;

/// One process type as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) process_type: String,
    pub(crate) command: String,
    pub(crate) scale: Scale,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// A wanted quantity, as the request writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// `3`: exactly so many.
    Exactly(u32),
    /// `0..20`: as load asks for.
    Between(u32, u32),
    /// `+1`, `-1`.
    Relative(i64),
}

impl Quantity {
    /// Reads `3`, `0..20`, `+1` or `-1`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let number = |part: &str| part.trim().parse::<u32>().ok();
        let text = text.trim();
        let parsed = match text.split_once("..") {
            Some((min, max)) => {
                number(min).zip(number(max)).map(|(min, max)| Self::Between(min, max))
            }
            None if text.starts_with(['+', '-']) => {
                text.parse::<i32>().ok().map(|by| Self::Relative(i64::from(by)))
            }
            None => number(text).map(Self::Exactly),
        };
        parsed.ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::Invalid(format!("Quantity {shown:?} must be like 3, +1, -1 or 0..20."))
        })
    }

    /// The scale that results.
    fn apply(self, scale: Scale, limit: u64) -> Result<Scale, Error> {
        let moved =
            |from: u32, by: i64| u32::try_from((i64::from(from) + by).max(0)).unwrap_or(u32::MAX);
        let scale = match self {
            Self::Exactly(n) => Scale { min: n, max: n },
            Self::Between(min, max) => Scale { min, max },
            Self::Relative(by) => {
                let max = moved(scale.max, by);
                let min = if scale.min == scale.max { max } else { scale.min.min(max) };
                Scale { min, max }
            }
        };
        if scale.min > scale.max {
            return Err(Error::Invalid(format!(
                "Quantity {}..{} has its ends swapped.",
                scale.min, scale.max
            )));
        }
        if u64::from(scale.max) > limit {
            return Err(Error::Invalid(format!(
                "A process type can have at most {limit} dynos, not {}.",
                scale.max
            )));
        }
        Ok(scale)
    }
}

fn default_scale(process_type: &str) -> Scale {
    let max = if process_type == "web" { DEFAULT_WEB_MAX } else { 0 };
    Scale { min: 0, max }
}

/// `3` or `0..20`.
pub(crate) fn show(scale: Scale) -> String {
    if scale.min == scale.max {
        scale.max.to_string()
    } else {
        format!("{}..{}", scale.min, scale.max)
    }
}

/// By process type: the scale that somebody gave it, and when.
pub(crate) type Scaled = BTreeMap<String, (Scale, String)>;

async fn scaled(db: &mut AnyConnection, app: Uuid) -> Result<Scaled, Error> {
    Ok(scaled_of(db, &[app]).await?.remove(&app).unwrap_or_default())
}

/// The process types of many apps that somebody scaled.
pub(crate) async fn scaled_of(
    db: &mut AnyConnection,
    apps: &[Uuid],
) -> Result<HashMap<Uuid, Scaled>, Error> {
    let count = |n: i64| u32::try_from(n).unwrap_or(0);
    let mut found: HashMap<Uuid, Scaled> = HashMap::new();
    for apps in apps.chunks(db::BATCH) {
        let sql = format!(
            "SELECT app_id, type, min, max, updated_at FROM formation WHERE app_id IN {}",
            db::places(1, apps.len())
        );
        let rows: Vec<(String, String, i64, i64, String)> =
            db::fetch_all(db, sql, apps.iter().map(Uuid::to_string)).await?;
        for (app, name, min, max, at) in rows {
            let scale = Scale { min: count(min), max: count(max) };
            found.entry(db::id(&app)?).or_default().insert(name, (scale, at));
        }
    }
    Ok(found)
}

/// The scale of every process type of `slug`.
pub(crate) async fn effective(
    db: &mut AnyConnection,
    app: Uuid,
    slug: &SlugRow,
) -> Result<BTreeMap<String, Scale>, Error> {
    Ok(effective_with(&scaled(db, app).await?, slug))
}

/// The same with what somebody scaled.
pub(crate) fn effective_with(scaled: &Scaled, slug: &SlugRow) -> BTreeMap<String, Scale> {
    let scale =
        |name: &String| scaled.get(name).map_or_else(|| default_scale(name), |(scale, _)| *scale);
    slug.process_types.keys().map(|name| (name.clone(), scale(name))).collect()
}

/// The formation of an app; empty before its first deploy.
pub(crate) async fn list(db: &mut AnyConnection, app: &apps::App) -> Result<Vec<Process>, Error> {
    let (release, slug) = releases::current_with_slug(db, app).await?;
    let Some(slug) = slug else { return Ok(Vec::new()) };
    let mut scaled = scaled(db, app.id).await?;
    let process = |(process_type, command): (String, String)| {
        let (scale, updated_at) = scaled
            .remove(&process_type)
            .unwrap_or_else(|| (default_scale(&process_type), release.created_at.clone()));
        let created_at = slug.created_at.clone();
        Process { process_type, command, scale, created_at, updated_at }
    };
    Ok(slug.process_types.clone().into_iter().map(process).collect())
}

impl Inner {
    /// Scales process types, all or none of them, and returns the whole formation.
    pub(crate) async fn scale(
        &self,
        lock: &AppLock,
        user: &User,
        updates: Vec<(String, Quantity)>,
    ) -> Result<Vec<Process>, Error> {
        let mut write = self.db.write().await?;
        let app = apps::by_id(&mut write, lock.app).await?;
        let before = list(&mut write, &app).await?;
        let mut changed = BTreeMap::new();
        for (process_type, quantity) in updates {
            let process = before.iter().find(|process| process.process_type == process_type);
            let process = process.ok_or(Error::NotFound("process type"))?;
            if process_type == phases::PROCESS_TYPE {
                return Err(Error::Invalid(
                    "The release process runs once for each release and cannot be scaled.".into(),
                ));
            }
            let scale = changed.get(&process_type).copied().unwrap_or(process.scale);
            let scale = quantity.apply(scale, self.limits.dynos_per_process_type)?;
            changed.insert(process_type, scale);
        }
        changed.retain(|name, scale| {
            !before.iter().any(|process| process.process_type == *name && process.scale == *scale)
        });
        if changed.is_empty() {
            return Ok(before);
        }
        let now = db::now();
        for (name, scale) in &changed {
            sqlx::query(
                "INSERT INTO formation (app_id, type, min, max, updated_at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (app_id, type) DO UPDATE SET min = excluded.min, max = excluded.max, \
                 updated_at = excluded.updated_at",
            )
            .bind(app.id.to_string())
            .bind(name.clone())
            .bind(i64::from(scale.min))
            .bind(i64::from(scale.max))
            .bind(now.clone())
            .execute(&mut *write)
            .await?;
        }
        let shown: Vec<String> =
            changed.iter().map(|(name, scale)| format!("{name}@{}:{SIZE}", show(*scale))).collect();
        let event = Event::Scaled { formation: changed };
        ledger::append(&mut write, app.id, user, db::new_id(), &event).await?;
        let after = list(&mut write, &app).await?;
        self.tell_formation(&mut write, &app, user, &before, &after).await?;
        let spec = feed::spec(&mut write, &app).await?;
        feed::bump(&mut write).await?;
        write.commit().await?;
        self.say(app.id, format!("Scaled to {} by user {}", shown.join(" "), user.email));
        self.publish(spec).await?;
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_people_write_them() {
        let scale = |min, max| Scale { min, max };
        for (text, from, to) in [
            ("3", scale(0, 20), scale(3, 3)),
            ("0", scale(1, 1), scale(0, 0)),
            ("0..20", scale(1, 1), scale(0, 20)),
            ("+1", scale(2, 2), scale(3, 3)),
            ("-1", scale(2, 2), scale(1, 1)),
            ("-5", scale(2, 2), scale(0, 0)),
            ("+5", scale(0, 20), scale(0, 25)),
            ("-19", scale(3, 20), scale(1, 1)),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().apply(from, 100).unwrap(), to, "{text}");
        }
        for bad in ["", "x", "1.5", "..", "1..", "..2", "+", "4294967296", "+99999999999"] {
            assert!(Quantity::parse(bad).is_err(), "{bad}");
        }
        for bad in ["5..3", "101", "0..101", "+99"] {
            assert!(Quantity::parse(bad).unwrap().apply(scale(2, 2), 100).is_err(), "{bad}");
        }
    }
}
