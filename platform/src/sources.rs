//! Sources: tarballs that a client uploads to an unguessable URL and then names in a build.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use sqlx::AnyConnection;
use uuid::Uuid;

use crate::{
    Error, Inner,
    auth::{self, User},
    db,
    error::io,
};

/// An uploaded or expected source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    /// Bytes; none until it was uploaded.
    pub(crate) size: Option<u64>,
}

/// The source with this URL token, if it has not expired.
pub(crate) async fn find(db: &mut AnyConnection, token: &str) -> Result<Source, Error> {
    let row: Option<(String, String, Option<i64>)> = sqlx::query_as(
        "SELECT id, user_id, size FROM sources WHERE token_digest = $1 AND expires_at > $2",
    )
    .bind(auth::digest(token))
    .bind(db::now())
    .fetch_optional(db)
    .await?;
    let (id, user, size) = row.ok_or(Error::NotFound("source"))?;
    Ok(Source { id: db::id(&id)?, user: db::id(&user)?, size: size.map(db::unsigned) })
}

/// The token in a `get_url` of ours. Only the path counts: the client may have reached us under another
/// name than the one that we wrote into the URL.
pub(crate) fn token_of(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    let (_, token) = path.rsplit_once("/sources/")?;
    (token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit())).then_some(token)
}

impl Inner {
    /// Makes a place for an upload and returns the token of its URL.
    pub(crate) async fn create_source(&self, user: &User) -> Result<String, Error> {
        self.expire_sources().await?;
        let token = auth::secret()?;
        let lifetime = Duration::from_millis(self.limits.source_ttl_ms);
        let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::from_hours(1));
        let expires = Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX);
        let mut write = self.db.write().await?;
        sqlx::query(
            "INSERT INTO sources (id, token_digest, user_id, size, created_at, expires_at) \
             VALUES ($1, $2, $3, NULL, $4, $5)",
        )
        .bind(db::new_id().to_string())
        .bind(auth::digest(&token))
        .bind(user.id.to_string())
        .bind(db::now())
        .bind(db::at(expires))
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(token)
    }

    /// Takes an upload. The file is whole or not there.
    pub(crate) async fn upload_source<E: std::fmt::Display>(
        &self,
        token: &str,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<(), Error> {
        let mut db = self.db.read().await?;
        let source = find(&mut db, token).await?;
        drop(db);
        let (file, size) =
            self.receive(body, self.limits.source_upload_bytes, "source archive").await?;
        file.persist(self.data.source(source.id)).map_err(|error| io("upload")(error.error))?;
        let mut write = self.db.write().await?;
        sqlx::query("UPDATE sources SET size = $1 WHERE id = $2")
            .bind(db::big(size))
            .bind(source.id.to_string())
            .execute(&mut *write)
            .await?;
        write.commit().await
    }

    /// Removes sources whose URL no longer works, and the oldest of those that take more space than all may.
    pub(crate) async fn expire_sources(&self) -> Result<(), Error> {
        let mut write = self.db.write().await?;
        let rows: Vec<(String, Option<i64>, String)> =
            sqlx::query_as("SELECT id, size, expires_at FROM sources ORDER BY id DESC")
                .fetch_all(&mut *write)
                .await?;
        let now = db::now();
        let mut bytes = 0;
        for (id, size, expires_at) in rows {
            bytes += size.map_or(0, db::unsigned);
            if expires_at > now && bytes <= self.limits.sources_bytes {
                continue;
            }
            match tokio::fs::remove_file(self.data.source(db::id(&id)?)).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io("expired source")(error));
                }
                _ => {}
            }
            sqlx::query("DELETE FROM sources WHERE id = $1").bind(id).execute(&mut *write).await?;
        }
        write.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_urls_name_a_source() {
        let token = "0f".repeat(32);
        for url in ["http://127.0.0.1:5080/sources/", "https://paas.example/sources/", "/sources/"]
        {
            assert_eq!(token_of(&format!("{url}{token}")), Some(token.as_str()));
            assert_eq!(token_of(&format!("{url}{token}?x=/sources/y")), Some(token.as_str()));
        }
        for url in ["", "http://x/sources/abc", "http://x/y", &format!("http://x/{token}")] {
            assert_eq!(token_of(url), None, "{url}");
        }
    }
}
