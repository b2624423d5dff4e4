//! A source tree in, a slug out.
//!
//! A [`Builder`] detects which buildpack takes an app (a user's own by `BUILDPACK_URL`, a prebuilt component,
//! Node.js, Python, Rust), lets it compile the app in a sandbox with limits, and writes the slug to the store. Stacks, the
//! language runtimes that apps share, are installed once per machine from recipes inside this binary.
//!
//! Programs of a build are bounded in time, memory and output, see a clean environment and, where
//! bubblewrap works, a file system without the platform's data. Dropping the future of a build ends its programs.

mod buildpacks;
mod component;
pub mod error;
mod files;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod output;
mod pipeline;
pub mod procfile;
mod sandbox;
mod settings;
mod slug;
pub mod source;
mod toolchain;

use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf, sync::Arc, time::Duration};

pub use buildpacks::place::{BUILT_IN, LocalBuildpacks, shown};
use buildpacks::{Tools, place::Place};
pub use error::{Error, Kind};
pub use output::Output;
pub use sandbox::with_memory_limit;
use sandbox::{Host, Sandbox};
pub use toolchain::stack::Stack;
use toolchain::{lock::Lock, stack::Stacks};
use wpaas_slug::{Limits, Slug, Store, store};

/// What a [`Builder`] works with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The user's cache directory for stacks and downloads, created if missing: `~/.cache/wpaas`.
    pub cache_dir: PathBuf,
    /// Where slugs and stacks' components go.
    pub store: Store,
    /// Limits of builds.
    pub limits: Limits,
    /// Files and directories that builds must not see: the platform's data, tokens. The user's home, `/tmp` and
    /// `/run` are hidden anyway.
    pub hidden: Vec<PathBuf>,
    /// Evaluates apps that have a snapshot. Without it they cannot be built.
    pub snapshots: Option<SnapshotProgram>,
    /// Which paths of this machine users may name as buildpacks.
    pub local_buildpacks: LocalBuildpacks,
}

/// A program that evaluates an app in the stack's component and writes a component that goes on from there: it is run
/// as `program args… --stack FILE --app DIR --tmp DIR --output FILE --memory-bytes N --env NAME=VALUE… -- ARGS…`, in the sandbox, and
/// prints `{"problems": […], "env": […]}`.
#[derive(Debug, Clone)]
pub struct SnapshotProgram {
    /// The program's file. The sandbox shows it to builds.
    pub program: PathBuf,
    /// What comes before the options.
    pub args: Vec<OsString>,
}

/// Builds slugs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Builder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    limits: Limits,
    tools: Tools,
}

/// One build.
#[derive(Debug)]
pub struct Request {
    /// The app's tree: a scratch directory that the build may change.
    pub source: PathBuf,
    /// What builds of this app keep for the next one, created if missing. On the same file system as `source`,
    /// a rename moves `node_modules` between the two.
    pub cache: PathBuf,
    /// Config vars.
    pub env: BTreeMap<String, String>,
    /// Buildpacks in the order in which they run, the last of which makes what the process types run: names of [`BUILT_IN`],
    /// addresses of git repositories or tarballs, paths. Without any, `BUILDPACK_URL` in `env` counts.
    pub buildpacks: Vec<String>,
    /// Where the build's lines go.
    pub output: Output,
}

/// What a build made.
#[derive(Debug)]
pub struct Built {
    /// The slug, which is in the store.
    pub slug: Slug,
    /// What of it was new to the store.
    pub written: store::Written,
    /// The stack that it runs on, whose component is in the store.
    pub stack: Option<Stack>,
    /// The build's steps in their order, and how long each took.
    pub steps: Vec<(String, Duration)>,
}

impl Builder {
    /// Opens the cache. Fails if it cannot be created.
    pub fn new(options: Options) -> Result<Self, Error> {
        let Options { cache_dir, store, limits, hidden, snapshots, local_buildpacks } = options;
        fs::create_dir_all(&cache_dir).map_err(error::io_at(&cache_dir))?;
        let cache_dir = cache_dir.canonicalize().map_err(error::io_at(&cache_dir))?;
        let sandbox = Sandbox::new(Host::of_this_process(), hidden, limits.clone());
        let stacks = Stacks::new(cache_dir, store.clone(), limits.clone());
        let lock = Lock::read()?;
        let tools = Tools::new(sandbox, stacks, lock, snapshots, local_buildpacks, limits.clone());
        Ok(Self { inner: Arc::new(Inner { store, limits, tools }) })
    }

    /// Builds the tree in `request.source` and writes the slug to the store. Ends within
    /// [`Limits::build_ms`], plus the installation of a stack that is missing on this machine.
    pub async fn build(&self, request: Request) -> Result<Built, Error> {
        Box::pin(pipeline::run(&self.inner, request)).await
    }

    /// The buildpack that a user's text means, in the form to keep: a name of [`BUILT_IN`] or an address. An error that
    /// says what is possible where there is no such buildpack, or not for users of this machine.
    pub fn buildpack(&self, text: &str) -> Result<String, Error> {
        Ok(match buildpacks::chosen::place(text, &self.inner.tools)? {
            Place::BuiltIn(name) => name.to_owned(),
            _ => text.trim().to_owned(),
        })
    }

    /// Makes sure that a stack's component is in the cache and in the store; progress goes to `output`. Only the
    /// first call on a machine takes long; processes wait for each other.
    pub async fn ensure_stack(&self, name: &str, output: &Output) -> Result<Stack, Error> {
        let installed = Box::pin(self.inner.tools.stack(name, output)).await?;
        Ok(installed.stack.clone())
    }
}
