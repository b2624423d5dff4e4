//! The compiler as a process, seen from the node.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};
use wpaas_slug::{Digest, Limits};

use super::Urgency;
use crate::Error;

/// The most of the compiler's messages that is kept, in bytes.
const MESSAGE_BYTES: u64 = 16 * 1024;
/// Tells the compiler's process how far it is to stand back.
const NICE: &str = "WPAAS_COMPILE_NICE";
/// For code that somebody waits for.
const NICE_NOW: i32 = 10;
/// For code that nobody waits for yet; the lowest priority there is.
const NICE_LATER: i32 = 19;
/// How [`Error::Compile`] begins.
const COMPILE_FAILED: &str = "does not compile: ";
const MIB: u64 = 1024 * 1024;

/// What the node has told this process, which is the compiler's.
#[cfg(feature = "compiler")]
pub(super) fn niceness() -> i32 {
    std::env::var(NICE).ok().and_then(|nice| nice.parse().ok()).unwrap_or(NICE_NOW)
}

/// Runs the compiler until it is done or over its time. Dropping the future kills it.
pub(super) async fn run(
    mut command: Command,
    program: &Path,
    component: Digest,
    limits: &Limits,
    urgency: Urgency,
) -> Result<(), Error> {
    let nice = if urgency == Urgency::Now { NICE_NOW } else { NICE_LATER };
    command
        // No credentials of the node in a process that reads strangers' bytes.
        .env_clear()
        .env("WPAAS_LIMIT_COMPILE_MEMORY_BYTES", limits.compile_memory_bytes.to_string())
        .env("WPAAS_LIMIT_COMPILED_BYTES", limits.compiled_bytes.to_string())
        .env(NICE, nice.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let failed = |error| Error::CompilerStart { program: program.to_owned(), error };
    let mut child = command.spawn().map_err(failed)?;
    // Held open until the end: the process ends when it closes. `wait` would close it.
    let _lifeline = child.stdin.take();
    let messages = child.stderr.take();
    let finished = async { tokio::join!(child.wait(), read_messages(messages)) };
    let finished = tokio::time::timeout(Limits::ms(limits.compile_ms), finished).await;
    let Ok((status, message)) = finished else {
        if let Err(error) = child.kill().await {
            tracing::warn!("cannot kill the compiler: {error}");
        }
        let reason = format!(
            "it takes longer than {} ms, the limit compile_ms; make the component smaller",
            limits.compile_ms
        );
        return Err(Error::compile(component, reason));
    };
    let status = status.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::compile(component, reason(status, message, limits)))
}

pub(super) fn too_large(limits: &Limits) -> String {
    format!(
        "its machine code is larger than {} bytes, the limit compiled_bytes",
        limits.compiled_bytes
    )
}

/// Why the process failed.
fn reason(status: ExitStatus, message: String, limits: &Limits) -> String {
    let killed_by = |signal: Signal| status.signal() == Some(signal.as_raw());
    if killed_by(Signal::XFSZ) {
        return too_large(limits);
    }
    // What Rust's standard library and the system say when the address space is used up.
    if message.contains("memory allocation of") || message.contains("Cannot allocate memory") {
        let limit = limits.compile_memory_bytes / MIB;
        return format!("compiling it takes more than {limit} MB, the limit compile_memory_bytes");
    }
    if message.contains("has overflowed its stack") {
        return "it is nested too deeply".to_owned();
    }
    match status.code() {
        // The process has said which component, as the node will.
        Some(_) if !message.is_empty() => match message.split_once(COMPILE_FAILED) {
            Some((_, reason)) => reason.to_owned(),
            None => message,
        },
        Some(code) => format!("the compiler ended with status {code}"),
        None => format!("the compiler was killed ({status}): {message}"),
    }
}

/// The first part of what the compiler says; the rest is read and dropped so that it does not block.
async fn read_messages(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else { return String::new() };
    let mut kept = Vec::new();
    let read = (&mut from).take(MESSAGE_BYTES).read_to_end(&mut kept).await;
    if read.is_ok() {
        // Only whether it ends matters, and it ends with the process.
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::{Compiler, compile},
        engine::Wasi,
    };

    async fn run_shell(script: &str, limits: &Limits, urgency: Urgency) -> Result<(), Error> {
        let compiler =
            Compiler::Process { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] };
        let (input, output) = (Path::new("in"), Path::new("out"));
        compile(&compiler, Digest::of(b""), input, output, limits, (urgency, Wasi::P2)).await
    }

    #[tokio::test]
    async fn failures_of_the_process_are_permanent_and_say_why() {
        let limits = Limits::default();
        run_shell("exit 0", &limits, Urgency::Now).await.unwrap();
        for (script, expected) in [
            ("echo 'unknown import x' >&2; exit 1", "unknown import x"),
            (
                "echo 'component x does not compile: y' >&2; exit 1",
                "e3b0c44298fc does not compile: y",
            ),
            ("exit 3", "status 3"),
            ("kill -9 $$", "was killed"),
            ("kill -XFSZ $$", "the limit compiled_bytes"),
            ("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", "8192 MB, the limit"),
            ("echo 'thread has overflowed its stack' >&2; kill -ABRT $$", "nested too deeply"),
        ] {
            let error = run_shell(script, &limits, Urgency::Now).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.permanent());
        }
    }

    #[tokio::test]
    async fn code_that_nobody_waits_for_has_the_lowest_priority() {
        let limits = Limits::default();
        run_shell("[ $WPAAS_COMPILE_NICE = 10 ]", &limits, Urgency::Now).await.unwrap();
        run_shell("[ $WPAAS_COMPILE_NICE = 19 ]", &limits, Urgency::Later).await.unwrap();
    }

    #[tokio::test]
    async fn a_compiler_over_its_time_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", pid.display());
        let limits = Limits { compile_ms: 300, ..Limits::default() };
        let error = run_shell(&script, &limits, Urgency::Now).await.unwrap_err();
        assert!(error.to_string().contains("the limit compile_ms"), "{error}");
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
    }
}
