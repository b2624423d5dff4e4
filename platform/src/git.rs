//! Git repositories of apps: bare, one for each app that somebody pushed to, in the data directory.
//!
//! git's own `receive-pack` and `upload-pack` do the work, as children that see nothing of the server's
//! environment and no configuration of anybody's. They are called directly and not by `git http-backend`:
//! that would put one more process and a CGI response between us and what is to be bounded. What a push
//! means is decided in its pre-receive hook (`git/hook.rs`, `git/push.rs`), so a push whose build fails is
//! refused as any hook refuses it: no ref moves, and its objects, which were in quarantine, are gone.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;
use uuid::Uuid;
use wpaas_slug::Limits;

use crate::{Error, Inner, error::io};

mod hook;
mod push;

pub(crate) use push::Push;

/// Objects above this are streamed and not held in memory.
const BIG_FILE: &str = "core.bigFileThreshold=8m";

impl Inner {
    /// Where the app's repository is, or would be.
    pub(crate) fn repository(&self, app: Uuid) -> PathBuf {
        self.data.repository(app)
    }

    /// The app's repository, which is made if there is none.
    pub(crate) async fn open_repository(&self, app: Uuid) -> Result<PathBuf, Error> {
        let path = self.repository(app);
        if path.join("HEAD").exists() {
            return Ok(path);
        }
        // Renamed into place, so that nobody sees the half of it.
        let scratch = self.data.scratch_dir()?;
        let mut init = self.git(scratch.path());
        init.args(["init", "--quiet", "--bare", "--template=", "--initial-branch=main", "."]);
        run(init, "git init").await?;
        match tokio::fs::rename(scratch.path(), &path).await {
            Err(_) if path.join("HEAD").exists() => {}
            done => done.map_err(io("git repository"))?,
        }
        Ok(path)
    }

    /// git in `directory`, without anything of this process's environment and with a limit on memory.
    pub(crate) fn git(&self, directory: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        let memory = self.limits.git_memory_bytes;
        command
            .args(wpaas_builder::with_memory_limit(vec!["git".into()], memory).into_iter().skip(1))
            .args(["-c", BIG_FILE, "-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(["-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*"])
            .args(["-c", "transfer.fsckObjects=true", "-c", "receive.autogc=false"])
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// The same for a repository, which nothing on the way up to the root may replace.
    pub(crate) fn git_of(&self, repository: &Path) -> Command {
        let mut command = self.git(repository);
        command.env("GIT_DIR", repository);
        command
    }

    /// Packs what pushes left, and removes what no branch leads to any more.
    async fn tidy(&self, repository: &Path) -> Result<(), Error> {
        let mut gc = self.git_of(repository);
        gc.args(["-c", "gc.auto=200", "-c", "gc.autoPackLimit=10", "-c", "gc.autoDetach=false"])
            .args(["-c", "gc.pruneExpire=1.hour.ago", "gc", "--auto", "--quiet"]);
        run(gc, "git gc").await.map(drop)
    }

    /// Bytes of all files of a repository.
    async fn repository_bytes(&self, repository: PathBuf) -> u64 {
        let sum = move || bytes_below(&repository);
        tokio::task::spawn_blocking(sum).await.unwrap_or(u64::MAX)
    }
}

fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
            _ => entry.metadata().map_or(0, |metadata| metadata.len()),
        })
        .fold(0, u64::saturating_add)
}

/// Runs git to its end and returns what it printed.
async fn run(mut command: Command, what: &str) -> Result<Vec<u8>, Error> {
    let output = command.output().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Invalid("git is not installed where wpaas runs.".into())
        }
        _ => io(what)(error),
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io(what)(std::io::Error::other(format!("{}: {}", output.status, said.trim()))))
}

/// How long a request of git's may take, its build included.
pub(crate) fn patience(limits: &Limits) -> std::time::Duration {
    Limits::ms(limits.git_request_ms)
}
