//! Tokens of this user by server, in `credentials.json` of the configuration directory: written by
//! `wpaas serve` on its first start, read by every other command on the same machine.

use std::{
    collections::BTreeMap,
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::dirs;

/// Variables that hold a token, the first that is set wins.
pub(crate) const TOKEN_VARIABLES: [&str; 2] = ["WPAAS_API_KEY", "HEROKU_API_KEY"];

/// What is kept for one server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Whose token it is.
    pub(crate) email: String,
    /// The token.
    pub(crate) token: String,
    /// Certificates in PEM that the server's may be from, beside the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token in a log or in a test's output is a leaked token.
        f.debug_struct("Entry").field("email", &self.email).finish_non_exhaustive()
    }
}

/// A token and where it came from, to be told when the server refuses it.
#[derive(Clone)]
pub(crate) struct Token {
    /// The token itself.
    pub(crate) value: String,
    /// `WPAAS_API_KEY` or the file's path.
    pub(crate) origin: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The file with the tokens.
pub(crate) fn file() -> anyhow::Result<PathBuf> {
    Ok(dirs::config()?.join("credentials.json"))
}

/// The token for the server at `api`: from the environment, or from the file.
pub(crate) fn token(api: &str) -> anyhow::Result<Option<Token>> {
    for name in TOKEN_VARIABLES {
        if let Some(value) = std::env::var(name).ok().filter(|value| !value.trim().is_empty()) {
            return Ok(Some(Token { value: value.trim().to_owned(), origin: name.to_owned() }));
        }
    }
    let path = file()?;
    let entry = load(&path)?.remove(api);
    Ok(entry.map(|entry| Token { value: entry.token, origin: path.display().to_string() }))
}

/// The authority that was given at the login to the server at `api`, in PEM.
pub(crate) fn authority(api: &str) -> anyhow::Result<Option<String>> {
    Ok(load(&file()?)?.remove(api).and_then(|entry| entry.ca))
}

/// All entries of a credentials file by server; none when there is no file.
pub(crate) fn load(path: &Path) -> anyhow::Result<BTreeMap<String, Entry>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    serde_json::from_slice(&text).with_context(|| {
        format!("{} is damaged: correct it or move it away, and set WPAAS_API_KEY", path.display())
    })
}

/// Adds or replaces the token for the server at `api` in the user's file, and the authority of its certificate.
pub(crate) fn save(api: &str, email: &str, token: &str, ca: Option<&str>) -> anyhow::Result<()> {
    let ca = ca.map(str::to_owned);
    save_to(&file()?, api, Entry { email: email.to_owned(), token: token.to_owned(), ca })
}

/// Removes the token for the server at `api` from the user's file; whether there was one.
pub(crate) fn forget(api: &str) -> anyhow::Result<bool> {
    forget_in(&file()?, api)
}

fn forget_in(path: &Path, api: &str) -> anyhow::Result<bool> {
    let mut entries = load(path)?;
    let had = entries.remove(api).is_some();
    if had {
        write_private(path, &serde_json::to_vec_pretty(&entries)?)?;
    }
    Ok(had)
}

fn save_to(path: &Path, api: &str, entry: Entry) -> anyhow::Result<()> {
    let mut entries = load(path)?;
    entries.insert(api.to_owned(), entry);
    write_private(path, &serde_json::to_vec_pretty(&entries)?)
}

/// Writes a file that only its owner can read; it appears whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().context("a file needs a directory")?;
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        // Temporary files are made with mode 0600, so the token is at no moment readable by others.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn entry(token: &str) -> Entry {
        Entry { email: "me@example.org".into(), token: token.into(), ca: None }
    }

    #[test]
    fn entries_are_kept_by_server_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/credentials.json");
        assert!(load(&path).unwrap().is_empty());
        save_to(&path, "http://a:1", entry("one")).unwrap();
        save_to(&path, "http://b:2", entry("two")).unwrap();
        save_to(&path, "http://a:1", entry("three")).unwrap();
        save_to(&path, "http://c:3", entry("four")).unwrap();
        assert!(forget_in(&path, "http://c:3").unwrap());
        assert!(!forget_in(&path, "http://c:3").unwrap());
        let entries = load(&path).unwrap();
        let tokens: Vec<_> =
            entries.iter().map(|(api, e)| (api.as_str(), e.token.as_str())).collect();
        assert_eq!(tokens, [("http://a:1", "three"), ("http://b:2", "two")]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        std::fs::write(&path, "{").unwrap();
        let error = save_to(&path, "http://a:1", entry("one")).unwrap_err();
        assert!(format!("{error:#}").contains("credentials.json is damaged"), "{error:#}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    }

    #[test]
    fn tokens_do_not_show_in_debug_output() {
        let token = Token { value: "s3cret".into(), origin: "WPAAS_API_KEY".into() };
        assert!(!format!("{token:?} {:?}", entry("s3cret")).contains("s3cret"));
    }
}
