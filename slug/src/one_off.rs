//! One-off dynos as platform and node agree on them: `run.1234`, a command of an app's release that runs once, to its
//! end.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::feed::{AppSpec, ApplyError};

/// Exit status of a process that was ended: that of SIGKILL, as a shell counts.
pub const KILLED: i32 = 128 + 9;

/// A one-off dyno to run.
pub struct OneOff {
    /// Whose command.
    pub release: Release,
    /// The words of the command: a process type with further arguments (`worker --once`), or a program of the slug or
    /// of its stack with its arguments (`python manage.py migrate`).
    pub command: Vec<String>,
    /// The command as somebody wrote it, for `ps` and the log.
    pub shown: String,
    /// What the dyno's name begins with: `run`, `release`, `scheduler`.
    pub kind: String,
    /// Environment beyond the config vars; wins over those.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub input: Input,
    /// Standard output and standard error, in the order in which they are written.
    pub output: Output,
    /// Whether input and output are a terminal's: the process sees one, what is typed is echoed, edited and given to
    /// it by lines, and ^C ends it.
    pub terminal: bool,
    /// How long it may run; then it is ended.
    pub longest: Duration,
}

/// Which release a one-off dyno runs.
#[derive(Debug, Clone)]
pub enum Release {
    /// The current one of an app.
    Current(Uuid),
    /// The one in this specification, whether it is current or not: its `release` process runs before it is.
    Of(Arc<AppSpec>),
}

/// Where a one-off dyno reads from.
pub enum Input {
    /// Nothing: it is at its end.
    Empty,
    /// Nothing for now: its end is how the process is asked to end.
    Silent,
    /// What somebody sends. The process waits for it, and it for the process.
    Stream(Box<dyn AsyncRead + Send + Unpin>),
}

/// Where a one-off dyno writes to. A process waits for a slow reader, and may end when the reader is gone.
pub enum Output {
    /// To the app's log, line by line.
    Log,
    /// To someone who watches.
    Stream(Box<dyn AsyncWrite + Send + Unpin>),
    /// To both.
    Both(Box<dyn AsyncWrite + Send + Unpin>),
}

/// Why a one-off dyno was not started.
#[derive(Debug, thiserror::Error)]
pub enum OneOffError {
    /// The node has no such app, or it was never deployed.
    #[error("the app has no release; deploy it first")]
    NoRelease,
    /// The release cannot be brought to the node.
    #[error(transparent)]
    Release(#[from] ApplyError),
    /// No words at all, or none that name anything.
    #[error("{command:?} is no command of this app; {known}")]
    UnknownCommand {
        /// The first word.
        command: String,
        /// What can be run, as a sentence.
        known: String,
    },
    /// A process type that serves requests.
    #[error("process type {0} answers requests and cannot be run by itself")]
    ServesRequests(String),
    /// As many as may run at a time are running.
    #[error("{who} runs {limit} one-off dynos already; wait for one to end, or stop one")]
    TooMany {
        /// `the app` or `the node`.
        who: &'static str,
        /// How many may run.
        limit: u64,
    },
    /// The node ends all processes.
    #[error("the node is stopping")]
    Stopping,
}

/// A one-off dyno that runs. Dropping this leaves it running.
#[derive(Debug)]
pub struct Run {
    dyno: String,
    asked: CancellationToken,
    killed: CancellationToken,
    status: watch::Receiver<Option<i32>>,
}

impl Run {
    /// For nodes: the dyno `dyno`, which is asked to end by `asked`, ended by `killed`, and whose exit status is told by
    /// `status`.
    pub fn new(
        dyno: String,
        asked: CancellationToken,
        killed: CancellationToken,
        status: watch::Receiver<Option<i32>>,
    ) -> Self {
        Self { dyno, asked, killed, status }
    }

    /// Its name: `run.1234`.
    pub fn dyno(&self) -> &str {
        &self.dyno
    }

    /// Asks it to end: its standard input ends, and after `drain_ms` it is killed (R12).
    pub fn stop(&self) {
        self.asked.cancel();
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.killed.cancel();
    }

    /// Waits for its end. The exit status is the command's own; 134 after a trap, 130 after ^C, 137 when it was ended
    /// (by [`Run::kill`], R12 or its time), 126 when the node could not start it.
    pub async fn wait(&mut self) -> i32 {
        match self.status.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or(KILLED),
            // Its task is gone with the node.
            Err(_) => KILLED,
        }
    }
}
