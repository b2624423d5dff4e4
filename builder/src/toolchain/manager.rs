//! Package managers of Node.js apps besides npm: installed once per machine, by npm.

use std::{fs, path::PathBuf};

use crate::{
    Error, Output,
    buildpacks::Build,
    error::io_at,
    files::{self, FileLock},
    sandbox::Workspace,
    toolchain::{lock::ManagerLock, node::Node},
};

/// Written last: what is in a directory with this file is complete.
const COMPLETE: &str = ".complete";

/// A package manager that is installed.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    /// The directory that npm installed it into.
    pub(crate) dir: PathBuf,
    /// The JavaScript file to run.
    pub(crate) program: PathBuf,
}

impl Manager {
    /// What apps' scripts call it by: `yarn`, `pnpm`.
    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.join("node_modules/.bin")
    }
}

/// Installs `wanted` in its version, unless it is there.
pub(crate) async fn ensure(
    wanted: &ManagerLock,
    build: &Build<'_>,
    node: &Node,
) -> Result<Manager, Error> {
    let ManagerLock { package, version, program } = wanted;
    let stacks = &build.tools.stacks;
    let key = format!("{}-{version}", package.replace(['/', '@'], "_"));
    let dir = stacks.cache_dir().join("managers").join(&key);
    let found = Manager { program: dir.join("node_modules").join(package).join(program), dir };
    if !found.dir.join(COMPLETE).exists() {
        install(&found, &key, wanted, build, node).await.map_err(|error| match error {
            Error::BuildFailed { .. } => Error::Toolchain(format!(
                "{package} {version} could not be installed (npm's output is above); package.json's \
                 \"packageManager\" and the lockfile say which version it has to be"
            )),
            error => error,
        })?;
    }
    Ok(found)
}

async fn install(
    manager: &Manager,
    key: &str,
    wanted: &ManagerLock,
    build: &Build<'_>,
    node: &Node,
) -> Result<(), Error> {
    let Build { tools, output, deadline, .. } = *build;
    let lock = tools.stacks.cache_dir().join("locks").join(key);
    let waiting = format!("Waiting for another process that is installing {}", wanted.package);
    let _held = FileLock::acquire(&lock, &waiting, output).await?;
    if manager.dir.join(COMPLETE).exists() {
        return Ok(());
    }
    output.detail(&format!("Installing {} {}", wanted.package, wanted.version));
    files::fresh_dir(&manager.dir)?;
    let package = manager.dir.join("package.json");
    fs::write(&package, r#"{"private":true}"#).map_err(io_at(&package))?;
    let work = tools.stacks.cache_dir().join("work").join(key);
    let workspace = Workspace::fresh(&work)?;
    let what = format!("{}@{}", wanted.package, wanted.version);
    let command = node.npm_install(&manager.dir, &what, &tools.stacks.npm_cache()?);
    // Its own output would tell of one package, and nothing of the app.
    tools.sandbox.run(command, &workspace, deadline, &Output::silent()).await?;
    files::remove(&work)?;
    if !manager.program.is_file() {
        return Err(Error::Toolchain(format!("{what} has no {}", wanted.program)));
    }
    files::write_whole(&manager.dir.join(COMPLETE), b"")
}
