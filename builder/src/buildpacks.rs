//! Buildpacks: what turns a tree of a certain kind into something that dynos run.

pub(crate) mod chosen;
pub(crate) mod component;
pub(crate) mod external;
mod kept;
mod made;
pub(crate) mod node;
pub(crate) mod place;
pub(crate) mod python;
pub(crate) mod rust;
pub(crate) mod words;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use place::LocalBuildpacks;
use tokio::sync::OnceCell;
use wpaas_slug::{ComponentRef, Digest, Limits, ProcessType};

use crate::{
    Error, Output, SnapshotProgram, Stack,
    sandbox::{Deadline, Sandbox, Workspace, exports::Exports},
    settings::Settings,
    toolchain::{
        cargo::Cargo,
        lock::{HostTool, Lock},
        node::Node,
        python::Python,
        stack::{Installed, Maker, Stacks},
    },
};

/// Process types by name with their commands.
pub(crate) type Commands = BTreeMap<String, String>;

/// One kind of app. The steps are those of Heroku's buildpacks, in this order.
#[async_trait]
pub(crate) trait Buildpack: Send + Sync {
    /// `Node.js`
    fn name(&self) -> String;

    /// Whether it makes snapshots of apps.
    fn makes_snapshots(&self) -> bool {
        false
    }

    /// Whether the tree is an app of this kind. Errors say why a tree that is meant to be one is not.
    async fn detect(&self, build: &Build<'_>) -> Result<bool, Error>;

    /// Installs what is needed once per machine. Its time is not the build's.
    async fn prepare(&self, _tools: &Tools, _output: &Output) -> Result<(), Error> {
        Ok(())
    }

    /// Whether it can come before another buildpack.
    fn assists(&self) -> bool {
        false
    }

    /// Does its part for the buildpacks after it, if it can, and says what it exports to them.
    async fn assist(&self, _build: &Build<'_>) -> Result<Exports, Error> {
        Ok(Exports::default())
    }

    /// Builds the app in its tree, and says what its process types run.
    async fn compile(&self, build: &Build<'_>) -> Result<Compiled, Error>;
}

/// One build, as its buildpack sees it.
#[derive(Clone, Copy)]
pub(crate) struct Build<'a> {
    /// The app's tree, which the build may change.
    pub(crate) dir: &'a Path,
    /// What one build leaves for the next build of the same app.
    pub(crate) cache: &'a Path,
    /// Config vars.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// What the Procfile declares, if there is one; it then declares web.
    pub(crate) procfile: Option<&'a Commands>,
    /// What `wpaas.toml` says.
    pub(crate) settings: &'a Settings,
    pub(crate) output: &'a Output,
    pub(crate) tools: &'a Tools,
    pub(crate) workspace: &'a Workspace,
    pub(crate) deadline: Deadline,
    pub(crate) steps: &'a Steps,
}

/// What a buildpack made.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) stack: Option<Stack>,
    pub(crate) processes: BTreeMap<String, ProcessType>,
    /// What one-off dynos can run beside the process types.
    pub(crate) programs: BTreeMap<String, ComponentRef>,
    /// The components that process types run, if not the stack's.
    pub(crate) components: HashMap<Digest, Bytes>,
    /// Paths of those in the tree.
    pub(crate) component_files: Vec<String>,
    /// Paths in the tree that are not for `/app`.
    pub(crate) leave_out: fn(&str) -> bool,
}

/// What builds share.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) sandbox: Sandbox,
    pub(crate) stacks: Stacks,
    pub(crate) lock: Lock,
    pub(crate) snapshots: Option<SnapshotProgram>,
    pub(crate) local_buildpacks: LocalBuildpacks,
    pub(crate) limits: Limits,
    node: OnceCell<Node>,
    python: OnceCell<Python>,
    cargo: OnceCell<Cargo>,
}

impl Tools {
    pub(crate) fn new(
        sandbox: Sandbox,
        stacks: Stacks,
        lock: Lock,
        snapshots: Option<SnapshotProgram>,
        local_buildpacks: LocalBuildpacks,
        limits: Limits,
    ) -> Self {
        Self {
            sandbox,
            stacks,
            lock,
            snapshots,
            local_buildpacks,
            limits,
            node: OnceCell::new(),
            python: OnceCell::new(),
            cargo: OnceCell::new(),
        }
    }

    /// The stack `name`, installed.
    pub(crate) async fn stack(
        &self,
        name: &str,
        output: &Output,
    ) -> Result<std::sync::Arc<Installed>, Error> {
        let maker = match self.lock.stack(name)?.host {
            HostTool::Node(oldest) => Maker::Node(self.node(oldest).await?),
            HostTool::Python(oldest) => {
                let cargo = self.cargo().await.ok().filter(|cargo| cargo.makes_libraries());
                Maker::Python(self.python(oldest).await?, cargo)
            }
        };
        self.stacks.ensure(name, &self.lock, maker, &self.sandbox, output).await
    }

    /// The host's Python.
    pub(crate) async fn python(&self, oldest: u64) -> Result<&Python, Error> {
        self.python.get_or_try_init(|| Python::find(self.sandbox.host(), oldest)).await
    }

    /// The host's Node.js.
    pub(crate) async fn node(&self, oldest: u64) -> Result<&Node, Error> {
        self.node.get_or_try_init(|| Node::find(self.sandbox.host(), oldest)).await
    }

    /// The host's Rust.
    pub(crate) async fn cargo(&self) -> Result<&Cargo, Error> {
        self.cargo.get_or_try_init(|| Cargo::find(self.sandbox.host(), &self.lock.rust)).await
    }
}

/// How long each step of a build took.
#[derive(Debug, Default)]
pub(crate) struct Steps(Mutex<Vec<(String, Duration)>>);

impl Steps {
    /// Does `work` as the step `name`.
    pub(crate) async fn time<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = work.await;
        self.0.lock().push((name.to_owned(), start.elapsed()));
        result
    }

    pub(crate) fn into_inner(self) -> Vec<(String, Duration)> {
        self.0.into_inner()
    }
}
