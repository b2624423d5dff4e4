//! The application under test: a private copy of examples/node-express that changes by one line.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

/// The line of the example that changes.
const GREETING: &str = "Hello from Express";

/// A copy of the example.
pub(crate) struct App {
    directory: tempfile::TempDir,
    original: String,
}

impl App {
    /// Copies examples/node-express.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        copy_example("node-express", directory.path())?;
        let original = std::fs::read_to_string(directory.path().join("server.js"))?;
        ensure!(original.contains(GREETING), "the example does not say {GREETING:?}");
        Ok(Self { directory, original })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Saves a version of it that answers with the returned text.
    pub(crate) fn change(&self, version: u32) -> anyhow::Result<String> {
        let text = format!("Hello number {version}.");
        std::fs::write(self.path().join("server.js"), self.original.replace(GREETING, &text))?;
        Ok(text)
    }
}

/// Copies an example without what builds and deploys left in it.
pub(crate) fn copy_example(name: &str, to: &Path) -> anyhow::Result<()> {
    let example = checkout().join("examples").join(name).join(".");
    let status = Command::new("cp").arg("-R").arg(example).arg(to).status()?;
    ensure!(status.success(), "cp failed");
    for left in ["node_modules", "target", ".wpaas"] {
        let path = to.join(left);
        if path.exists() {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// The checkout that this program was built from.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Asks until the answer has `text`; no pause in between, since the pause would be measured.
pub(crate) async fn answers(
    client: &reqwest::Client,
    url: &str,
    host: &str,
    text: &str,
) -> anyhow::Result<()> {
    let patience = std::time::Duration::from_secs(60);
    let asking = async {
        loop {
            if let Ok(response) = client.get(url).header("host", host).send().await
                && response.text().await.is_ok_and(|body| body.contains(text))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, asking).await.with_context(|| format!("no {text:?} from {url}"))
}

/// Installs its packages as its lockfile says.
pub(crate) async fn npm_ci(app: &App) -> anyhow::Result<()> {
    let mut npm = tokio::process::Command::new("npm");
    npm.args(["ci", "--silent", "--prefer-offline", "--no-audit", "--no-fund"]);
    let status = npm.current_dir(app.path()).stdout(Stdio::null()).status().await?;
    ensure!(status.success(), "npm ci failed");
    Ok(())
}

/// Starts native Node.js in it.
pub(crate) fn node(
    app: &App,
    port: u16,
    arguments: &[&str],
) -> anyhow::Result<tokio::process::Child> {
    let mut node = tokio::process::Command::new("node");
    node.args(arguments).env("PORT", port.to_string()).current_dir(app.path());
    Ok(node.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?)
}
