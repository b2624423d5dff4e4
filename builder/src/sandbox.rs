//! Runs the programs of a build: dependencies' installers, the app's own build scripts, users' buildpacks.
//!
//! What such a program can do is bounded whatever it tries. It sees a clean environment, not the platform's.
//! It has a time limit and a memory limit, and dies as a whole process group: at the limit, when the build is
//! cancelled, and with the platform's own process. Where bubblewrap works it also sees a file system
//! of its own, in which the platform's data, the user's home and other processes do not exist
//! ([`isolation`]). Its output goes to the build's output line by line as it comes.

mod environment;
pub(crate) mod exports;
mod isolation;
mod process;

pub use process::with_memory_limit;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{io::AsyncReadExt, sync::OnceCell, time::Instant};
use wpaas_slug::Limits;

pub(crate) use environment::Host;
use exports::Exports;
use isolation::Isolation;

use crate::{Error, Output, error::io as io_error, files, output::Lines};

/// How long what a program left in its pipes is still read once its process group is gone. A process that
/// escaped from the group may hold them open for ever.
const DRAIN: Duration = Duration::from_secs(1);
/// One read from a program's pipe.
const READ_BYTES: usize = 16 * 1024;

/// How long something may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    limit_ms: u64,
}

impl Deadline {
    pub(crate) fn after_ms(limit_ms: u64) -> Self {
        Self { at: Instant::now() + Limits::ms(limit_ms), limit_ms }
    }

    /// `work`, or an error that names `during` when the time is up; `work` is then dropped.
    pub(crate) async fn within<T>(
        self,
        during: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout_at(self.at, work).await.unwrap_or_else(|_| {
            Err(Error::Timeout { during: during.to_owned(), limit_ms: self.limit_ms })
        })
    }
}

/// Directories of one build for what programs write besides their results. They live in a cache directory,
/// not in `/tmp`, so that a killed platform leaves nothing that the next build does not clear.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    home: PathBuf,
    tmp: PathBuf,
    exports: Exports,
}

impl Workspace {
    /// An empty home and an empty temporary directory below `dir`.
    pub(crate) fn fresh(dir: &Path) -> Result<Self, Error> {
        let workspace = Self::at(dir);
        files::fresh_dir(&workspace.home)?;
        files::fresh_dir(&workspace.tmp)?;
        Ok(workspace)
    }

    fn at(dir: &Path) -> Self {
        Self { home: dir.join("home"), tmp: dir.join("tmp"), exports: Exports::default() }
    }

    /// Gives the programs of the build what a buildpack exports.
    pub(crate) fn export(&mut self, exports: Exports) {
        self.exports.extend(exports);
    }

    /// A new directory that programs can read.
    pub(crate) fn dir(&self, name: &str) -> Result<PathBuf, Error> {
        let dir = self.tmp.join(name);
        files::fresh_dir(&dir)?;
        Ok(dir)
    }
}

/// A program to run.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    dir: PathBuf,
    env: BTreeMap<OsString, OsString>,
    path_first: Vec<PathBuf>,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    registry: bool,
    shown: String,
}

