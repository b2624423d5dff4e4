//! Compiling a component to machine code, in a process of its own that can be killed: the time and
//! memory that a hostile component makes the compiler take is not something wasmtime bounds.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};
use wpaas_slug::{Digest, Limits};

use crate::{Error, engine};

/// The most of the compiler's messages that is kept, in bytes.
const MESSAGE_BYTES: u64 = 16 * 1024;

/// How a node compiles components.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// Runs `program args… INPUT.wasm OUTPUT.cwasm`, which calls [`compile_main`]. It is killed after
    /// `compile_ms`, and its address space is limited to `compile_memory_bytes`.
    Process {
        /// The program.
        program: PathBuf,
        /// What comes before the two file names.
        args: Vec<OsString>,
    },
    /// Compiles on a thread of this process, which no limit can stop. For tests, examples, and nodes
    /// that run only components of their operator.
    InProcess,
}

/// Compiles `input` to `output`; what the program of [`Compiler::Process`] does. It lowers the process's own
/// limits to `compile_memory_bytes` first, so the process must do nothing else.
///
/// # Errors
///
/// [`Error::Compile`] says why the component is refused; [`Error::Cache`] that a file cannot be read or
/// written.
pub fn compile_main(input: &Path, output: &Path, limits: &Limits) -> Result<(), Error> {
    lower(Resource::As, limits.compile_memory_bytes);
    lower(Resource::Core, 0);
    // Requests that are being served go first.
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!("cannot lower the compiler's priority: {error}");
    }
    compile_file(input, output)
}

fn lower(resource: Resource, limit: u64) {
    let current = getrlimit(resource);
    let lowered = current.maximum.map_or(limit, |maximum| maximum.min(limit));
    let limit = Rlimit { current: Some(lowered), maximum: Some(lowered) };
    if let Err(error) = setrlimit(resource, limit) {
        tracing::warn!("cannot limit the compiler's {resource:?}: {error}");
    }
}

fn compile_file(input: &Path, output: &Path) -> Result<(), Error> {
    let wasm = std::fs::read(input).map_err(Error::cache(input))?;
    let code = engine::compiling()?
        .precompile_component(&wasm)
        .map_err(|error| Error::compile(Digest::of(&wasm), format!("{error:#}")))?;
    std::fs::write(output, code).map_err(Error::cache(output))
}

/// Compiles the file of `component` to the file `output`.
pub(crate) async fn compile(
    compiler: &Compiler,
    component: Digest,
    input: &Path,
    output: &Path,
    limits: &Limits,
) -> Result<(), Error> {
    match compiler {
        Compiler::InProcess => {
            let (input, output) = (input.to_owned(), output.to_owned());
            tokio::task::spawn_blocking(move || compile_file(&input, &output))
                .await
                .map_err(|_| Error::compile(component, "the compiler crashed"))?
        }
        Compiler::Process { program, args } => {
            let mut command = Command::new(program);
            command.args(args).arg(input).arg(output);
            run(command, program, component, limits).await
        }
    }
}

async fn run(
    mut command: Command,
    program: &Path,
    component: Digest,
    limits: &Limits,
) -> Result<(), Error> {
    command
        // No credentials of the node in a process that reads strangers' bytes.
        .env_clear()
        .env("WPAAS_LIMIT_COMPILE_MEMORY_BYTES", limits.compile_memory_bytes.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| Error::CompilerStart { program: program.to_owned(), error })?;
    let messages = child.stderr.take();
    let finished = async { tokio::join!(child.wait(), read_messages(messages)) };
    let finished = tokio::time::timeout(Limits::ms(limits.compile_ms), finished).await;
    let Ok((status, message)) = finished else {
        if let Err(error) = child.kill().await {
            tracing::warn!("cannot kill the compiler: {error}");
        }
        let seconds = limits.compile_ms / 1000;
        return Err(Error::compile(
            component,
            format!("it takes longer than the limit of {seconds} s; make the component smaller"),
        ));
    };
    let status =
        status.map_err(|error| Error::CompilerStart { program: program.to_owned(), error })?;
    if status.success() {
        return Ok(());
    }
    let reason = match status.code() {
        Some(_) if !message.is_empty() => message,
        Some(code) => format!("the compiler ended with status {code}"),
        None => format!(
            "the compiler was killed ({status}); it may use {} MB of memory: {message}",
            limits.compile_memory_bytes / (1024 * 1024)
        ),
    };
    Err(Error::compile(component, reason))
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

    async fn run_shell(script: &str, limits: &Limits) -> Result<(), Error> {
        let compiler =
            Compiler::Process { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] };
        compile(&compiler, Digest::of(b""), Path::new("in"), Path::new("out"), limits).await
    }

    #[tokio::test]
    async fn failures_of_the_process_are_permanent_and_say_why() {
        let limits = Limits::default();
        run_shell("exit 0", &limits).await.unwrap();
        for (script, expected) in [
            ("echo 'unknown import x' >&2; exit 1", "unknown import x"),
            ("exit 3", "status 3"),
            ("kill -9 $$", "was killed"),
        ] {
            let error = run_shell(script, &limits).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.permanent());
        }
    }

    #[tokio::test]
    async fn a_compiler_over_its_time_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", pid.display());
        let limits = Limits { compile_ms: 300, ..Limits::default() };
        let error = run_shell(&script, &limits).await.unwrap_err();
        assert!(error.to_string().contains("longer than the limit"), "{error}");
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
    }

    #[test]
    fn rubbish_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (input, output) = (directory.path().join("in"), directory.path().join("out"));
        std::fs::write(&input, "not wasm").unwrap();
        assert!(matches!(compile_file(&input, &output), Err(Error::Compile { .. })));
        assert!(!output.exists());
    }
}
