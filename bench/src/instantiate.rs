//! Makes the table of what runtime/benches/instantiate.rs has measured; bench/run.sh runs that first.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::Value;

use crate::report::{self, Target};

/// Where the figures are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Criterion's directory
    criterion: PathBuf,
    /// A line for each number of live dynos: the number and the process' KiB
    memory: PathBuf,
}

/// Prints the table, keeps it, and fails when a target is missed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let memory = std::fs::read_to_string(&args.memory)?;
    let memory = memory.lines().map(|line| -> anyhow::Result<(u32, f64)> {
        let (count, kib) = line.split_once(' ').context("a line of the memory file")?;
        Ok((count.parse()?, kib.parse()?))
    });
    let memory: Vec<(u32, f64)> = memory.collect::<Result<_, _>>()?;
    let (_, none) = *memory.first().context("no memory figures")?;
    let bare = microseconds(&args.criterion, "wasmtime", 0)?;
    let mut text = String::from(
        "Start and drop of one dyno of Rust hello with its world (config vars, `/app`, `/tmp`, log, limits), \
         beside others that live; criterion's medians. The peer is wasmtime's pooling allocator with its \
         defaults and an empty world. Memory is the process' proportional set size.\n\n\
         | what | live beside it | µs | ÷ peer | MiB of all | KiB a live dyno |\n|---|---|---|---|---|---|\n",
    );
    let (mut alone, mut last) = (f64::NAN, f64::NAN);
    for (count, kib) in &memory {
        last = microseconds(&args.criterion, "wpaas", *count)?;
        if *count == 0 {
            alone = last;
        }
        let each = if *count == 0 {
            String::new()
        } else {
            format!("{:.0}", (kib - none) / f64::from(*count))
        };
        let _ = writeln!(
            text,
            "| wpaas | {count} | {last:.1} | {:.2} | {:.1} | {each} |",
            last / bare,
            kib / 1024.0
        );
    }
    let _ = writeln!(text, "| peer | 0 | {bare:.1} | 1.00 | | |");
    report::conclude(
        "instantiate",
        &text,
        &[
            Target::below("start and drop, alone", 10.0, alone, "µs"),
            Target::below("start and drop, beside the most", 10.0, last, "µs"),
        ],
    )
}

fn microseconds(criterion: &Path, what: &str, live: u32) -> anyhow::Result<f64> {
    let path = criterion.join(format!("instantiate/{what}/{live}/new/estimates.json"));
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let estimates: Value = serde_json::from_slice(&text)?;
    let median = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    Ok(median.context("no median")? / 1e3)
}
