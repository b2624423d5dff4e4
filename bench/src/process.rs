//! What the kernel says of a process: CPU time and memory.

use std::time::Duration;

use anyhow::Context as _;

/// `USER_HZ`, which is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time that a process with all its threads has used so far.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    // utime and stime are fields 14 and 15, and the name was field 2.
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let ticks: f64 = ticks.collect::<Result<Vec<_>, _>>()?.iter().sum();
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

/// Memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident set.
    pub(crate) rss_mib: f64,
    /// Resident set without what comes from files.
    pub(crate) private_mib: f64,
}

/// Memory that a process has now.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> anyhow::Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)).context(name.to_owned())?;
        Ok(kib.parse::<f64>()? / 1024.0)
    };
    Ok(Memory { rss_mib: field("VmRSS")?, private_mib: field("RssAnon")? })
}

/// A port that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
