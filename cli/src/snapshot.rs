//! `wpaas snapshot`, hidden: the process of a build in which an app is evaluated for its snapshot. It is the app's
//! code that runs here, so it runs in the build's sandbox.

use std::{io::Write as _, path::PathBuf};

use wpaas_builder::SnapshotProgram;
use wpaas_runtime::SnapshotSpec;

use crate::limits;

/// Arguments of the evaluating process.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stack's component.
    #[arg(long)]
    stack: PathBuf,
    /// The directory that is `/app`.
    #[arg(long)]
    app: PathBuf,
    /// The directory that is `/tmp`.
    #[arg(long)]
    tmp: PathBuf,
    /// Where the app's component goes.
    #[arg(long)]
    output: PathBuf,
    /// A variable of the app's environment.
    #[arg(long, value_parser = variable)]
    env: Vec<(String, String)>,
    /// The arguments of a dyno.
    #[arg(last = true)]
    args: Vec<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The program that evaluates apps: this one again, as `wpaas snapshot`. By its path, since the sandbox has a process
/// table of its own; none when its file is gone.
pub(crate) fn program() -> Option<SnapshotProgram> {
    let program = std::env::current_exe().ok().filter(|program| program.is_file())?;
    Some(SnapshotProgram { program, args: vec!["snapshot".into()] })
}

/// Evaluates an app, and prints what came of it as JSON.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let limits = limits::of_environment()?;
    let Args { stack, app, tmp, output, env, args } = args;
    let spec = SnapshotSpec { stack, app, tmp, output, env, args };
    let evaluated = wpaas_runtime::snapshot_main(&spec, &limits).await?;
    let report = serde_json::json!({ "problems": evaluated.problems, "env": evaluated.env });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
