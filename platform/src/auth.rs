//! Accounts and who makes a request.
//!
//! A token is 32 random bytes; the database holds its SHA-256 only, and is looked up by that hash, so neither a copy
//! of the database nor the time of a comparison gives a token away.

use std::{collections::HashMap, time::Instant};

use parking_lot::Mutex;
use rand::TryRngCore;
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;
use uuid::Uuid;

use crate::{
    Error,
    authorizations::{self, Authorization},
    db,
};

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// The account's id.
    pub(crate) id: Uuid,
    /// The account's e-mail address, which is its name.
    pub(crate) email: String,
    /// When the account was made.
    pub(crate) created_at: String,
}

/// An account with a token, shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    /// The account's name.
    pub email: String,
    /// The API token. Only its hash is stored, so this is the only time it can be seen.
    pub token: String,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner").field("email", &self.email).field("token", &"…").finish()
    }
}

/// The first account's name.
pub(crate) const FIRST_OWNER: &str = "owner@wpaas.localhost";

/// 256 bits from the operating system, as hex digits: unguessable, and fit for URLs.
pub(crate) fn secret() -> Result<String, Error> {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| Error::Io {
        context: "random numbers of the operating system".into(),
        source: std::io::Error::other(error),
    })?;
    Ok(hex::encode(bytes))
}

/// What is stored of a secret.
pub(crate) fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Makes an account.
pub(crate) async fn create_user(db: &mut AnyConnection, email: &str) -> Result<User, Error> {
    let user = User { id: db::new_id(), email: email.into(), created_at: db::now() };
    sqlx::query("INSERT INTO users (id, email, created_at, updated_at) VALUES ($1, $2, $3, $3)")
        .bind(user.id.to_string())
        .bind(email.to_owned())
        .bind(user.created_at.clone())
        .execute(db)
        .await?;
    Ok(user)
}

/// The first account, if there is one.
pub(crate) async fn first_user(db: &mut AnyConnection) -> Result<Option<User>, Error> {
    let row: Option<(String, String, String)> =
        sqlx::query_as("SELECT id, email, created_at FROM users ORDER BY id LIMIT 1")
            .fetch_optional(db)
            .await?;
    row.map(user).transpose()
}

/// The account with this e-mail address, if there is one, and the hash of its password, if it has one.
pub(crate) async fn by_email(
    db: &mut AnyConnection,
    email: &str,
) -> Result<Option<(User, Option<String>)>, Error> {
    let row: Option<(String, String, String, Option<String>)> =
        sqlx::query_as("SELECT id, email, created_at, password FROM users WHERE email = $1")
            .bind(email.to_owned())
            .fetch_optional(db)
            .await?;
    row.map(|(id, email, created_at, hash)| Ok((user((id, email, created_at))?, hash))).transpose()
}

/// Whose token this is, and what it may do.
pub(crate) async fn authenticate(
    db: &mut AnyConnection,
    token: &str,
) -> Result<(User, Authorization), Error> {
    let sql = format!(
        "SELECT users.id, users.email, users.created_at, {} \
         FROM tokens JOIN users ON users.id = tokens.user_id \
         WHERE tokens.digest = $1 AND (tokens.expires_at IS NULL OR tokens.expires_at > $2)",
        authorizations::COLUMNS
    );
    let row: Option<Found> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(digest(token))
        .bind(db::now())
        .fetch_optional(db)
        .await?;
    let (id, email, created_at, token, digest, description, scope, made_at, expires_at) =
        row.ok_or(Error::Unauthorized)?;
    let authorization = (token, digest, description, scope, made_at, expires_at);
    Ok((user((id, email, created_at))?, Authorization::of_row(authorization)?))
}

/// An account's columns and those of [`authorizations::Row`].
type Found =
    (String, String, String, Option<String>, String, String, String, String, Option<String>);

fn user((id, email, created_at): (String, String, String)) -> Result<User, Error> {
    Ok(User { id: db::id(&id)?, email, created_at })
}

/// Requests that each account has left: a bucket that refills steadily over an hour.
pub(crate) struct RateLimit {
    per_hour: u64,
    buckets: Mutex<HashMap<Uuid, (f64, Instant)>>,
}

impl RateLimit {
    pub(crate) fn new(per_hour: u64) -> Self {
        Self { per_hour, buckets: Mutex::default() }
    }

    /// Takes one request from the account's bucket and says how many are left.
    pub(crate) fn take(&self, account: Uuid, now: Instant) -> Result<u64, Error> {
        let full = self.per_hour as f64;
        let mut buckets = self.buckets.lock();
        let (left, last) = buckets.entry(account).or_insert((full, now));
        *left =
            (*left + now.saturating_duration_since(*last).as_secs_f64() * full / 3600.0).min(full);
        *last = now;
        if *left < 1.0 {
            return Err(Error::RateLimited);
        }
        *left -= 1.0;
        Ok(*left as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_run_out_and_come_back() {
        let limit = RateLimit::new(3600);
        let (account, start) = (Uuid::nil(), Instant::now());
        for left in (0..3600).rev() {
            assert_eq!(limit.take(account, start).unwrap(), left);
        }
        assert!(matches!(limit.take(account, start), Err(Error::RateLimited)));
        assert!(limit.take(Uuid::max(), start).is_ok(), "accounts have a bucket each");
        let later = start + Duration::from_secs(2);
        assert_eq!(limit.take(account, later).unwrap(), 1);
    }
}
