//! Stacks: installs a recipe's packages and builds the stack's component, once per machine.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use wpaas_slug::{Digest, Limits, Store, World};

use crate::{
    Error, Output,
    component::Component,
    error::io_at,
    files::{self, FileLock, blocking},
    sandbox::{Command, Deadline, Sandbox, Workspace},
    toolchain::{cargo::Cargo, lock::Lock, node::Node, python::Python, recipe},
};

/// npm's cache of downloads, below the user's cache directory.
const NPM: &str = "npm";
/// Written last, with the recipe's digest: what is in a directory with this file is complete.
const COMPLETE: &str = ".complete";

/// A stack whose component is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// `node-20`
    pub name: String,
    /// The blob of its component.
    pub component: Digest,
}

/// A stack with what builds for it need.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) stack: Stack,
    /// The recipe with its packages.
    pub(crate) dir: PathBuf,
    /// The file of its component.
    pub(crate) component: PathBuf,
    pub(crate) worlds: Vec<World>,
}

/// What of the host installs a stack.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Maker<'a> {
    Node(&'a Node),
    /// With Rust for the native packages, where it is found.
    Python(&'a Python, Option<&'a Cargo>),
}

impl Maker<'_> {
    /// Its cache of downloads, below the user's.
    fn cache(self) -> &'static str {
        match self {
            Self::Node(_) => NPM,
            Self::Python(..) => "pip",
        }
    }

    /// What fetches the packages of the recipe in `dir`.
    fn fetch(self, dir: &Path, cache: &Path) -> Vec<Command> {
        match self {
            Self::Node(node) => vec![node.npm_ci(dir, cache, false)],
            Self::Python(python, _) => python.fetch(dir, cache),
        }
    }

    /// What compiles native packages of the recipe in `dir`, if it has any and they can be: with its own cache below
    /// the user's.
    fn native(self, dir: &Path, stacks: &Stacks) -> Result<Option<Command>, Error> {
        match self {
            Self::Python(python, Some(cargo)) => {
                Ok(Some(python.native(dir, &stacks.cache_of("native")?, cargo)?))
            }
            Self::Python(_, None) | Self::Node(_) => Ok(None),
        }
    }

    /// Tells apart what is made of the same recipe.
    fn variant(self) -> &'static str {
        match self {
            Self::Python(_, None) => "-pure",
            Self::Python(_, Some(_)) | Self::Node(_) => "",
        }
    }

    /// What builds the component `made` from the recipe in `dir`, where Node.js runs `program`.
    fn build(self, dir: &Path, made: &Path, program: &str) -> Vec<Command> {
        match self {
            Self::Node(node) => vec![node.node(dir, program).arg(program).arg(made)],
            Self::Python(python, _) => python.build(dir, made),
        }
    }
}

/// Kept beside a stack's component: what it was when it was built.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    component: Digest,
    worlds: Vec<World>,
}

/// Installs stacks.
#[derive(Debug)]
pub(crate) struct Stacks {
    cache_dir: PathBuf,
    store: Store,
    limits: Limits,
    /// Those seen to be complete by this process. Held while one is being installed, so that builds that need
    /// the same one wait.
    known: Mutex<HashMap<String, Arc<Installed>>>,
}

impl Stacks {
    pub(crate) fn new(cache_dir: PathBuf, store: Store, limits: Limits) -> Self {
        Self { cache_dir, store, limits, known: Mutex::new(HashMap::new()) }
    }

    /// What is installed once per machine is below it.
    pub(crate) fn cache_dir(&self) -> &Path {
        &self.cache_dir
    }

    /// npm's cache of downloads.
    pub(crate) fn npm_cache(&self) -> Result<PathBuf, Error> {
        self.cache_of(NPM)
    }

    /// A package manager's cache of downloads.
    pub(crate) fn cache_of(&self, manager: &str) -> Result<PathBuf, Error> {
        let dir = self.cache_dir.join(manager);
        fs::create_dir_all(&dir).map_err(io_at(&dir))?;
        Ok(dir)
    }

    /// The stack `name`, installed, its component in the store.
    pub(crate) async fn ensure(
        &self,
        name: &str,
        lock: &Lock,
        maker: Maker<'_>,
        sandbox: &Sandbox,
        output: &Output,
    ) -> Result<Arc<Installed>, Error> {
        let deadline = Deadline::after_ms(self.limits.toolchain_ms);
        let work = async {
            let mut known = self.known.lock().await;
            if let Some(installed) = known.get(name)
                && installed.dir.join(COMPLETE).exists()
            {
                return Ok(installed.clone());
            }
            let installed = self.install(name, lock, maker, sandbox, deadline, output).await;
            let installed = Arc::new(installed.map_err(|error| match error {
                // Not the app's build: it is not the deployer's to mend.
                Error::BuildFailed { command, status } => Error::Toolchain(format!(
                    "the {name} stack could not be installed: `{command}` {status} (its output is \
                     above)"
                )),
                error => error,
            })?);
            known.insert(name.to_owned(), installed.clone());
            Ok(installed)
        };
        deadline.within(&format!("installing the {name} stack"), Box::pin(work)).await
    }

