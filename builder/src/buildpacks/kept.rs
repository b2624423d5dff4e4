//! Directories of installed packages, kept between builds of an app: moved into the tree and back by a rename, so that
//! a build whose requirements did not change installs nothing at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wpaas_slug::Digest;

use crate::{Error, files};

/// The kept directories of one app.
#[derive(Debug)]
pub(super) struct Kept {
    dir: PathBuf,
    key: String,
}

impl Kept {
    /// Kept in `dir`. `inputs` is everything that decides what gets installed.
    pub(super) fn new(dir: PathBuf, inputs: &[&[u8]]) -> Self {
        let digests: String = inputs.iter().map(|input| Digest::of(input).to_string()).collect();
        Self { dir, key: Digest::of(digests.as_bytes()).to_string() }
    }

    fn list(&self) -> PathBuf {
        self.dir.join("list.json")
    }

    fn kept(&self, index: usize) -> PathBuf {
        self.dir.join(index.to_string())
    }

    /// Moves what was kept into `tree`. False when there is nothing for this key.
    pub(super) fn restore(&self, tree: &Path) -> Result<bool, Error> {
        let Ok(list) = fs::read(self.list()) else { return Ok(false) };
        let Ok((key, paths)) = serde_json::from_slice::<(String, Vec<PathBuf>)>(&list) else {
            return Ok(false);
        };
        if key != self.key || !(0..paths.len()).all(|index| self.kept(index).is_dir()) {
            return Ok(false);
        }
        // From here on it is the tree's; a build that dies leaves nothing that looks complete.
        files::remove(&self.list())?;
        for (index, path) in paths.iter().enumerate() {
            files::move_dir(&self.kept(index), &tree.join(path))?;
        }
        Ok(true)
    }

    /// Moves the directories `paths` of `tree` here. The list is written last.
    pub(super) fn keep(&self, tree: &Path, paths: &[PathBuf]) -> Result<(), Error> {
        self.fill(tree, paths, files::move_dir)
    }

    /// As [`Kept::keep`], and they stay in `tree`, for what the slug holds.
    pub(super) fn keep_copy(&self, tree: &Path, paths: &[PathBuf]) -> Result<(), Error> {
        self.fill(tree, paths, files::link_dir)
    }

    fn fill(
        &self,
        tree: &Path,
        paths: &[PathBuf],
        put: fn(&Path, &Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        files::fresh_dir(&self.dir)?;
        for (index, path) in paths.iter().enumerate() {
            put(&tree.join(path), &self.kept(index))?;
        }
        let list = serde_json::to_vec(&(&self.key, paths))
            .map_err(|error| Error::Internal(error.to_string()))?;
        files::write_whole(&self.list(), &list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_go_and_come_back_for_their_key_only() {
        let root = tempfile::tempdir().unwrap();
        let [tree, cache] = ["tree", "cache"].map(|name| root.path().join(name));
        let paths = ["modules", "packages/x/modules"].map(PathBuf::from);
        for path in &paths {
            fs::create_dir_all(tree.join(path).join("a")).unwrap();
        }
        let new = |inputs| Kept::new(cache.clone(), inputs);
        let kept = new(&[b"lock", b"20"]);
        assert!(!kept.restore(&tree).unwrap(), "nothing is kept yet");
        kept.keep(&tree, &paths).unwrap();
        assert!(!tree.join("modules").exists() && !tree.join("packages/x/modules").exists());

        fs::remove_dir_all(&tree).unwrap();
        fs::create_dir(&tree).unwrap();
        assert!(!new(&[b"lock", b"21"]).restore(&tree).unwrap());
        assert!(!new(&[b"loc", b"k20"]).restore(&tree).unwrap());
        assert!(kept.restore(&tree).unwrap());
        assert!(tree.join("modules/a").is_dir() && tree.join("packages/x/modules/a").is_dir());
        assert!(!kept.restore(&tree).unwrap(), "it is taken");
    }

    #[test]
    fn a_damaged_cache_counts_as_none() {
        let root = tempfile::tempdir().unwrap();
        let [tree, cache] = ["tree", "cache"].map(|name| root.path().join(name));
        fs::create_dir_all(tree.join("modules/a")).unwrap();
        let kept = Kept::new(cache, &[b"lock"]);
        kept.keep(&tree, &["modules".into()]).unwrap();
        fs::remove_dir_all(kept.kept(0)).unwrap();
        assert!(!kept.restore(&tree).unwrap());
        fs::write(kept.list(), "{").unwrap();
        assert!(!kept.restore(&tree).unwrap());
    }
}
