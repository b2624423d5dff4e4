//! One program as a process group that can be ended as a whole, at any time, by dropping a value.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    process::{ChildStderr, ChildStdout},
    sync::oneshot,
};

/// A process group, as long as its leader has not been waited for: until then nobody else gets its id.
#[derive(Debug)]
struct Group(Mutex<Option<Pid>>);

impl Group {
    fn kill(&self) {
        if let Some(leader) = *self.0.lock() {
            // The only error is that no process is left, which is what we want.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Ends what the leader left behind, and gives up the id.
    fn finish(&self) {
        self.kill();
        *self.0.lock() = None;
    }
}

/// Kills the group when dropped.
#[derive(Debug)]
struct KillOnDrop(Arc<Group>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A started program. Dropping it kills its process group.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
    /// Told when the leader has ended and the rest of its group was killed.
    pub(super) exited: oneshot::Receiver<io::Result<ExitStatus>>,
    _guard: KillOnDrop,
}

/// Puts a memory limit before a program. `ulimit -d` bounds the private memory that a process can write to
/// (`RLIMIT_DATA`), for every process by itself; a limit on address space (`-v`) would break V8 and wasmtime, which
/// reserve terabytes that they never touch. The shell sets it, because the child's own limits can only be set
/// between fork and exec, which safe Rust cannot do.
pub fn with_memory_limit(argv: Vec<OsString>, bytes: u64) -> Vec<OsString> {
    let script = r#"ulimit -c 0; ulimit -d "$0" 2>/dev/null; exec "$@""#;
    let mut limited: Vec<OsString> = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
    limited.push((bytes / 1024).to_string().into());
    limited.extend(argv);
    limited
}

/// Starts `argv` as the leader of a new process group, with nothing on stdin and only `env`.
pub(super) async fn start(
    argv: Vec<OsString>,
    dir: PathBuf,
    env: BTreeMap<OsString, OsString>,
) -> io::Result<Running> {
    let mut argv = argv.into_iter();
    let mut command = Command::new(argv.next().unwrap_or_default());
    command
        .args(argv)
        .current_dir(dir)
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let (to_starter, started) = oneshot::channel();
    // One thread starts the program and waits for it: the kernel's "die with your parent" means the parent's
    // thread, and the threads of an async runtime come and go.
    tokio::task::spawn_blocking(move || {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let _ = to_starter.send(Err(error));
                return;
            }
        };
        let leader = Pid::from_child(&child);
        let group = Arc::new(Group(Mutex::new(Some(leader))));
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (to_waiter, exited) = oneshot::channel();
        // When nobody wants it any more, the guard inside is dropped and kills the group.
        let _ = to_starter.send(Ok((pipes, exited, KillOnDrop(group.clone()))));
        // Without reaping: a zombie keeps its id, so that killing the group cannot hit a stranger.
        let _ = waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        group.finish();
        let _ = to_waiter.send(child.wait());
    });
    let (pipes, exited, guard) = started.await.map_err(io::Error::other)??;
    let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("the program has no pipes"))?;
    Ok(Running {
        stdout: ChildStdout::from_std(stdout)?,
        stderr: ChildStderr::from_std(stderr)?,
        exited,
        _guard: guard,
    })
}
