//! What can go wrong in a build, said so that the person deploying knows what to do next.

use std::{io, path::PathBuf};

use wpaas_slug::{manifest, pack, store};

/// Why there is no slug. `Display` is fit for the person deploying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory to build or pack does not exist or is a file.
    #[error("{}: no such directory", .0.display())]
    NoDirectory(PathBuf),
    /// No buildpack recognises the tree.
    #[error(
        "No language found: looked for Procfile with a .wasm, package.json (Node.js), \
         requirements.txt, pyproject.toml or Pipfile (Python), Cargo.toml (Rust); or set BUILDPACK_URL. The source holds {found}"
    )]
    NoLanguage {
        /// The names at the top of the tree, shortened.
        found: String,
    },
    /// A file of the source cannot be taken.
    #[error("{path}: {reason}")]
    Source {
        /// Relative to the app's directory.
        path: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The source tree is over a limit.
    #[error(
        "source is too large: more than {limit} {what}; leave out what the app does not need at \
         run time with .slugignore"
    )]
    SourceTooLarge {
        /// What was counted: `bytes`, `files`.
        what: &'static str,
        /// The limit that it exceeds.
        limit: u64,
    },
    /// The Procfile is malformed or lacks what it needs.
    #[error("{}: {reason}", at("Procfile", *line))]
    Procfile {
        /// Line number from 1; `None` when no single line is at fault.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// `wpaas.toml` is malformed, or says what cannot be.
    #[error("{}: {reason}", at("wpaas.toml", *line))]
    Settings {
        /// Line number from 1; `None` when no single line is at fault.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// A process type's command is not one that the buildpack can run.
    #[error("process type {process} cannot run {command:?}: {reason}")]
    Command {
        /// `web`
        process: String,
        /// The Procfile's text.
        command: String,
        /// What is wrong, and what is possible.
        reason: String,
    },
    /// `package.json` cannot be read.
    #[error("{}: {reason}", position(file, *line, *column))]
    PackageJson {
        /// The file, relative to the app's directory.
        file: String,
        /// Line number from 1, 0 when unknown.
        line: usize,
        /// Column from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// Dependencies without the lockfile that pins them.
    #[error("{reason}")]
    MissingLockfile {
        /// Which file is missing, and how to make it.
        reason: String,
    },
    /// `Cargo.toml` cannot be used.
    #[error("{file}: {reason}")]
    CargoToml {
        /// The file, relative to the app's directory.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A `.wasm` file is not a component that can be run.
    #[error("{file}: {reason}")]
    Component {
        /// The file, relative to the app's directory.
        file: String,
        /// What was found instead of what was expected.
        reason: String,
    },
    /// A buildpack that was chosen cannot be used or does not take the app.
    #[error("buildpack {url}: {reason}")]
    Buildpack {
        /// Its name or address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The app cannot have the snapshot that `wpaas.toml` asks for.
    #[error(
        "the app cannot have a snapshot: {}. Mend that, or take `snapshot = true` out of wpaas.toml",
        problems.join("; ")
    )]
    Snapshot {
        /// What it does while it is evaluated, and what it lacks.
        problems: Vec<String>,
    },
    /// A command of the build failed; its own output was shown before.
    #[error("build failed: `{command}` {status}")]
    BuildFailed {
        /// The command as the person deploying knows it.
        command: String,
        /// `exited with status 1`, `was killed by signal 9 …`.
        status: String,
    },
    /// The build took longer than [`wpaas_slug::Limits::build_ms`] (or `toolchain_ms`).
    #[error("build stopped: {during} was not done after {} s", limit_ms / 1_000)]
    Timeout {
        /// What was under way.
        during: String,
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The slug is over a limit or malformed.
    #[error(transparent)]
    Slug(#[from] manifest::Error),
    /// A program that builds need is missing or too old, or a stack could not be made.
    #[error("{0}")]
    Toolchain(String),
    /// An archive could not be read or written.
    #[error(transparent)]
    Archive(#[from] pack::Error),
    /// The store did not take the slug.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The disk failed us.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// The cause.
        source: io::Error,
    },
    /// A fault of the builder itself.
    #[error("internal error of the builder: {0}")]
    Internal(String),
}

/// [`Error`]'s kinds, for code that reacts to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// [`Error::NoDirectory`]
    NoDirectory,
    /// [`Error::NoLanguage`]
    NoLanguage,
    /// [`Error::Source`]
    Source,
    /// [`Error::SourceTooLarge`]
    SourceTooLarge,
    /// [`Error::Procfile`]
    Procfile {
        /// Line number from 1.
        line: Option<usize>,
    },
    /// [`Error::Settings`]
    Settings {
        /// Line number from 1.
        line: Option<usize>,
    },
    /// [`Error::Command`]
    Command,
    /// [`Error::PackageJson`]
    PackageJson,
    /// [`Error::MissingLockfile`]
    MissingLockfile,
    /// [`Error::CargoToml`]
    CargoToml,
    /// [`Error::Component`]
    Component,
    /// [`Error::Buildpack`]
    Buildpack,
    /// [`Error::Snapshot`]
    Snapshot,
    /// [`Error::BuildFailed`]
    BuildFailed,
    /// [`Error::Timeout`]
    Timeout,
    /// [`Error::Slug`]
    Slug,
    /// [`Error::Toolchain`]
    Toolchain,
    /// [`Error::Archive`]
    Archive,
    /// [`Error::Store`]
    Store,
    /// [`Error::Io`] and [`Error::Internal`]
    Internal,
}

impl Error {
    /// Which kind of error this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoDirectory(_) => Kind::NoDirectory,
            Self::NoLanguage { .. } => Kind::NoLanguage,
            Self::Source { .. } => Kind::Source,
            Self::SourceTooLarge { .. } => Kind::SourceTooLarge,
            Self::Procfile { line, .. } => Kind::Procfile { line: *line },
            Self::Settings { line, .. } => Kind::Settings { line: *line },
            Self::Command { .. } => Kind::Command,
            Self::PackageJson { .. } => Kind::PackageJson,
            Self::MissingLockfile { .. } => Kind::MissingLockfile,
            Self::CargoToml { .. } => Kind::CargoToml,
            Self::Component { .. } => Kind::Component,
            Self::Buildpack { .. } => Kind::Buildpack,
            Self::Snapshot { .. } => Kind::Snapshot,
            Self::BuildFailed { .. } => Kind::BuildFailed,
            Self::Timeout { .. } => Kind::Timeout,
            Self::Slug(_) => Kind::Slug,
            Self::Toolchain(_) => Kind::Toolchain,
            Self::Archive(_) => Kind::Archive,
            Self::Store(_) => Kind::Store,
            Self::Io { .. } | Self::Internal(_) => Kind::Internal,
        }
    }

    /// Whether the app's source or settings are at fault, and not the platform or its machine: trying the
    /// same deploy again does not help.
    pub fn is_the_apps(&self) -> bool {
        !matches!(
            self.kind(),
            Kind::Toolchain | Kind::Archive | Kind::Store | Kind::Internal | Kind::Timeout
        )
    }

    /// The text for the person deploying.
    pub fn user_message(&self) -> String {
        self.to_string()
    }

    pub(crate) fn procfile(line: impl Into<Option<usize>>, reason: impl Into<String>) -> Self {
        Self::Procfile { line: line.into(), reason: reason.into() }
    }

    pub(crate) fn settings(line: impl Into<Option<usize>>, reason: impl Into<String>) -> Self {
        Self::Settings { line: line.into(), reason: reason.into() }
    }
}

/// `map_err(io("reading Procfile"))`
pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let context = context.into();
    move |source| Error::Io { context, source }
}

/// As [`io`], for a path.
pub(crate) fn io_at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Error {
    io(path.display().to_string())
}

fn at(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file} line {line}"))
}

fn position(file: &str, line: usize, column: usize) -> String {
    if line == 0 { file.to_owned() } else { format!("{file} line {line}, column {column}") }
}
