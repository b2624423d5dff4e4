//! The stacks' recipes, embedded at compile time by `build.rs`.

use std::{fs, path::Path};

use wpaas_slug::Digest;

use crate::{Error, error::io_at};

/// Path below `builder/stacks` and content of every file, sorted.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// The files of one recipe.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    files: Vec<(&'static str, &'static [u8])>,
}

/// The recipe in the directory `name`.
pub(crate) fn find(name: &str) -> Result<Recipe, Error> {
    let inside = |path: &'static str| path.strip_prefix(name)?.strip_prefix('/');
    let files: Vec<_> =
        FILES.iter().filter_map(|(path, content)| Some((inside(path)?, *content))).collect();
    if files.is_empty() {
        return Err(Error::Internal(format!("no recipe {name} is part of this binary")));
    }
    Ok(Recipe { files })
}

impl Recipe {
    /// One digest for names and contents.
    pub(crate) fn digest(&self) -> Digest {
        let list: Vec<String> = self
            .files
            .iter()
            .map(|(path, content)| format!("{} {path}\n", Digest::of(content)))
            .collect();
        Digest::of(list.concat().as_bytes())
    }

    /// Writes the files below `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        for (path, content) in &self.files {
            let file = dir.join(path);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent).map_err(io_at(parent))?;
            }
            fs::write(&file, content).map_err(io_at(&file))?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn has(&self, file: &str) -> bool {
        self.files.iter().any(|(path, _)| *path == file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_of_names_and_contents() {
        let digest =
            |files: &[(&'static str, &'static [u8])]| Recipe { files: files.to_vec() }.digest();
        let base = digest(&[("a", b"1"), ("b", b"2")]);
        assert_eq!(base, digest(&[("a", b"1"), ("b", b"2")]));
        for other in [digest(&[("a", b"1"), ("b", b"3")]), digest(&[("a", b"1"), ("c", b"2")])] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn files_are_written_with_their_directories() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = Recipe { files: vec![("a/b/c", b"1"), ("d", b"2")] };
        recipe.write(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("a/b/c")).unwrap(), b"1");
        assert!(find("nonexistent").is_err());
    }
}