impl Command {
    /// Runs `program` in `dir`, which it may change. `shown` names the command in errors.
    pub(crate) fn new(program: impl Into<PathBuf>, dir: &Path, shown: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            dir: dir.to_owned(),
            env: BTreeMap::new(),
            path_first: Vec::new(),
            readable: Vec::new(),
            writable: vec![dir.to_owned()],
            registry: false,
            shown: shown.into(),
        }
    }

    /// Names the command in errors.
    pub(crate) fn shown_as(mut self, shown: &str) -> Self {
        self.shown = shown.to_owned();
        self
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// The app's config vars, except for those that would change which programs a build runs.
    pub(crate) fn config_vars(mut self, vars: &BTreeMap<String, String>) -> Self {
        let allowed = vars.iter().filter(|(name, _)| environment::is_for_builds(name));
        self.env.extend(allowed.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Puts `dir` before the host's `PATH`.
    pub(crate) fn path_first(mut self, dir: &Path) -> Self {
        self.path_first.push(dir.to_owned());
        self.readable(dir)
    }

    /// Makes `path` visible although it may lie in the user's home.
    pub(crate) fn readable(mut self, path: &Path) -> Self {
        self.readable.push(path.to_owned());
        self
    }

    pub(crate) fn writable(mut self, path: &Path) -> Self {
        self.writable.push(path.to_owned());
        self
    }

    /// The working directory is not the program's to change.
    pub(crate) fn dir_read_only(mut self) -> Self {
        self.writable.retain(|path| *path != self.dir);
        let dir = self.dir.clone();
        self.readable(&dir)
    }

    /// The program installs packages without running their code: it gets the host's registry settings.
    pub(crate) fn uses_registry(mut self) -> Self {
        self.registry = true;
        self
    }
}

/// What a program that was run for its stdout gave.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) status: ExitStatus,
    /// At most as many bytes as asked for.
    pub(crate) stdout: Vec<u8>,
}

/// Runs commands. One per builder.
#[derive(Debug)]
pub(crate) struct Sandbox {
    host: Host,
    hidden: Vec<PathBuf>,
    limits: Limits,
    isolation: OnceCell<Isolation>,
    told: AtomicBool,
}

impl Sandbox {
    pub(crate) fn new(host: Host, hidden: Vec<PathBuf>, limits: Limits) -> Self {
        let told = AtomicBool::new(false);
        Self { host, hidden, limits, isolation: OnceCell::new(), told }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Whether builds must not see `path`, which is a real path.
    pub(crate) fn hides(&self, path: &Path) -> bool {
        let hidden = self.hidden.iter().filter_map(|hidden| hidden.canonicalize().ok());
        hidden.into_iter().any(|hidden| path.starts_with(hidden))
    }

    /// Says once that builds are not isolated, if they are not.
    pub(crate) async fn announce(&self, output: &Output) {
        if let Isolation::None { reason, .. } = self.isolation().await
            && !self.told.swap(true, Ordering::Relaxed)
        {
            output.warning(&format!(
                "Builds on this machine are not isolated from its files: {reason}"
            ));
            tracing::warn!(%reason, "builds are not isolated");
        }
    }

    async fn isolation(&self) -> &Isolation {
        self.isolation.get_or_init(|| isolation::probe(&self.host)).await
    }

    /// Runs a command whose output is the build's. An error unless it exits with 0.
    pub(crate) async fn run(
        &self,
        command: Command,
        workspace: &Workspace,
        deadline: Deadline,
        output: &Output,
    ) -> Result<(), Error> {
        let shown = command.shown.clone();
        let (status, _) = deadline
            .within(&format!("`{shown}`"), self.execute(command, workspace, output, None))
            .await?;
        check(status, shown)
    }

    /// Runs a command for its stdout, of which `limit` bytes are kept; stderr is the build's output. Its
    /// exit status is the caller's to judge.
    pub(crate) async fn capture(
        &self,
        command: Command,
        workspace: &Workspace,
        deadline: Deadline,
        output: &Output,
        limit: usize,
    ) -> Result<Captured, Error> {
        let during = format!("`{}`", command.shown);
        let work = self.execute(command, workspace, output, Some(limit));
        let (status, stdout) = deadline.within(&during, work).await?;
        Ok(Captured { status, stdout })
    }

    async fn execute(
        &self,
        command: Command,
        workspace: &Workspace,
        output: &Output,
        capture: Option<usize>,
    ) -> Result<(ExitStatus, Vec<u8>), Error> {
        let isolation = self.isolation().await;
        let shown = command.shown.clone();
        let env = self.host.environment(&command, workspace);
        let argv = isolation.wrap(&command, workspace, &self.host, &self.hidden);
        let argv = process::with_memory_limit(argv, self.limits.build_memory_bytes);
        let started = process::start(argv, command.dir.clone(), env).await;
        let mut running = started.map_err(io_error(format!("starting `{shown}`")))?;

        let line_bytes = Limits::size(self.limits.log_line_bytes);
        let mut stdout = Vec::new();
        let exited = {
            let read_stdout = async {
                match capture {
                    Some(limit) => keep(&mut running.stdout, &mut stdout, limit).await,
                    None => show(&mut running.stdout, output, line_bytes).await,
                }
            };
            let read = async {
                tokio::join!(read_stdout, show(&mut running.stderr, output, line_bytes));
            };
            tokio::pin!(read);
            tokio::select! {
                () = &mut read => (&mut running.exited).await,
                exited = &mut running.exited => {
                    // Whether it ends by itself or is cut off makes no difference to what was read.
                    let _ = tokio::time::timeout(DRAIN, &mut read).await;
                    exited
                }
            }
        };
        let status = exited
            .map_err(|_| Error::Internal(format!("nobody waited for `{shown}`")))?
            .map_err(io_error(format!("waiting for `{shown}`")))?;
        Ok((status, stdout))
    }
}

/// An error unless the status is success.
pub(crate) fn check(status: ExitStatus, command: String) -> Result<(), Error> {
    if status.success() {
        return Ok(());
    }
    let status = match (status.code(), status.signal()) {
        // A shell's way of saying that its last program was killed.
        (Some(137), _) | (None, Some(9)) => {
            "was killed: it, or the machine, may have run out of memory".to_owned()
        }
        (Some(code), _) => format!("exited with status {code}"),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
    };
    Err(Error::BuildFailed { command, status })
}

/// Shows what `pipe` yields; a pipe that breaks has ended.
async fn show(pipe: &mut (impl AsyncReadExt + Unpin), output: &Output, line_bytes: usize) {
    let mut lines = Lines::new(line_bytes);
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        lines.push(buffer.get(..count).unwrap_or_default(), |line| output.program(line));
    }
    lines.flush(|line| output.program(line));
}

/// Keeps the first `limit` bytes of what `pipe` yields and reads the rest, so that its writer can go on.
async fn keep(pipe: &mut (impl AsyncReadExt + Unpin), to: &mut Vec<u8>, limit: usize) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = limit.saturating_sub(to.len()).min(count);
        to.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
