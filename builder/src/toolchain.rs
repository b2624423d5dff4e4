//! What builds use that is not part of this binary: Node.js and npm, Python, cargo, the stacks' recipes. Accepted
//! versions are in one file, `builder/toolchains.lock`.

pub(crate) mod cargo;
pub(crate) mod lock;
pub(crate) mod manager;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod recipe;
pub(crate) mod stack;

use std::{ffi::OsStr, path::Path, process::Stdio, time::Duration};

use crate::Error;

/// A tool asked for its version answers at once or not at all.
const ASK: Duration = Duration::from_secs(20);

/// What one of the host's own tools prints on stdout, trimmed. Runs outside the sandbox, in the root
/// directory, where no file of an app can change what it does.
async fn ask<A: AsRef<OsStr>>(
    tool: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<String, Error> {
    let failed = |what: String| Error::Toolchain(format!("{}: {what}", tool.display()));
    let run = tokio::process::Command::new(tool)
        .args(args)
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(ASK, run).await {
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(failed(said.trim().chars().take(500).collect()))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", ASK.as_secs()))),
    }
}
