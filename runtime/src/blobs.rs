//! The node's own copies of blobs, under `blobs/<hex>` of the cache directory.

use std::path::{Path, PathBuf};

use wpaas_slug::{Digest, Store};

use crate::Error;

/// Fetches blobs from the store into the cache directory.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    store: Store,
    directory: PathBuf,
}

impl Blobs {
    pub(crate) fn new(store: Store, cache: &Path) -> Result<Self, Error> {
        let directory = cache.join("blobs");
        std::fs::create_dir_all(&directory).map_err(Error::cache(&directory))?;
        Ok(Self { store, directory })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The file of a blob whose size is known. A file that is there is trusted when its size is right:
    /// only verified content is ever renamed into this directory, but after a power cut a file
    /// may be shorter than it was.
    pub(crate) async fn sized_file(&self, digest: Digest, size: u64) -> Result<PathBuf, Error> {
        let path = self.directory.join(digest.hex());
        let present = tokio::fs::metadata(&path).await.is_ok_and(|found| found.len() == size);
        if !present {
            self.store.get_to_file(digest, size, &path).await?;
        }
        Ok(path)
    }

    /// The file of a blob of at most `limit` bytes, its content verified also when it was there already.
    pub(crate) async fn verified_file(&self, digest: Digest, limit: u64) -> Result<PathBuf, Error> {
        let path = self.directory.join(digest.hex());
        let read = path.clone();
        let found = tokio::task::spawn_blocking(move || digest_of_file(&read)).await;
        if !matches!(found, Ok(Ok(actual)) if actual == digest) {
            self.store.get_to_file(digest, limit, &path).await?;
        }
        Ok(path)
    }
}

/// The digest of a file's content.
pub(crate) fn digest_of_file(path: &Path) -> std::io::Result<Digest> {
    Ok(Digest::of_reader(std::fs::File::open(path)?)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn damaged_copies_are_fetched_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::local(&directory.path().join("store")).unwrap();
        let (digest, _) = store.put(bytes::Bytes::from_static(b"hello")).await.unwrap();
        let blobs = Blobs::new(store, &directory.path().join("cache")).unwrap();

        let path = blobs.sized_file(digest, 5).await.unwrap();
        std::fs::write(&path, "").unwrap();
        blobs.sized_file(digest, 5).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");

        std::fs::write(&path, "jello").unwrap();
        blobs.verified_file(digest, 100).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    }
}
