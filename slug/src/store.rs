//! The store: blobs and slug manifests under their digests, in a local directory or any S3-compatible
//! bucket, through `object_store`.
//!
//! Objects are `blobs/sha256/<hex>`, immutable. A blob is written before anything that names it, so a crash
//! at any moment leaves at most unreferenced blobs.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path as Key, prefix::PrefixStore,
};
use tokio::io::AsyncWriteExt;

use crate::{Digest, Limits, Slug, manifest};

/// Transfers to and from the store under way at once for one slug.
const CONCURRENT_TRANSFERS: usize = 16;

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `--store` value cannot be used.
    #[error("cannot use store {url:?}: {reason}")]
    Open {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No such blob.
    #[error("blob {0} is not in the store")]
    NotFound(Digest),
    /// The content is not what its name says: a damaged store or a tampered object.
    #[error("blob {0} is damaged in the store: its content has another digest")]
    Damaged(Digest),
    /// The blob is larger than the reader allows.
    #[error("blob {digest} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The reader's limit in bytes.
        limit: u64,
    },
    /// The slug's documents are not acceptable.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// A local file could not be read or written.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The object store failed.
    #[error("object store: {0}")]
    Backend(#[from] object_store::Error),
}

/// What a write did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Blobs that were new.
    pub new_blobs: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Blobs that the store had already.
    pub present_blobs: u64,
}

impl Written {
    fn add(mut self, other: Self) -> Self {
        self.new_blobs += other.new_blobs;
        self.new_bytes += other.new_bytes;
        self.present_blobs += other.present_blobs;
        self
    }
}

/// The object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
}

