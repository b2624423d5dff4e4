//! The servers that wpaas is compared with.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use http::HeaderMap;
use tokio::process::{Child, Command};

use crate::{component, process};

/// Longest wait for a peer to compile the component and to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running peer, ended when dropped.
pub(crate) struct Peer {
    child: Child,
    port: u16,
    /// What it answers.
    pub(crate) answer: Answer,
}

/// An answer that all servers must give alike.
pub(crate) struct Answer {
    pub(crate) body: String,
    headers: HeaderMap,
}

impl Peer {
    pub(crate) async fn start(mut command: Command, port: u16) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.kill_on_drop(true).spawn().with_context(|| {
            format!("cannot start {:?}; bench/setup.sh installs it", command.as_std().get_program())
        })?;
        let url = format!("http://127.0.0.1:{port}/");
        let listening = async {
            loop {
                match answer(&url).await {
                    Ok(answer) => return answer,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, listening).await;
        let answer = answer.with_context(|| format!("no answer from {command:?}"))?;
        Ok(Self { child, port, answer })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("a peer has ended")
    }
}

/// What `url` answers.
pub(crate) async fn answer(url: &str) -> anyhow::Result<Answer> {
    let response = reqwest::get(url).await?;
    ensure!(response.status().is_success(), "{url}: {}", response.status());
    let headers = response.headers().clone();
    Ok(Answer { headers, body: response.text().await? })
}

/// `wasmtime serve` with more arguments.
pub(crate) async fn wasmtime_serve(component: &Path, arguments: &[&str]) -> anyhow::Result<Peer> {
    let port = process::free_port()?;
    let mut command = Command::new(component::cache()?.join("bin/wasmtime"));
    command.args(["serve", "--addr", &format!("127.0.0.1:{port}"), "-S", "cli"]);
    command.args(arguments).arg(component);
    Peer::start(command, port).await
}

/// The plain hyper server, which gives the answer that the component gives.
pub(crate) async fn plain_hyper(answer: &Answer) -> anyhow::Result<Peer> {
    let port = process::free_port()?;
    let mut command = Command::new(std::env::current_exe()?.with_file_name("plain-hyper"));
    command.arg(port.to_string()).arg(&answer.body);
    for (name, value) in &answer.headers {
        // hyper makes these itself, as it does for the component.
        if !matches!(name.as_str(), "date" | "content-length" | "transfer-encoding") {
            command.args([name.as_str(), value.to_str()?]);
        }
    }
    Peer::start(command, port).await
}
