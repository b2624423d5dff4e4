//! Which app a command means: `-a/--app`, else `WPAAS_APP` or `HEROKU_APP`, else the one remembered for the
//! directory in `.wpaas/app.json` (which is never packed).

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::exit::Usage;

/// Variables that name an app, the first that is set wins.
const APP_VARIABLES: [&str; 2] = ["WPAAS_APP", "HEROKU_APP"];

/// The app of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Its name.
    pub(crate) app: String,
    /// The server that has it.
    pub(crate) api: String,
}

/// How the app was found, which decides what to do when it does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Named on the command line or in the environment.
    Named(String),
    /// Remembered for the directory.
    Remembered(String),
}

impl Found {
    /// The app's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Named(name) | Self::Remembered(name) => name,
        }
    }
}

/// Accepts what can be an app's name or id, so that nothing else gets into a URL.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("an app's name has letters, digits and dashes".to_owned())
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(".wpaas/app.json")
}

/// The app that `named`, the environment or the directory gives for the server at `api`.
pub(crate) fn find(
    named: Option<&str>,
    directory: &Path,
    api: &str,
) -> anyhow::Result<Option<Found>> {
    if let Some(name) = named {
        return Ok(Some(Found::Named(name.to_owned())));
    }
    for variable in APP_VARIABLES {
        if let Some(name) = std::env::var(variable).ok().filter(|name| !name.is_empty()) {
            let name = parse_name(&name).map_err(|why| Usage(format!("{variable}: {why}")))?;
            return Ok(Some(Found::Named(name)));
        }
    }
    let remembered = recall(directory)?.filter(|remembered| remembered.api == api);
    Ok(remembered.map(|remembered| Found::Remembered(remembered.app)))
}

/// As [`find`]; a command that needs an app cannot go on without one.
pub(crate) fn require(named: Option<&str>, directory: &Path, api: &str) -> anyhow::Result<String> {
    match find(named, directory, api)? {
        Some(found) => Ok(found.name().to_owned()),
        None => Err(Usage(
            "no app given: name one with -a APP, set WPAAS_APP, or run this in a directory that was \
             deployed with `wpaas deploy`"
                .to_owned(),
        )
        .into()),
    }
}

/// What the directory remembers, for whatever server.
pub(crate) fn recall(directory: &Path) -> anyhow::Result<Option<Remembered>> {
    let path = path(directory);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let damaged = || format!("{} is damaged: remove it, or name the app with -a", path.display());
    let remembered: Remembered = serde_json::from_slice(&text).with_context(damaged)?;
    parse_name(&remembered.app).map_err(anyhow::Error::msg).with_context(damaged)?;
    Ok(Some(remembered))
}

/// Remembers the app for the directory.
pub(crate) fn remember(directory: &Path, app: &str, api: &str) -> anyhow::Result<()> {
    let path = path(directory);
    let remembered = Remembered { app: app.to_owned(), api: api.to_owned() };
    let written = || -> std::io::Result<()> {
        let parent = directory.join(".wpaas");
        std::fs::create_dir_all(&parent)?;
        let mut file = tempfile::NamedTempFile::new_in(&parent)?;
        serde_json::to_writer_pretty(&mut file, &remembered)?;
        file.write_all(b"\n")?;
        file.persist(&path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot remember the app in {}", path.display()))
}

/// Forgets the app if the directory remembers this one on this server.
pub(crate) fn forget(directory: &Path, app: &str, api: &str) -> anyhow::Result<()> {
    let wanted = Remembered { app: app.to_owned(), api: api.to_owned() };
    // A file that cannot be read is not ours to remove.
    if !matches!(recall(directory), Ok(Some(remembered)) if remembered == wanted) {
        return Ok(());
    }
    let path = path(directory);
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    // Goes only if nothing else is in it.
    let _ = std::fs::remove_dir(directory.join(".wpaas"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "http://127.0.0.1:5080";

    #[test]
    fn the_command_line_wins_over_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(find(None, directory.path(), API).unwrap(), None);
        remember(directory.path(), "kept", API).unwrap();
        let found = |named| find(named, directory.path(), API).unwrap().unwrap();
        assert_eq!(found(None), Found::Remembered("kept".into()));
        assert_eq!(found(Some("other")), Found::Named("other".into()));
    }

    #[test]
    fn an_app_of_another_server_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        remember(directory.path(), "kept", "http://elsewhere:1").unwrap();
        let error = require(None, directory.path(), API).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("-a APP"), "{error}");
    }

    #[test]
    fn only_the_app_that_is_remembered_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        remember(directory.path(), "kept", API).unwrap();
        forget(directory.path(), "other", API).unwrap();
        forget(directory.path(), "kept", "http://elsewhere:1").unwrap();
        assert!(recall(directory.path()).unwrap().is_some());
        forget(directory.path(), "kept", API).unwrap();
        assert_eq!(recall(directory.path()).unwrap(), None);
        assert!(!directory.path().join(".wpaas").exists());
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".wpaas")).unwrap();
        for text in ["{", r#"{"app":"../x","api":"http://127.0.0.1:5080"}"#] {
            std::fs::write(path(directory.path()), text).unwrap();
            let error = format!("{:#}", recall(directory.path()).unwrap_err());
            assert!(error.contains("remove it, or name the app"), "{error}");
        }
    }

    #[test]
    fn names_stay_one_plain_url_segment() {
        for good in ["demo", "a-b-1", "01234567-89ab-cdef-0123-456789abcdef"] {
            assert_eq!(parse_name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(parse_name(bad).is_err(), "{bad:?}");
        }
    }
}