impl Store {
    /// Opens `s3://bucket/prefix` (credentials, region and endpoint from the usual `AWS_*` variables), or a
    /// local directory, which is created.
    pub fn open(url: &str) -> Result<Self, Error> {
        let fail = |reason: String| Error::Open { url: url.into(), reason };
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(fail("expected s3://BUCKET or s3://BUCKET/PREFIX".into()));
            }
            let s3 = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .build()
                .map_err(|error| fail(error.to_string()))?;
            let prefix = prefix.trim_matches('/');
            let objects: Arc<dyn ObjectStore> = if prefix.is_empty() {
                Arc::new(s3)
            } else {
                Arc::new(PrefixStore::new(s3, prefix))
            };
            return Ok(Self { objects });
        }
        if url.contains("://") && !url.starts_with("file://") {
            return Err(fail("expected a directory or s3://BUCKET/PREFIX".into()));
        }
        Self::local(Path::new(url.strip_prefix("file://").unwrap_or(url)))
    }

    /// A store in a local directory, which is created.
    pub fn local(directory: &Path) -> Result<Self, Error> {
        let fail = |reason: String| Error::Open { url: directory.display().to_string(), reason };
        std::fs::create_dir_all(directory).map_err(|error| fail(error.to_string()))?;
        let local = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| fail(error.to_string()))?
            .with_fsync(true);
        Ok(Self { objects: Arc::new(local) })
    }

    /// Whether the blob is there.
    pub async fn has(&self, digest: Digest) -> Result<bool, Error> {
        match self.objects.head(&key(digest)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a blob unless it is there.
    pub async fn put(&self, bytes: Bytes) -> Result<(Digest, Written), Error> {
        let digest = Digest::of(&bytes);
        if self.has(digest).await? {
            return Ok((digest, Written { present_blobs: 1, ..Written::default() }));
        }
        let size = bytes.len() as u64;
        self.objects.put(&key(digest), PutPayload::from_bytes(bytes)).await?;
        Ok((digest, Written { new_blobs: 1, new_bytes: size, present_blobs: 0 }))
    }

    /// Reads a blob of at most `limit` bytes and verifies its digest.
    pub async fn get(&self, digest: Digest, limit: u64) -> Result<Bytes, Error> {
        let found = match self.objects.get(&key(digest)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(Error::NotFound(digest)),
            found => found?,
        };
        let size = found.meta.size;
        if size > limit {
            return Err(Error::TooLarge { digest, size, limit });
        }
        let bytes = found.bytes().await?;
        if Digest::of(&bytes) != digest {
            return Err(Error::Damaged(digest));
        }
        Ok(bytes)
    }

    /// Reads a blob into the new file `to`, verified; the file appears whole or not at all.
    pub async fn get_to_file(&self, digest: Digest, limit: u64, to: &Path) -> Result<(), Error> {
        let failed = |error| Error::File(to.display().to_string(), error);
        let bytes = self.get(digest, limit).await?;
        let directory = to.parent().unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new().tempfile_in(directory).map_err(failed)?;
        let (file, path) = temporary.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        file.write_all(&bytes).await.map_err(failed)?;
        file.flush().await.map_err(failed)?;
        path.persist(to).map_err(|error| failed(error.error))
    }

    /// Writes a slug: first the blobs that the store lacks, read from `source`, then its documents.
    /// `source` yields a blob's bytes; it is asked only for blobs that are not there.
    pub async fn put_slug<F, Fut>(&self, slug: &Slug, source: F) -> Result<Written, Error>
    where
        F: Fn(Digest) -> Fut,
        Fut: Future<Output = Result<Bytes, Error>>,
    {
        let source = &source;
        let written = futures::stream::iter(slug.config.blobs().into_keys())
            .map(|digest| async move {
                if self.has(digest).await? {
                    return Ok(Written { present_blobs: 1, ..Written::default() });
                }
                let (actual, written) = self.put(source(digest).await?).await?;
                if actual == digest { Ok(written) } else { Err(Error::Damaged(digest)) }
            })
            .buffer_unordered(CONCURRENT_TRANSFERS)
            .try_fold(Written::default(), |sum, one| async move { Ok::<_, Error>(sum.add(one)) })
            .await?;
        let (_, config) = self.put(slug.config_document.clone().into()).await?;
        let (_, manifest) = self.put(slug.manifest.clone().into()).await?;
        Ok(written.add(config).add(manifest))
    }

    /// Reads a slug's documents.
    pub async fn get_slug(&self, digest: Digest, limits: &Limits) -> Result<Slug, Error> {
        let manifest = self.get(digest, limits.manifest_bytes).await?;
        let config = self.get(Slug::config_digest(&manifest)?, limits.manifest_bytes).await?;
        Ok(Slug::parse(manifest.into(), config.into(), limits)?)
    }

    /// Those of `digests` that the store lacks.
    pub async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, Error> {
        futures::stream::iter(digests)
            .map(|digest| async move { Ok((digest, self.has(digest).await?)) })
            .buffered(CONCURRENT_TRANSFERS)
            .try_filter_map(|(digest, present)| async move { Ok((!present).then_some(digest)) })
            .try_collect()
            .await
    }
}

fn key(digest: Digest) -> Key {
    Key::from(format!("blobs/sha256/{}", digest.hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blobs_are_written_once_and_verified() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::local(directory.path()).unwrap();
        let (digest, first) = store.put(Bytes::from_static(b"hello")).await.unwrap();
        let (_, second) = store.put(Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!((first.new_blobs, first.new_bytes, second.new_blobs), (1, 5, 0));
        assert_eq!(store.get(digest, 5).await.unwrap(), "hello");
        assert!(matches!(store.get(digest, 4).await, Err(Error::TooLarge { .. })));
        let absent = Digest::of(b"absent");
        assert!(matches!(store.get(absent, 5).await, Err(Error::NotFound(_))));
        assert_eq!(store.missing(vec![digest, absent]).await.unwrap(), [absent]);

        let object = directory.path().join("blobs/sha256").join(digest.hex());
        std::fs::write(object, "jello").unwrap();
        assert!(matches!(store.get(digest, 5).await, Err(Error::Damaged(_))));
    }

    #[test]
    fn unusable_urls_say_what_is_expected() {
        for url in ["gopher://x", "s3://"] {
            let error = Store::open(url).unwrap_err().to_string();
            assert!(error.contains("expected"), "{error}");
        }
    }
}
