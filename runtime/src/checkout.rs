//! Slugs that a node can run without the store: their documents in `slugs/<digest>.manifest` and
//! `slugs/<digest>.config`, the files of `/app` among the node's blobs.
//!
//! The documents are written when all blobs are there. A node that starts again reads them and looks whether
//! the blobs still are.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use wpaas_slug::{Digest, Limits, Slug, SlugConfig};

use crate::{Error, blobs::Blobs, fs::Base, keyed::KeyedLocks};

const MANIFEST: &str = "manifest";
const CONFIG: &str = "config";

/// A slug whose blobs are on this node.
#[derive(Debug)]
pub(crate) struct Checkout {
    /// The slug's config without its files, which are in `base`: apps share few slugs' documents, but those
    /// can list many files.
    pub(crate) config: SlugConfig,
    /// What dynos see as `/app` before they change it.
    pub(crate) base: Arc<Base>,
}

/// All slugs of a node.
#[derive(Debug)]
pub(crate) struct Checkouts {
    blobs: Blobs,
    directory: PathBuf,
    limits: Arc<Limits>,
    locks: KeyedLocks<Digest>,
    open: Mutex<HashMap<Digest, Weak<Checkout>>>,
}

impl Checkouts {
    pub(crate) fn new(blobs: Blobs, cache: &Path, limits: Arc<Limits>) -> Result<Self, Error> {
        let directory = cache.join("slugs");
        std::fs::create_dir_all(&directory).map_err(Error::cache(&directory))?;
        Ok(Self {
            blobs,
            directory,
            limits,
            locks: KeyedLocks::new(),
            open: Mutex::new(HashMap::new()),
        })
    }

    /// The slug, fetched first unless it is here.
    pub(crate) async fn get(&self, slug: Digest) -> Result<Arc<Checkout>, Error> {
        if let Some(checkout) = self.open(slug) {
            return Ok(checkout);
        }
        let _alone = self.locks.lock(slug).await;
        if let Some(checkout) = self.open(slug) {
            return Ok(checkout);
        }
        let (slug_documents, known) = match self.read(slug).await {
            Some(documents) => (documents, true),
            None => (self.blobs.store().get_slug(slug, &self.limits).await?, false),
        };
        let files = slug_documents.config.files.iter();
        let modified = self.blobs.all(files.map(|file| (file.digest, file.size)).collect()).await?;
        if !known {
            self.write(slug_documents.clone()).await?;
        }
        let mut config = slug_documents.config;
        let files = std::mem::take(&mut config.files);
        let base = Arc::new(Base::new(&files, &modified, self.blobs.directory()));
        let checkout = Arc::new(Checkout { config, base });
        let mut open = self.open.lock();
        open.retain(|_, checkout| checkout.strong_count() > 0);
        open.insert(slug, Arc::downgrade(&checkout));
        Ok(checkout)
    }

    fn open(&self, slug: Digest) -> Option<Arc<Checkout>> {
        self.open.lock().get(&slug).and_then(Weak::upgrade)
    }

    fn document(&self, slug: Digest, name: &str) -> PathBuf {
        self.directory.join(format!("{}.{name}", slug.hex()))
    }

    /// The documents of a slug that was here before, verified.
    async fn read(&self, slug: Digest) -> Option<Slug> {
        let manifest = tokio::fs::read(self.document(slug, MANIFEST)).await.ok()?;
        let config = tokio::fs::read(self.document(slug, CONFIG)).await.ok()?;
        if Digest::of(&manifest) != slug
            || Slug::config_digest(&manifest).ok()? != Digest::of(&config)
        {
            return None;
        }
        Slug::parse(manifest, config, &self.limits).ok()
    }

    /// Keeps a slug's documents. Nodes that share a cache write the same.
    async fn write(&self, slug: Slug) -> Result<(), Error> {
        let documents = [
            (self.document(slug.digest, CONFIG), slug.config_document),
            (self.document(slug.digest, MANIFEST), slug.manifest),
        ];
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || {
            for (path, content) in documents {
                let mut file = tempfile::NamedTempFile::new_in(&directory)?;
                file.write_all(&content)?;
                file.persist(path)?;
            }
            Ok(())
        })
        .await
        .map_err(std::io::Error::other)
        .and_then(|result| result)
        .map_err(Error::cache(&self.directory))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use wpaas_slug::{FileEntry, Store};

    use super::*;

    async fn put(store: &Store) -> Slug {
        let mut files = Vec::new();
        for (path, content) in [("index.js", "one"), ("views/a/index.html", "two")] {
            let (digest, _) = store.put(Bytes::from(content)).await.unwrap();
            let size = content.len() as u64;
            files.push(FileEntry { path: path.into(), digest, size, executable: false });
        }
        let config = SlugConfig {
            buildpack: "Test".into(),
            stack: None,
            processes: BTreeMap::new(),
            programs: BTreeMap::new(),
            files,
        };
        let slug = Slug::new(config, &Limits::default()).unwrap();
        store.put_slug(&slug, |_| async { unreachable!("all blobs are there") }).await.unwrap();
        slug
    }

    fn checkouts(store: &Store, cache: &Path) -> Checkouts {
        let blobs = Blobs::new(store.clone(), cache).unwrap();
        Checkouts::new(blobs, cache, Arc::new(Limits::default())).unwrap()
    }

    #[tokio::test]
    async fn needs_the_store_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let (store_path, cache) = (directory.path().join("store"), directory.path().join("cache"));
        let store = Store::local(&store_path).unwrap();
        let slug = put(&store).await;
        let checkout = checkouts(&store, &cache).get(slug.digest).await.unwrap();
        assert_eq!(checkout.config.processes, slug.config.processes);

        std::fs::remove_dir_all(store_path).unwrap();
        checkouts(&store, &cache).get(slug.digest).await.unwrap();
        std::fs::remove_file(cache.join("blobs").join(Digest::of(b"two").hex())).unwrap();
        assert!(checkouts(&store, &cache).get(slug.digest).await.is_err(), "a blob is missing");
    }

    #[tokio::test]
    async fn what_is_damaged_or_missing_is_fetched_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::local(&directory.path().join("store")).unwrap();
        let slug = put(&store).await;
        let cache = directory.path().join("cache");
        let blob = cache.join("blobs").join(Digest::of(b"one").hex());
        let config = cache.join("slugs").join(format!("{}.config", slug.digest.hex()));
        checkouts(&store, &cache).get(slug.digest).await.unwrap();
        std::fs::write(&config, "{}").unwrap();
        std::fs::remove_file(&blob).unwrap();

        checkouts(&store, &cache).get(slug.digest).await.unwrap();
        assert_eq!(std::fs::read(config).unwrap(), slug.config_document);
        assert_eq!(std::fs::read(blob).unwrap(), b"one");
        assert_eq!(
            std::fs::read_dir(cache.join("slugs")).unwrap().count(),
            2,
            "nothing is left over"
        );
    }
}
