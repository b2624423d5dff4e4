//! Where the `node_modules` of a tree are.

use std::path::{Path, PathBuf};

use crate::{Error, error::io_at};

const NODE_MODULES: &str = "node_modules";

/// The `node_modules` of `tree`: its own, and those of workspaces inside it.
pub(super) fn find(tree: &Path) -> Result<Vec<PathBuf>, Error> {
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
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn those_of_workspaces_count_and_those_of_packages_do_not() {
        let tree = tempfile::tempdir().unwrap();
        for path in ["node_modules/a/node_modules/b", "packages/x/node_modules/c", "src"] {
            fs::create_dir_all(tree.path().join(path)).unwrap();
        }
        let found: BTreeSet<PathBuf> = find(tree.path()).unwrap().into_iter().collect();
        let expected = ["node_modules", "packages/x/node_modules"].map(PathBuf::from);
        assert_eq!(found, expected.into());
    }
}
