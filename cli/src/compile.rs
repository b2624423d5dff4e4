//! `wpaas compile`, hidden: the child process in which components become machine code. It is a process of
//! its own so that it can be killed, and so that a component that breaks the compiler breaks nothing else.

use std::path::PathBuf;

use crate::limits;

/// Arguments of the compiler process.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// As the node that asks.
    #[arg(long)]
    wasi_p3: bool,
    /// The component to compile.
    input: PathBuf,
    /// Where the machine code goes.
    output: PathBuf,
}

/// Compiles one component.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let limits = limits::of_environment()?;
    Ok(wpaas_runtime::compile_main(&args.input, &args.output, &limits, args.wasi_p3)?)
}
