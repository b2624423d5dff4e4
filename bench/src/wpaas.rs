//! Runs the `wpaas` program that was built beside this one.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// The program.
fn program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("wpaas");
    if !program.is_file() {
        bail!("{} is missing: start benchmarks with bench/run.sh", program.display());
    }
    Ok(program)
}

/// A `wpaas` process in the background that has said where it serves.
pub(crate) struct Running {
    /// Lines it printed until then.
    said: Vec<String>,
    home: Arc<TempDir>,
    child: Child,
    /// When the process was started.
    pub(crate) started: Instant,
}

impl Running {
    /// Starts `wpaas ARGUMENTS…` with throw-away data and waits for a line with `ready`.
    pub(crate) async fn start(arguments: &[&str], ready: &str) -> anyhow::Result<Self> {
        Self::start_in(Arc::new(tempfile::tempdir()?), &[], arguments, ready).await
    }

    /// The same with the data that an earlier process left in `home`, and with variables.
    pub(crate) async fn start_in(
        home: Arc<TempDir>,
        variables: &[(&str, &str)],
        arguments: &[&str],
        ready: &str,
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(program()?)
            .args(arguments)
            .env("WPAAS_CONFIG_DIR", home.path().join("config"))
            .env("WPAAS_DATA", home.path().join("data"))
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        let mut said = Vec::new();
        while let Some(line) = lines.next_line().await? {
            let done = line.contains(ready);
            said.push(line);
            if done {
                // Read on, or it stalls once the pipe is full.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Self { said, home, child, started });
            }
        }
        bail!("wpaas {arguments:?} ended: {said:#?}")
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("wpaas has ended")
    }

    /// Kills it, as a crash of the machine would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The word that follows `prefix` in what it printed.
    pub(crate) fn word_after(&self, prefix: &str) -> anyhow::Result<String> {
        let after = self.said.iter().find_map(|line| line.split_once(prefix));
        let word = after.and_then(|(_, rest)| rest.split_whitespace().next());
        word.map(str::to_owned).with_context(|| format!("no {prefix:?} in {:#?}", self.said))
    }

    /// A command that talks to this server.
    pub(crate) fn command(&self, api: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        command
            .env("WPAAS_CONFIG_DIR", self.home.path().join("config"))
            .env("WPAAS_API", api)
            .stdin(Stdio::null());
        Ok(command)
    }
}
