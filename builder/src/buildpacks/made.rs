//! The component that an app's last build made for it, kept for the next one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Build;
use crate::{
    Error,
    component::Component,
    error::io_at,
    files::{self, blocking},
};

/// Where it is, and what it was made of.
#[derive(Debug)]
pub(super) struct Made {
    dir: PathBuf,
}

impl Made {
    /// In the app's cache.
    pub(super) fn new(cache: &Path) -> Self {
        Self { dir: cache.join("snapshot") }
    }

    fn component(&self) -> PathBuf {
        self.dir.join("component.wasm")
    }

    fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// Whether it was made of what `key` names.
    pub(super) fn is_of(&self, key: &str) -> bool {
        fs::read_to_string(self.key()).is_ok_and(|last| last == key) && self.component().is_file()
    }

    /// Makes the file `made`, made of what `key` names, be the one.
    pub(super) fn replace(&self, made: &Path, key: &str) -> Result<(), Error> {
        files::fresh_dir(&self.dir)?;
        let component = self.component();
        fs::rename(made, &component).map_err(io_at(&component))?;
        files::write_whole(&self.key(), key.as_bytes())
    }

    /// Reads it. `what` is said to whoever builds, with its size.
    pub(super) async fn read(&self, build: &Build<'_>, what: &str) -> Result<Component, Error> {
        let (component, limits) = (self.component(), build.tools.limits.clone());
        let component = blocking(move || {
            let bytes = fs::read(&component).map_err(io_at(&component))?;
            Component::read("the app's snapshot", bytes, &limits)
        });
        let component = build.deadline.within("reading the snapshot", component).await?;
        let megabytes = component.size() as f64 / (1024.0 * 1024.0);
        build.output.detail(&format!("{what} ({megabytes:.1}M)"));
        Ok(component)
    }
}
