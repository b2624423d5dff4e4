//! Request bodies that go to disk: bounded, and in memory one chunk at a time.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use wpaas_slug::Digest;

use crate::{Error, Inner, error::io};

impl Inner {
    /// Writes a body of at most `limit` bytes to a scratch file. Returns the file and its size.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>>,
        limit: u64,
        what: &str,
    ) -> Result<(NamedTempFile, u64), Error> {
        let temporary = self.data.scratch_file()?;
        let file = temporary.reopen().map_err(io("upload"))?;
        let mut file = tokio::fs::File::from_std(file);
        let mut body = pin!(body);
        let mut size = 0;
        let idle = Duration::from_millis(self.limits.idle_ms);
        let stalled = |_| Error::BadRequest("The upload stalled; try again.".into());
        while let Some(chunk) = tokio::time::timeout(idle, body.next()).await.map_err(stalled)? {
            let chunk = chunk
                .map_err(|error| Error::BadRequest(format!("The upload broke off: {error}")))?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(Error::TooLarge(format!(
                    "The {what} is larger than the limit of {limit} bytes."
                )));
            }
            file.write_all(&chunk).await.map_err(io("upload"))?;
        }
        file.sync_all().await.map_err(io("upload"))?;
        Ok((temporary, size))
    }

    /// Stores an uploaded blob, whose digest must be `digest`.
    pub(crate) async fn put_blob<E: std::fmt::Display>(
        &self,
        digest: Digest,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<(), Error> {
        let limit = self.limits.slug_bytes.max(self.limits.component_bytes);
        let (file, _) = self.receive(body, limit, "blob").await?;
        // The store takes a blob whole, so only so many are in memory at once.
        let _turn = self.blob_writes.acquire().await.map_err(|_| Error::Stopping)?;
        let bytes = tokio::fs::read(file.path()).await.map_err(io("upload"))?;
        let bytes = Bytes::from(bytes);
        let hashed = bytes.clone();
        let actual = tokio::task::spawn_blocking(move || Digest::of(&hashed))
            .await
            .map_err(|error| io("upload")(std::io::Error::other(error)))?;
        if actual != digest {
            return Err(Error::Invalid(format!(
                "The uploaded bytes have digest {actual}, not {digest}."
            )));
        }
        self.store.put(bytes).await?;
        Ok(())
    }
}
