//! `package.json`, as far as builds need it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, error::io_at};

pub(super) const FILE: &str = "package.json";
/// npm's lockfiles, the one that npm prefers first.
const LOCKFILES: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
/// Lockfiles of package managers that builds do not have.
const OTHERS: [(&str, &str); 2] = [("bun.lock", "bun"), ("bun.lockb", "bun")];

/// The fields that builds read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PackageJson {
    #[serde(default)]
    pub(super) scripts: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) main: Option<Value>,
    #[serde(default)]
    engines: Option<Value>,
    #[serde(default)]
    dependencies: Map<String, Value>,
    #[serde(default)]
    dev_dependencies: Map<String, Value>,
    #[serde(default)]
    optional_dependencies: Map<String, Value>,
    #[serde(default)]
    peer_dependencies: Map<String, Value>,
    #[serde(default)]
    overrides: Option<Value>,
    #[serde(default)]
    workspaces: Option<Value>,
    #[serde(default)]
    package_manager: Option<Value>,
}

impl PackageJson {
    /// Reads the `package.json` in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let file = dir.join(FILE);
        let bytes = fs::read(&file).map_err(io_at(&file))?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        // serde takes a list for a struct; npm does not.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(Self::error("expected an object, found a list"));
        }
        serde_json::from_slice(bytes).map_err(|error| {
            // serde_json ends its message with the position, which we show first.
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
            let (line, column) = (error.line(), error.column());
            Error::PackageJson { file: FILE.into(), line, column, reason }
        })
    }

    pub(super) fn error(reason: impl Into<String>) -> Error {
        Error::PackageJson { file: FILE.into(), line: 0, column: 0, reason: reason.into() }
    }

    /// `engines.node`, for information.
    pub(super) fn engines_node(&self) -> Option<&str> {
        self.engines.as_ref()?.get("node")?.as_str()
    }

    /// Name and version in `packageManager`, `yarn@4.5.0+sha224.…` without its hash.
    pub(super) fn package_manager(&self) -> Option<(&str, &str)> {
        let (name, version) = self.package_manager.as_ref()?.as_str()?.split_once('@')?;
        Some((name, version.split('+').next().unwrap_or(version)))
    }

    /// Whether there is anything to install.
    pub(super) fn has_dependencies(&self) -> bool {
        let lists = [&self.dependencies, &self.dev_dependencies, &self.optional_dependencies];
        lists.iter().any(|list| !list.is_empty()) || self.workspaces.is_some()
    }

    /// Everything in this file that `npm ci` compares with the lockfile.
    pub(super) fn dependencies_key(&self) -> String {
        let optional = |value: &Option<Value>| value.clone().unwrap_or(Value::Null);
        Value::from(vec![
            Value::Object(self.dependencies.clone()),
            Value::Object(self.dev_dependencies.clone()),
            Value::Object(self.optional_dependencies.clone()),
            Value::Object(self.peer_dependencies.clone()),
            optional(&self.overrides),
            optional(&self.workspaces),
        ])
        .to_string()
    }
}

/// Every package.json of the app and its workspaces with its content, none of packages.
pub(super) fn all(dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
    let is_own = |entry: &walkdir::DirEntry| entry.file_name() != "node_modules";
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).into_iter().filter_entry(is_own) {
        let entry = entry.map_err(|error| io_at(dir)(error.into()))?;
        if entry.file_type().is_file() && entry.file_name() == FILE {
            let content = fs::read(entry.path()).map_err(io_at(entry.path()))?;
            found.push((entry.into_path(), content));
        }
    }
    Ok(found)
}

/// Whether there is a lockfile of npm.
pub(super) fn has_lockfile(dir: &Path) -> bool {
    LOCKFILES.iter().any(|name| dir.join(name).is_file())
}

/// The content of npm's lockfile, or what to do about its absence.
pub(super) fn lockfile(dir: &Path) -> Result<Vec<u8>, Error> {
    for name in LOCKFILES {
        let file = dir.join(name);
        if file.is_file() {
            return fs::read(&file).map_err(io_at(&file));
        }
    }
    let other = OTHERS.iter().find(|(file, _)| dir.join(file).is_file());
    let reason = match other {
        Some((file, manager)) => format!(
            "package-lock.json is missing: {file} was found, but {manager} is not supported; run \
             `npm install` and commit package-lock.json"
        ),
        None => "package-lock.json is missing: run `npm install` and commit it".to_owned(),
    };
    Err(Error::MissingLockfile { reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn dir_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    #[test]
    fn broken_files_are_shown_with_their_position() {
        for (text, position, says) in [
            ("{\n  \"name\": \"x\",\n}", "package.json line 3, column 1: ", "trailing comma"),
            ("{\"scripts\": {\"start\": 1}}", "package.json line 1, column ", "expected a string"),
            ("[]", "package.json: ", "found a list"),
            ("1", "package.json line 1, column ", "invalid type"),
            ("", "package.json line 1, column 0: ", "EOF"),
        ] {
            let dir = dir_with(&[(FILE, text)]);
            let error = PackageJson::read(dir.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::PackageJson);
            let error = error.to_string();
            assert!(error.starts_with(position) && error.contains(says), "{error}");
            assert!(!error.contains(" at line "), "{error}");
        }
    }

    #[test]
    fn odd_but_valid_files_are_read() {
        let text = "\u{feff}{\"engines\": [\"node\"], \"main\": false, \"private\": true}";
        let dir = dir_with(&[(FILE, text)]);
        let package = PackageJson::read(dir.path()).unwrap();
        assert!(!package.has_dependencies() && package.engines_node().is_none());
    }

    #[test]
    fn a_missing_lockfile_says_what_to_do() {
        let error = |files| lockfile(dir_with(files).path()).unwrap_err().to_string();
        assert_eq!(error(&[]), "package-lock.json is missing: run `npm install` and commit it");
        let bun = error(&[("bun.lock", "")]);
        assert!(bun.contains("bun is not supported"), "{bun}");
        let dir = dir_with(&[("package-lock.json", "{}"), ("yarn.lock", "")]);
        assert_eq!(lockfile(dir.path()).unwrap(), b"{}");
    }
}
