//! What can go wrong between a change of the feed and a dyno that is ready to run.

use std::path::{Path, PathBuf};

use wpaas_slug::{Digest, feed::ApplyError, store};

/// Why a node, a slug or a component cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Wasm engine does not start on this machine.
    #[error("cannot start the Wasm engine: {0}")]
    Engine(String),
    /// [`crate::Builder::build`] was called outside a tokio runtime.
    #[error("a node must be built inside a tokio runtime")]
    NoRuntime,
    /// A file or directory of the cache could not be read or written.
    #[error("{path}: {error}; check that the cache directory is writable and has space")]
    Cache {
        /// What was accessed.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The store did not deliver.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The compiler process could not be started.
    #[error("cannot start the compiler {program}: {error}")]
    CompilerStart {
        /// The program.
        program: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// There is no machine code for the component, and the node has no compiler.
    #[error(
        "component {component} is not compiled for this node, and the node has no compiler; \
         compile it where there is one, with `wpaas prepare` or `Node::prepare_code`"
    )]
    NotCompiled {
        /// Its blob, shortened.
        component: String,
    },
    /// The component was refused by the compiler.
    #[error("component {component} does not compile: {reason}")]
    Compile {
        /// Its blob, shortened.
        component: String,
        /// The compiler's message.
        reason: String,
    },
    /// The component compiles but is not what the host can run.
    #[error("component {component} cannot run as a dyno: {reason}")]
    Component {
        /// Its blob, shortened.
        component: String,
        /// What is missing.
        reason: String,
    },
    /// An app has no snapshot.
    #[error("no snapshot can be made: {0}")]
    Snapshot(String),
    /// The slug needs a stack that the node was not told of.
    #[error(
        "stack {0} is not installed on this node; build an app of that stack, or restart the node"
    )]
    UnknownStack(String),
    /// A rule of the release's egress cannot be understood, or there are too many.
    #[error("egress: {0}")]
    Egress(String),
    /// The certificates that the operator adds cannot be read.
    #[error("certificates to trust: {0}")]
    Certificates(String),
}

impl Error {
    /// Whether the slug or component is at fault, so that trying again does not help.
    pub fn permanent(&self) -> bool {
        match self {
            Self::Compile { .. } | Self::Component { .. } | Self::Egress(_) | Self::Snapshot(_) => {
                true
            }
            Self::Store(store::Error::Manifest(_) | store::Error::TooLarge { .. }) => true,
            Self::Engine(_)
            | Self::NoRuntime
            | Self::Cache { .. }
            | Self::Store(_)
            | Self::CompilerStart { .. }
            | Self::Certificates(_)
            | Self::NotCompiled { .. }
            | Self::UnknownStack(_) => false,
        }
    }

    pub(crate) fn cache(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Cache { path, error }
    }

    pub(crate) fn compile(component: Digest, reason: impl Into<String>) -> Self {
        Self::Compile { component: component.short(), reason: reason.into() }
    }

    pub(crate) fn component(component: Digest, reason: impl Into<String>) -> Self {
        Self::Component { component: component.short(), reason: reason.into() }
    }
}

impl From<Error> for ApplyError {
    fn from(error: Error) -> Self {
        Self { permanent: error.permanent(), message: error.to_string() }
    }
}
