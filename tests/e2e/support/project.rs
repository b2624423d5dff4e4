//! Throw-away project directories.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::checkout;

/// An example of the checkout.
pub(crate) fn example(name: &str) -> PathBuf {
    checkout().join("examples").join(name)
}

/// A project in a temporary directory.
pub(crate) struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    /// A project with these files.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let project = Self { directory: tempfile::tempdir().unwrap() };
        for (path, content) in files {
            project.write(path, content);
        }
        project
    }

    /// A copy of an example, to change it without touching the checkout.
    pub(crate) fn copy_of(name: &str) -> Self {
        let project = Self::new([]);
        project.copy_from(&example(name));
        project
    }

    /// Adds the files of a directory, without what tools left there.
    pub(crate) fn copy_from(&self, directory: &Path) {
        copy(directory, self.path());
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let full = self.path().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, content).unwrap();
    }

    /// Replaces text in a file, which must be there.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let old = fs::read_to_string(self.path().join(path)).unwrap();
        assert!(old.contains(from), "{path} does not contain {from:?}");
        self.write(path, &old.replace(from, to));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let built = ["node_modules", "target", ".wpaas"].iter().any(|skip| name == *skip);
        let target = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            if !built {
                copy(&entry.path(), &target);
            }
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
