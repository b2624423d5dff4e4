//! The node's own copies of blobs, under `blobs/<hex>` of the cache directory.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::SystemTime,
};

use futures::{StreamExt, TryStreamExt};
use wpaas_slug::{Digest, Store};

use crate::Error;

/// Blobs fetched at the same time for one slug.
const CONCURRENT_FETCHES: usize = 16;

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

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Sees to it that all of these blobs, given with their sizes, are in the directory, and tells since
    /// when. A file that is there is trusted when its size is right: only verified content is ever
    /// renamed into this directory, but after a power cut a file may be shorter than it was.
    pub(crate) async fn all(
        &self,
        blobs: BTreeMap<Digest, u64>,
    ) -> Result<HashMap<Digest, SystemTime>, Error> {
        let directory = self.directory.clone();
        let (mut present, missing) = tokio::task::spawn_blocking(move || look(&directory, blobs))
            .await
            .map_err(|error| Error::cache(&self.directory)(std::io::Error::other(error)))?;
        let fetched: Vec<(Digest, SystemTime)> = futures::stream::iter(missing)
            .map(|(digest, size)| async move {
                let path = self.directory.join(digest.hex());
                self.store.get_to_file(digest, size, &path).await?;
                let found = tokio::fs::metadata(&path).await;
                let found =
                    found.and_then(|found| found.modified()).map_err(Error::cache(&path))?;
                Ok::<_, Error>((digest, found))
            })
            .buffer_unordered(CONCURRENT_FETCHES)
            .try_collect()
            .await?;
        present.extend(fetched);
        Ok(present)
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

/// Which blobs are there, with their age, and which are not.
fn look(
    directory: &Path,
    blobs: BTreeMap<Digest, u64>,
) -> (HashMap<Digest, SystemTime>, Vec<(Digest, u64)>) {
    let mut present = HashMap::with_capacity(blobs.len());
    let mut missing = Vec::new();
    for (digest, size) in blobs {
        match std::fs::metadata(directory.join(digest.hex())) {
            Ok(found) if found.len() == size && found.modified().is_ok() => {
                present.extend(found.modified().map(|modified| (digest, modified)));
            }
            _ => missing.push((digest, size)),
        }
    }
    (present, missing)
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

        blobs.all([(digest, 5)].into()).await.unwrap();
        let path = blobs.directory().join(digest.hex());
        std::fs::write(&path, "").unwrap();
        let since = blobs.all([(digest, 5)].into()).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
        assert_eq!(since, blobs.all([(digest, 5)].into()).await.unwrap());

        std::fs::write(&path, "jello").unwrap();
        blobs.verified_file(digest, 100).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    }
}