    async fn install(
        &self,
        name: &str,
        lock: &Lock,
        maker: Maker<'_>,
        sandbox: &Sandbox,
        deadline: Deadline,
        output: &Output,
    ) -> Result<Installed, Error> {
        let locked = lock.stack(name)?;
        let recipe = recipe::find(&locked.recipe)?;
        // Stacks of one recipe share its packages.
        let version = format!("{}{}", recipe.digest().short(), maker.variant());
        let key = format!("{}-{version}", locked.recipe);
        let dir = self.cache_dir.join("toolchains").join(&key);
        let component = self.cache_dir.join("stacks").join(format!("{name}-{version}.wasm"));
        let lock_file = self.cache_dir.join("locks").join(&key);
        let waiting = format!("Waiting for another process that is installing the {name} stack");
        let _held = FileLock::acquire(&lock_file, &waiting, output).await?;

        let complete = recipe.digest().to_string();
        let has_packages = || fs::read_to_string(dir.join(COMPLETE)).is_ok_and(|is| is == complete);
        if !has_packages() || verified(&component).await?.is_none() {
            let workspace = Workspace::fresh(&self.cache_dir.join("work").join(&key))?;
            output.step(&format!("Installing the {name} stack (once on this machine)"));
            if !has_packages() {
                output.detail("Fetching its packages, pinned with their hashes");
                files::fresh_dir(&dir)?;
                recipe.write(&dir)?;
                // It is made together with what else is in the directory.
                files::remove(&component)?;
                for command in maker.fetch(&dir, &self.cache_of(maker.cache())?) {
                    sandbox.run(command, &workspace, deadline, output).await?;
                }
                if let Some(command) = maker.native(&dir, self)? {
                    sandbox.run(command, &workspace, deadline, output).await?;
                }
                files::write_whole(&dir.join(COMPLETE), complete.as_bytes())?;
            }
            if verified(&component).await?.is_none() {
                output.detail("Building its component");
                // Made inside the recipe's directory, which is the only one that the program may write to.
                let made = dir.join("stack.wasm");
                let commands = maker.build(&dir, &made, &locked.program);
                for command in commands {
                    sandbox.run(command, &workspace, deadline, output).await?;
                }
                self.keep(made, &component).await?;
            }
            files::remove(&self.cache_dir.join("work").join(&key))?;
        }
        let Some(record) = verified(&component).await? else {
            return Err(Error::Toolchain(format!(
                "{} is damaged; remove it and try again",
                component.display()
            )));
        };
        if !self.store.has(record.component).await? {
            let file = component.clone();
            let bytes = blocking(move || fs::read(&file).map_err(io_at(&file))).await?;
            self.store.put(bytes.into()).await?;
        }
        let stack = Stack { name: name.to_owned(), component: record.component };
        Ok(Installed { stack, dir, component, worlds: record.worlds })
    }

    /// Makes the component that was `made` the stack's, with its record.
    async fn keep(&self, made: PathBuf, component: &Path) -> Result<(), Error> {
        if let Some(parent) = component.parent() {
            fs::create_dir_all(parent).map_err(io_at(parent))?;
        }
        let (limits, component) = (self.limits.clone(), component.to_owned());
        blocking(move || {
            let bytes = fs::read(&made).map_err(io_at(&made))?;
            let built = Component::read("the stack's component", bytes, &limits)?;
            let offers = |world: &World| built.exports.offers(*world);
            let worlds = [World::Http, World::Cli].into_iter().filter(offers).collect();
            let record = Record { component: built.digest, worlds };
            let record =
                serde_json::to_vec(&record).map_err(|error| Error::Internal(error.to_string()))?;
            files::write_whole(&component, &built.bytes)?;
            files::write_whole(&record_file(&component), &record)?;
            files::remove(&made)
        })
        .await
    }
}

/// The record of a stack's component, if the component is there as it was built.
async fn verified(component: &Path) -> Result<Option<Record>, Error> {
    let component = component.to_owned();
    blocking(move || {
        let Ok(record) = fs::read(record_file(&component)) else { return Ok(None) };
        let Ok(record) = serde_json::from_slice::<Record>(&record) else { return Ok(None) };
        let Ok(file) = File::open(&component) else { return Ok(None) };
        let (digest, _) = Digest::of_reader(file).map_err(io_at(&component))?;
        Ok((digest == record.component).then_some(record))
    })
    .await
}

fn record_file(component: &Path) -> PathBuf {
    component.with_extension("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_component_that_is_as_it_was_built_counts() {
        let dir = tempfile::tempdir().unwrap();
        let component = dir.path().join("node-20-0.wasm");
        assert!(verified(&component).await.unwrap().is_none(), "nothing is there");
        fs::write(&component, "component").unwrap();
        assert!(verified(&component).await.unwrap().is_none(), "it has no record");
        let record = Record { component: Digest::of(b"component"), worlds: vec![World::Http] };
        fs::write(record_file(&component), serde_json::to_vec(&record).unwrap()).unwrap();
        let found = verified(&component).await.unwrap().unwrap();
        assert_eq!((found.component, found.worlds), (record.component, record.worlds));
        fs::write(&component, "tampered!").unwrap();
        assert!(verified(&component).await.unwrap().is_none(), "it was changed");
        fs::remove_file(&component).unwrap();
        assert!(verified(&component).await.unwrap().is_none(), "it is gone");
    }
}
