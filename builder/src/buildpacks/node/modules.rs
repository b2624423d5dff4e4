//! `node_modules`, kept between builds of an app: moved into the tree and back by a rename, so that a build
//! whose lockfile did not change installs nothing at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wpaas_slug::Digest;

use crate::{Error, error::io_at, files};

const NODE_MODULES: &str = "node_modules";

/// The kept directories of one app.
#[derive(Debug)]
pub(super) struct Modules {
    dir: PathBuf,
    key: String,
}

impl Modules {
    /// Kept below `cache`. `inputs` is everything that decides what gets installed.
    pub(super) fn new(cache: &Path, inputs: &[&[u8]]) -> Self {
        let digests: String = inputs.iter().map(|input| Digest::of(input).to_string()).collect();
        Self { dir: cache.join("node"), key: Digest::of(digests.as_bytes()).to_string() }
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

    /// Moves every `node_modules` of `tree` here. The list is written last.
    pub(super) fn keep(&self, tree: &Path) -> Result<(), Error> {
        files::fresh_dir(&self.dir)?;
        let paths = find(tree)?;
        for (index, path) in paths.iter().enumerate() {
            files::move_dir(&tree.join(path), &self.kept(index))?;
        }
        let list = serde_json::to_vec(&(&self.key, &paths))
            .map_err(|error| Error::Internal(error.to_string()))?;
        files::write_whole(&self.list(), &list)
    }
}

/// The `node_modules` of `tree`: its own, and those of workspaces inside it.
fn find(tree: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut walk = walkdir::WalkDir::new(tree).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| io_at(tree)(error.into()))?;
        if entry.file_type().is_dir() && entry.file_name() == NODE_MODULES {
            walk.skip_current_dir();
            let relative = entry.path().strip_prefix(tree);
            found.extend(relative.ok().map(Path::to_path_buf));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_go_and_come_back_for_their_key_only() {
        let root = tempfile::tempdir().unwrap();
        let [tree, cache] = ["tree", "cache"].map(|name| root.path().join(name));
        for path in ["node_modules/a/node_modules/b", "packages/x/node_modules/c", "src"] {
            fs::create_dir_all(tree.join(path)).unwrap();
        }
        let modules = Modules::new(&cache, &[b"lock", b"20"]);
        assert!(!modules.restore(&tree).unwrap(), "nothing is kept yet");
        modules.keep(&tree).unwrap();
        assert!(!tree.join("node_modules").exists());
        assert!(!tree.join("packages/x/node_modules").exists() && tree.join("src").exists());

        assert!(!Modules::new(&cache, &[b"lock", b"21"]).restore(&tree).unwrap());
        assert!(!Modules::new(&cache, &[b"loc", b"k20"]).restore(&tree).unwrap());
        assert!(modules.restore(&tree).unwrap());
        assert!(tree.join("node_modules/a/node_modules/b").is_dir());
        assert!(tree.join("packages/x/node_modules/c").is_dir());
        assert!(!modules.restore(&tree).unwrap(), "it is taken");
    }

    #[test]
    fn a_damaged_cache_counts_as_none() {
        let root = tempfile::tempdir().unwrap();
        let [tree, cache] = ["tree", "cache"].map(|name| root.path().join(name));
        fs::create_dir_all(tree.join("node_modules/a")).unwrap();
        let modules = Modules::new(&cache, &[b"lock"]);
        modules.keep(&tree).unwrap();
        fs::remove_dir_all(modules.kept(0)).unwrap();
        assert!(!modules.restore(&tree).unwrap());
        fs::write(modules.list(), "{").unwrap();
        assert!(!modules.restore(&tree).unwrap());
    }
}
