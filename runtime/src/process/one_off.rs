//! One-off dynos: `run.1234`, a command of an app's release that runs once, to its end.

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::OptionFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::watch,
};
use tokio_util::{io::ReaderStream, sync::CancellationToken};
use uuid::Uuid;
use wasmtime_wasi::{cli::StdoutStream, p2::bindings::CommandPre};
use wpaas_slug::{
    Limits,
    feed::{AppSpec, DynoState as State},
};

use super::{
    run::{KILLED, Process, asked_to_end, until},
    table::Entry,
};
use crate::{
    Error,
    dyno::{DynoSpec, DynoState, Host, Io},
    stdio::{Reader, Source, Writer, pipe},
};

/// A one-off dyno to run.
pub struct OneOff {
    /// Whose command.
    pub release: Release,
    /// The words of the command: a process type with further arguments (`worker --once`), or the arguments of
    /// the app's component or stack (`tool.wasm --help`).
    pub command: Vec<String>,
    /// What the dyno's name begins with: `run`, `release`, `scheduler`.
    pub kind: String,
    /// Environment beyond the config vars; wins over those.
    pub env: Vec<(String, String)>,
    /// Standard input; without it there is nothing to read. The process waits for it, and it for the process.
    pub stdin: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Standard output. A process waits for a slow reader, and may end when the reader is gone.
    pub stdout: Sink,
    /// Standard error.
    pub stderr: Sink,
}

/// Which release a one-off dyno runs.
#[derive(Debug, Clone)]
pub enum Release {
    /// The current one of an app.
    Current(Uuid),
    /// The one in this specification, whether it is current or not: its `release` process runs before it is.
    Of(Arc<AppSpec>),
}

/// Where a stream of a one-off dyno goes.
pub enum Sink {
    /// To the app's log, line by line.
    Log,
    /// To someone who watches.
    Stream(Box<dyn AsyncWrite + Send + Unpin>),
}

/// Why a one-off dyno was not started.
#[derive(Debug, thiserror::Error)]
pub enum OneOffError {
    /// The node has no such app, or it was never deployed.
    #[error("the app has no release; deploy it first")]
    NoRelease,
    /// The release cannot be brought to this node.
    #[error(transparent)]
    Release(#[from] Error),
    /// No words at all, or none that name anything.
    #[error("{command:?} is no command of this app; its process types are {known}")]
    UnknownCommand {
        /// The first word.
        command: String,
        /// The process types of the slug.
        known: String,
    },
    /// A process type that serves requests.
    #[error("process type {0} answers requests and cannot be run by itself")]
    ServesRequests(String),
    /// As many as may run at a time are running.
    #[error("the app runs {0} one-off dynos already; wait for one to end, or stop one")]
    TooMany(u64),
    /// [`crate::Node::stop_processes`] was called.
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

    /// Waits for its end. The exit status is the command's own; 134 after a trap, 137 when it was ended (by
    /// [`Run::kill`], R12 or the limit `one_off_ms`), 126 when the node could not start it.
    pub async fn wait(&mut self) -> i32 {
        match self.status.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or(KILLED),
            // Its task is gone with the node.
            Err(_) => KILLED,
        }
    }
}

/// A one-off dyno with all that it needs.
pub(super) struct Job {
    pub(super) host: Arc<Host>,
    pub(super) spec: DynoSpec,
    pub(super) program: CommandPre<DynoState>,
    pub(super) entry: Entry,
    pub(super) stdin: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub(super) stdout: Sink,
    pub(super) stderr: Sink,
}

impl Job {
    /// Runs it in the background.
    pub(super) fn spawn(self) -> Run {
        let (ended, status) = watch::channel(None);
        let (asked, killed) = (self.entry.asked().clone(), CancellationToken::new());
        let dyno = self.entry.dyno().to_owned();
        let run = Run { dyno, asked, killed: killed.clone(), status };
        let host = Arc::clone(&self.host);
        let running = async move {
            let status = self.execute(killed).await;
            ended.send_replace(Some(status));
        };
        host.processes.spawn_on(Box::pin(running), host.lanes.slow.handle());
        run
    }

    async fn execute(self, killed: CancellationToken) -> i32 {
        let (host, entry) = (&*self.host, &self.entry);
        let (limits, dyno) = (&host.limits, entry.dyno());
        let log = host.log(self.spec.app, dyno);
        let capacity = Limits::size(limits.guest_pipe_bytes);
        let (stdout, out) = self.stdout.open(capacity);
        let (stderr, err) = self.stderr.open(capacity);
        let source: Source = match self.stdin {
            Some(stdin) => Box::pin(ReaderStream::with_capacity(stdin, capacity)),
            None => Box::pin(futures::stream::empty()),
        };
        let io = Io {
            stdin: Some(until(entry.asked(), source)),
            stdout: stdout.clone().map(boxed),
            stderr: stderr.clone().map(boxed),
            ..Io::default()
        };
        let process = Process { host, spec: &self.spec, program: &self.program, dyno, log: &log };
        let run = async {
            let run = Box::pin(process.run(io, || entry.set(State::Up)));
            let status = tokio::select! {
                biased;
                status = asked_to_end(run, entry.asked(), limits, &log) => status,
                () = killed.cancelled() => KILLED,
                () = tokio::time::sleep(Limits::ms(limits.one_off_ms)) => {
                    let seconds = limits.one_off_ms / 1000;
                    log.platform(&format!("Stopping process: it ran for {seconds} seconds"));
                    KILLED
                }
            };
            stdout.iter().chain(&stderr).for_each(Writer::end);
            status
        };
        let status = delivered(run, out, err, Limits::ms(limits.drain_ms)).await;
        log.platform(&format!("Process exited with status {status}"));
        log.platform("State changed from up to complete");
        status
    }
}

fn boxed(writer: Writer) -> Box<dyn StdoutStream + Sync> {
    Box::new(writer)
}

/// A pipe and where it leads.
type Delivery = (Reader, Box<dyn AsyncWrite + Send + Unpin>);

impl Sink {
    fn open(self, capacity: usize) -> (Option<Writer>, Option<Delivery>) {
        match self {
            Self::Log => (None, None),
            Self::Stream(stream) => {
                let (writer, reader) = pipe(capacity);
                (Some(writer), Some((reader, stream)))
            }
        }
    }
}

/// Runs the process while its output is delivered; what is left at its end has `drain` to go.
async fn delivered(
    run: impl Future<Output = i32>,
    out: Option<Delivery>,
    err: Option<Delivery>,
    drain: Duration,
) -> i32 {
    let (out, err) = (OptionFuture::from(out.map(deliver)), OptionFuture::from(err.map(deliver)));
    let mut deliveries = std::pin::pin!(futures::future::join(out, err));
    let mut run = std::pin::pin!(run);
    tokio::select! {
        status = &mut run => {
            let _ = tokio::time::timeout(drain, deliveries).await;
            status
        }
        _ = &mut deliveries => run.await,
    }
}

async fn deliver((mut reader, mut sink): Delivery) {
    while let Some(bytes) = reader.next().await {
        if sink.write_all(&bytes).await.is_err() || sink.flush().await.is_err() {
            // The process learns of it by its next write.
            return;
        }
    }
    let _ = sink.shutdown().await;
}
