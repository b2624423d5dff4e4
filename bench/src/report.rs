//! Tables for people, and bench/RESULTS.md.

use std::{fmt::Write as _, time::Duration};

use anyhow::Context as _;

use crate::app::checkout;

/// The middle of the samples, in milliseconds.
pub(crate) fn median_ms(samples: &[Duration]) -> f64 {
    median(samples.iter().map(|sample| sample.as_secs_f64() * 1e3))
}

/// The middle of the numbers.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
    f64::midpoint(upper, lower)
}

/// The smallest sample that `percent` of the samples do not exceed, in milliseconds (nearest rank).
pub(crate) fn percentile_ms(samples: &[Duration], percent: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is a small positive number"
    )]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |sample| sample.as_secs_f64() * 1e3)
}

/// The largest of the samples, in milliseconds.
pub(crate) fn max_ms(samples: &[Duration]) -> f64 {
    samples.iter().max().map_or(f64::NAN, |sample| sample.as_secs_f64() * 1e3)
}

/// One line on machine and versions.
pub(crate) fn machine() -> String {
    let run = |program: &str, argument: &str| {
        let output = std::process::Command::new(program).arg(argument).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        text.lines().next().map(str::to_owned)
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("CPU");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut line = format!("{cores} × {cpu}");
    for (program, argument) in
        [("uname", "-sr"), ("node", "--version"), ("npm", "--version"), ("python3", "--version")]
    {
        if let Some(version) = run(program, argument) {
            let _ = write!(
                line,
                ", {}{version}",
                if matches!(program, "uname" | "python3") {
                    String::new()
                } else {
                    format!("{program} ")
                }
            );
        }
    }
    let date = jiff::Zoned::now().strftime("%Y-%m-%d");
    format!("{date}, wpaas {}, {line}", env!("CARGO_PKG_VERSION"))
}

/// Replaces the section `## TITLE` of bench/RESULTS.md, or appends it.
pub(crate) fn keep(title: &str, body: &str) -> anyhow::Result<()> {
    let path = checkout().join("bench/RESULTS.md");
    let old = std::fs::read_to_string(&path).unwrap_or_else(|_| {
        "# Results\n\nThe last run of each benchmark, written by `bench/run.sh`.\n".into()
    });
    let heading = format!("\n## {title}\n");
    let (before, after) = match old.split_once(&heading) {
        Some((before, rest)) => {
            let next = rest.find("\n## ").and_then(|at| rest.get(at..)).unwrap_or("");
            (before.to_owned(), next.to_owned())
        }
        None => (old, String::new()),
    };
    let text = format!("{before}{heading}\n{}\n{after}", body.trim());
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

/// What a benchmark must reach.
pub(crate) struct Target {
    /// `fresh instances ÷ wasmtime serve`
    pub(crate) what: String,
    /// `≥ 3.0`
    pub(crate) wanted: String,
    /// What was measured, as the table shows it.
    pub(crate) got: String,
    /// Whether that is enough.
    pub(crate) met: bool,
}

impl Target {
    /// `what` must be at least `wanted`.
    pub(crate) fn at_least(what: impl Into<String>, wanted: f64, got: f64) -> Self {
        let (what, met) = (what.into(), got >= wanted);
        Self { what, wanted: format!("≥ {wanted:.2}"), got: format!("{got:.2}"), met }
    }

    /// `what` must be less than `wanted`.
    pub(crate) fn below(what: impl Into<String>, wanted: f64, got: f64, unit: &str) -> Self {
        let (what, met) = (what.into(), got < wanted);
        Self { what, wanted: format!("< {wanted} {unit}"), got: format!("{got:.2} {unit}"), met }
    }

    /// Something that is so or is not.
    pub(crate) fn so(what: impl Into<String>, got: impl Into<String>, met: bool) -> Self {
        Self { what: what.into(), wanted: "yes".into(), got: got.into(), met }
    }
}

/// Prints `body` with the table of targets, keeps both, and fails when a target was missed.
pub(crate) fn conclude(title: &str, body: &str, targets: &[Target]) -> anyhow::Result<()> {
    let mut text = format!("{}\n\n{}\n\n", machine(), body.trim());
    text.push_str("| target | wanted | got | met |\n|---|---|---|---|\n");
    for Target { what, wanted, got, met } in targets {
        let _ =
            writeln!(text, "| {what} | {wanted} | {got} | {} |", if *met { "yes" } else { "NO" });
    }
    println!("{text}");
    keep(title, &text)?;
    let missed: Vec<&str> =
        targets.iter().filter(|target| !target.met).map(|target| target.what.as_str()).collect();
    anyhow::ensure!(missed.is_empty(), "{title} missed: {}", missed.join("; "));
    Ok(())
}
