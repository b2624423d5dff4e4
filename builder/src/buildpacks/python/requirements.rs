//! The files that say what a Python app requires. `tools/install.py` of the stack reads them; here is only which there
//! are, and whether they changed.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use crate::{Error, error::io_at};

/// What makes a tree a Python app.
const FILES: &[&str] =
    &["requirements.txt", "pyproject.toml", "Pipfile", "uv.lock", "poetry.lock", "Pipfile.lock"];
/// Files of requirements that include each other, at most.
const MAX_FILES: usize = 50;

/// Whether `dir` is a Python app.
pub(super) fn are_in(dir: &Path) -> bool {
    FILES.iter().any(|file| dir.join(file).is_file())
}

/// The contents of all files that decide what is installed, each after its name.
pub(super) fn read(dir: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let mut contents = Vec::new();
    let mut files: Vec<PathBuf> =
        FILES.iter().map(PathBuf::from).chain(["uv.toml".into()]).collect();
    let mut next = 0;
    while let Some(file) = files.get(next).cloned() {
        next += 1;
        let full = dir.join(&file);
        if !full.is_file() {
            continue;
        }
        let content = fs::read(&full).map_err(io_at(&full))?;
        if file.extension().is_some_and(|extension| extension == "txt") {
            for included in included(&String::from_utf8_lossy(&content), &file) {
                if !files.contains(&included) && files.len() < MAX_FILES {
                    files.push(included);
                }
            }
        }
        contents.push(file.to_string_lossy().into_owned().into_bytes());
        contents.push(content);
    }
    Ok(contents)
}

/// What `-r FILE` and `-c FILE` of a file of requirements name, relative to the app.
fn included(text: &str, file: &Path) -> Vec<PathBuf> {
    let parent = file.parent().unwrap_or(Path::new(""));
    let options = ["--requirement", "--constraint", "-r", "-c"];
    let names = text.lines().filter_map(|line| {
        let line = line.trim();
        let rest = options.iter().find_map(|option| line.strip_prefix(option))?;
        let name = rest.trim_start_matches(['=', ' ', '\t']).split(" #").next()?.trim();
        let path = parent.join(name);
        let plain =
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        plain.then_some(path)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_include_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!are_in(dir.path()));
        let write = |name: &str, text: &str| {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        };
        let all = "-r requirements/base.txt # all\n--constraint=c.txt\n-r ../x.txt\nflask\n";
        write("requirements.txt", all);
        write("requirements/base.txt", "-r more.txt\n-r base.txt\n");
        write("requirements/more.txt", "one");
        write("c.txt", "two");
        assert!(are_in(dir.path()));
        let first = read(dir.path()).unwrap();
        assert_eq!(first.len(), 2 * 4, "{first:?}");
        for name in ["requirements/more.txt", "c.txt", "requirements.txt", "uv.lock"] {
            let before = read(dir.path()).unwrap();
            write(name, "changed\n-r requirements/base.txt\n-c c.txt");
            assert_ne!(read(dir.path()).unwrap(), before, "{name}");
        }
    }
}
