//! A slug's files on disk: fetched as blobs, hard-linked into `slugs/<digest>/app`.
//!
//! The directory appears by one rename when everything is in it, together with the slug's two documents,
//! so that a node that starts again runs its apps without the store.

use std::{
    collections::HashMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use wpaas_slug::{Digest, Limits, Slug, SlugConfig};

use crate::{Error, blobs::Blobs, keyed::KeyedLocks};

/// Blobs fetched at the same time for one slug.
const CONCURRENT_FETCHES: usize = 16;
const MANIFEST: &str = "manifest.json";
const CONFIG: &str = "config.json";
const APP: &str = "app";

/// A slug that is on disk.
#[derive(Debug)]
pub(crate) struct Checkout {
    pub(crate) config: SlugConfig,
    /// What dynos see as `/app`.
    pub(crate) app: PathBuf,
}

/// All slugs on disk.
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

    /// The slug on disk, fetched first unless it is there.
    pub(crate) async fn get(&self, slug: Digest) -> Result<Arc<Checkout>, Error> {
        if let Some(checkout) = self.open(slug) {
            return Ok(checkout);
        }
        let _alone = self.locks.lock(slug).await;
        if let Some(checkout) = self.open(slug) {
            return Ok(checkout);
        }
        let directory = self.directory.join(slug.hex());
        let config = match self.read(slug, &directory).await {
            Some(config) => config,
            None => self.fetch(slug, &directory).await?,
        };
        let checkout = Arc::new(Checkout { config, app: directory.join(APP) });
        let mut open = self.open.lock();
        open.retain(|_, checkout| checkout.strong_count() > 0);
        open.insert(slug, Arc::downgrade(&checkout));
        Ok(checkout)
    }

    fn open(&self, slug: Digest) -> Option<Arc<Checkout>> {
        self.open.lock().get(&slug).and_then(Weak::upgrade)
    }

    /// The config of a slug that was checked out before, its documents verified.
    async fn read(&self, slug: Digest, directory: &Path) -> Option<SlugConfig> {
        let manifest = tokio::fs::read(directory.join(MANIFEST)).await.ok()?;
        let config = tokio::fs::read(directory.join(CONFIG)).await.ok()?;
        if Digest::of(&manifest) != slug
            || Slug::config_digest(&manifest).ok()? != Digest::of(&config)
        {
            return None;
        }
        Some(Slug::parse(manifest, config, &self.limits).ok()?.config)
    }

    async fn fetch(&self, digest: Digest, directory: &Path) -> Result<SlugConfig, Error> {
        let slug = self.blobs.store().get_slug(digest, &self.limits).await?;
        let links: Vec<(PathBuf, String)> = futures::stream::iter(slug.config.files.clone())
            .map(|file| async move {
                let blob = self.blobs.sized_file(file.digest, file.size).await?;
                Ok::<_, Error>((blob, file.path))
            })
            .buffer_unordered(CONCURRENT_FETCHES)
            .try_collect()
            .await?;
        let (parent, to) = (self.directory.clone(), directory.to_owned());
        let (manifest, config) = (slug.manifest, slug.config_document);
        tokio::task::spawn_blocking(move || lay_out(&parent, &to, &links, &manifest, &config))
            .await
            .map_err(std::io::Error::other)
            .and_then(|result| result)
            .map_err(Error::cache(directory))?;
        Ok(slug.config)
    }
}

/// Builds the directory under a temporary name and renames it to `to`.
fn lay_out(
    parent: &Path,
    to: &Path,
    links: &[(PathBuf, String)],
    manifest: &[u8],
    config: &[u8],
) -> std::io::Result<()> {
    let temporary = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
    let app = temporary.path().join(APP);
    std::fs::create_dir(&app)?;
    for (blob, path) in links {
        let path = app.join(path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        link(blob, &path)?;
    }
    std::fs::write(temporary.path().join(MANIFEST), manifest)?;
    std::fs::write(temporary.path().join(CONFIG), config)?;
    match std::fs::rename(temporary.path(), to) {
        Err(error) if in_the_way(&error) => {}
        renamed => return renamed,
    }
    // Another node that shares the cache was quicker, and its dynos may use the directory already. Or it
    // is the one that failed the check of its documents.
    let is = |name, content| std::fs::read(to.join(name)).is_ok_and(|found| found == content);
    if is(MANIFEST, manifest) && is(CONFIG, config) {
        return Ok(());
    }
    let aside = tempfile::Builder::new().prefix(".old-").tempdir_in(parent)?;
    std::fs::rename(to, aside.path().join(APP))?;
    std::fs::rename(temporary.path(), to)
}

fn in_the_way(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}

/// A hard link, or a copy where the file system has no more links to give.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error) if matches!(error.kind(), ErrorKind::TooManyLinks | ErrorKind::Unsupported) => {
            std::fs::copy(from, to).map(drop)
        }
        linked => linked,
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
        let config =
            SlugConfig { buildpack: "Test".into(), stack: None, processes: BTreeMap::new(), files };
        let slug = Slug::new(config, &Limits::default()).unwrap();
        store.put_slug(&slug, |_| async { unreachable!("all blobs are there") }).await.unwrap();
        slug
    }

    fn checkouts(store: &Store, cache: &Path) -> Checkouts {
        let blobs = Blobs::new(store.clone(), cache).unwrap();
        Checkouts::new(blobs, cache, Arc::new(Limits::default())).unwrap()
    }

    #[tokio::test]
    async fn lays_out_the_app_and_needs_the_store_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let (store_path, cache) = (directory.path().join("store"), directory.path().join("cache"));
        let store = Store::local(&store_path).unwrap();
        let slug = put(&store).await;

        let checkout = checkouts(&store, &cache).get(slug.digest).await.unwrap();
        let read = |path| std::fs::read_to_string(checkout.app.join(path)).unwrap();
        assert_eq!((read("index.js"), read("views/a/index.html")), ("one".into(), "two".into()));

        std::fs::remove_dir_all(store_path).unwrap();
        let again = checkouts(&store, &cache).get(slug.digest).await.unwrap();
        assert_eq!(again.config, slug.config);
    }

    #[tokio::test]
    async fn of_two_nodes_that_fetch_the_same_slug_the_first_counts() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::local(&directory.path().join("store")).unwrap();
        let slug = put(&store).await;
        let cache = directory.path().join("cache");
        let first = checkouts(&store, &cache).get(slug.digest).await.unwrap();
        std::fs::write(first.app.join("mark"), "in use").unwrap();
        let second = checkouts(&store, &cache);
        let to = second.directory.join(slug.digest.hex());
        second.fetch(slug.digest, &to).await.unwrap();
        assert!(first.app.join("mark").exists());
        assert_eq!(std::fs::read_dir(&second.directory).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_damaged_checkout_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::local(&directory.path().join("store")).unwrap();
        let slug = put(&store).await;
        let cache = directory.path().join("cache");
        let checkout = checkouts(&store, &cache).get(slug.digest).await.unwrap();
        std::fs::write(checkout.app.parent().unwrap().join(CONFIG), "{}").unwrap();
        std::fs::remove_file(checkout.app.join("index.js")).unwrap();

        let again = checkouts(&store, &cache).get(slug.digest).await.unwrap();
        assert!(again.app.join("index.js").exists());
    }
}
