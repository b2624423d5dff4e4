//! A file system and a process table of the build's own, by bubblewrap.
//!
//! The build sees the machine's programs read-only, and nothing of the user's home, of `/tmp`, of `/run` (where
//! container engines listen) or of the directories that the platform wants hidden, except for the
//! paths that its command names. The network stays: builds fetch packages.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use super::{Command, Host, Workspace};

/// bubblewrap answers at once or not at all.
const PROBE: Duration = Duration::from_secs(10);

/// How programs are kept apart from the machine.
#[derive(Debug, Clone)]
pub(super) enum Isolation {
    /// bubblewrap works here.
    Bubblewrap {
        /// Its program.
        program: PathBuf,
    },
    /// Only environment, time, memory and process group are bounded.
    None {
        /// Why, and what to do about it.
        reason: String,
        /// util-linux' setpriv, which makes a program die with us.
        setpriv: Option<PathBuf>,
    },
}

/// Finds out once what this machine can do.
pub(super) async fn probe(host: &Host) -> Isolation {
    let reason = match host.find("bwrap") {
        None => "install bubblewrap".to_owned(),
        Some(program) => match try_bubblewrap(&program).await {
            Ok(()) => return Isolation::Bubblewrap { program },
            Err(reason) => format!("bubblewrap does not work here ({reason})"),
        },
    };
    Isolation::None { reason, setpriv: host.find("setpriv") }
}

async fn try_bubblewrap(program: &Path) -> Result<(), String> {
    let mut args = base();
    args.push("true".into());
    let run = tokio::process::Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PROBE, run).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(said.lines().last().unwrap_or("it failed silently").chars().take(200).collect())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it hangs".to_owned()),
    }
}

/// The options that every run has.
fn base() -> Vec<OsString> {
    let options = "--die-with-parent --new-session --unshare-pid --unshare-ipc --unshare-uts \
                   --unshare-cgroup-try --cap-drop ALL --ro-bind / / --dev /dev --proc /proc";
    options.split_whitespace().map(OsString::from).collect()
}

impl Isolation {
    /// `command` as the arguments of a process.
    pub(super) fn wrap(
        &self,
        command: &Command,
        workspace: &Workspace,
        host: &Host,
        hidden: &[PathBuf],
    ) -> Vec<OsString> {
        let mut argv = match self {
            Self::Bubblewrap { program } => {
                let mut argv = vec![program.into()];
                argv.extend(bubblewrap(command, workspace, host, hidden));
                argv
            }
            Self::None { setpriv: Some(setpriv), .. } => {
                let mut argv = vec![setpriv.into()];
                argv.extend(["--pdeathsig", "KILL", "--"].map(OsString::from));
                argv
            }
            Self::None { setpriv: None, .. } => Vec::new(),
        };
        argv.push(command.program.clone().into());
        argv.extend(command.args.iter().cloned());
        argv
    }
}

/// What the sandbox has at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mount {
    /// An empty directory that cannot be written to.
    Empty,
    /// An empty file.
    Null,
    /// The host's file or directory of this path, where it exists.
    ReadOnly,
    /// As [`Mount::ReadOnly`], and it must exist.
    Writable,
    /// Another directory of the host, writable.
    Other(PathBuf),
}

fn bubblewrap(
    command: &Command,
    workspace: &Workspace,
    host: &Host,
    hidden: &[PathBuf],
) -> Vec<OsString> {
    let mut args = base();
    for (path, mount) in mounts(command, workspace, host, hidden) {
        let (option, from) = match mount {
            Mount::Empty => ("--tmpfs", None),
            Mount::Null => ("--ro-bind", Some(PathBuf::from("/dev/null"))),
            Mount::ReadOnly => ("--ro-bind-try", Some(path.clone())),
            Mount::Writable => ("--bind", Some(path.clone())),
            Mount::Other(from) => ("--bind", Some(from)),
        };
        args.push(option.into());
        args.extend(from.map(OsString::from));
        args.push(path.into());
    }
    // These are memory, so nothing may be written to them; last, as they hold the mount points above.
    for (path, mount) in mounts(command, workspace, host, hidden) {
        if mount == Mount::Empty {
            args.push("--remount-ro".into());
            args.push(path.into());
        }
    }
    args.push("--chdir".into());
    args.push(real(&command.dir).into());
    args.push("--".into());
    args
}

/// Mounts by path, so a directory comes before what it holds: a path is what the nearest entry above it
/// says, however hidden and needed paths are nested.
fn mounts(
    command: &Command,
    workspace: &Workspace,
    host: &Host,
    hidden: &[PathBuf],
) -> BTreeMap<PathBuf, Mount> {
    let mut mounts = BTreeMap::from([("/tmp".into(), Mount::Other(real(&workspace.tmp)))]);
    let hidden = hidden.iter().map(|path| real(path));
    for path in hidden.chain([PathBuf::from("/run")]).filter(|path| path.exists()) {
        let mount = if path.is_dir() { Mount::Empty } else { Mount::Null };
        mounts.insert(path, mount);
    }
    // Not only `$HOME`: some programs ask the system's user table where they live, and write there.
    if let Some(home) = host.home() {
        mounts.insert(real(home), Mount::Other(real(&workspace.home)));
    }
    // Names are resolved by a service behind a socket on some systems.
    let services = ["/run/systemd/resolve", "/run/nscd"].map(PathBuf::from).into_iter();
    let npmrc = if command.registry { host.npmrc() } else { None };
    let readable = command.readable.iter().cloned();
    let readable = readable.chain(workspace.exports.readable.iter().cloned());
    for path in services.chain(host.certificates()).chain(npmrc).chain(readable) {
        if path.exists() {
            mounts.insert(real(&path), Mount::ReadOnly);
        }
    }
    for path in command.writable.iter().chain([&workspace.home, &workspace.tmp]) {
        mounts.insert(real(path), Mount::Writable);
    }
    mounts
}

/// Mounts follow links, so a link's own path is no place for one.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
