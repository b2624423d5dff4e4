//! Runs one-off dynos (`wpaas_slug::one_off`).

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::OptionFuture;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::watch,
};
use tokio_util::{io::ReaderStream, sync::CancellationToken};
use wasmtime_wasi::{cli::StdoutStream, p2::bindings::CommandPre};
use wpaas_slug::{
    Limits,
    feed::DynoState as State,
    one_off::{Input, KILLED, Output, Run},
};

use super::{
    run::{Process, asked_to_end, silent, until},
    table::Entry,
    terminal::{self, Terminal},
};
use crate::{
    dyno::{DynoSpec, DynoState, Host, Io},
    lines::{DynoLog, Lines},
    stdio::{Reader, Source, Writer, pipe},
};

/// A one-off dyno with all that it needs.
pub(super) struct Job {
    pub(super) host: Arc<Host>,
    pub(super) spec: DynoSpec,
    pub(super) program: CommandPre<DynoState>,
    pub(super) entry: Entry,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) terminal: bool,
    pub(super) longest: Duration,
}

impl Job {
    /// Runs it in the background.
    pub(super) fn spawn(self) -> Run {
        let (ended, status) = watch::channel(None);
        let (asked, killed) = (self.entry.asked().clone(), CancellationToken::new());
        let run = Run::new(self.entry.dyno().to_owned(), asked, killed.clone(), status);
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
        let (output, delivery) = open(self.output, &log, capacity, self.terminal);
        let mut typing = None;
        let source: Source = match self.input {
            Input::Empty => Box::pin(futures::stream::empty()),
            Input::Silent => silent(),
            Input::Stream(stream) => match (self.terminal, output.clone()) {
                (true, Some(echo)) => {
                    let (typed, source) = terminal::typing(stream, echo, limits);
                    typing = Some(typed);
                    source
                }
                _ => Box::pin(ReaderStream::with_capacity(stream, capacity)),
            },
        };
        let stdin = until(entry.asked(), source);
        let boxed = |writer: Writer| -> Box<dyn StdoutStream + Sync> {
            if self.terminal { Box::new(Terminal(writer)) } else { Box::new(writer) }
        };
        let io = Io {
            stdin: Some(if self.terminal { stdin.of_terminal() } else { stdin }),
            stdout: output.clone().map(boxed),
            stderr: output.clone().map(boxed),
            ..Io::default()
        };
        let process = Process { host, spec: &self.spec, program: &self.program, dyno, log: &log };
        let run = async {
            let run = Box::pin(process.run(io, || entry.set(State::Up)));
            let status = tokio::select! {
                biased;
                status = asked_to_end(run, entry.asked(), limits, &log) => status,
                () = killed.cancelled() => KILLED,
                Some(status) = OptionFuture::from(typing) => status,
                () = tokio::time::sleep(self.longest) => {
                    let seconds = self.longest.as_secs();
                    log.platform(&format!("Stopping process: it ran for {seconds} seconds"));
                    KILLED
                }
            };
            output.iter().for_each(Writer::end);
            status
        };
        let status = delivered(run, delivery, Limits::ms(limits.drain_ms)).await;
        log.platform(&format!("Process exited with status {status}"));
        log.platform("State changed from up to complete");
        status
    }
}

/// A pipe and where it leads.
struct Delivery {
    reader: Reader,
    to: Box<dyn AsyncWrite + Send + Unpin>,
    log: Option<Lines>,
    terminal: bool,
}

/// What the process writes to, unless that is the log alone, and where it is brought from there.
fn open(
    output: Output,
    log: &DynoLog,
    capacity: usize,
    terminal: bool,
) -> (Option<Writer>, Option<Delivery>) {
    let (to, log) = match output {
        Output::Log => return (None, None),
        Output::Stream(to) => (to, None),
        Output::Both(to) => (to, Some(Lines::new(log.clone()))),
    };
    let (writer, reader) = pipe(capacity);
    (Some(writer), Some(Delivery { reader, to, log, terminal }))
}

/// Runs the process while its output is delivered; what is left at its end has `drain` to go.
async fn delivered(
    run: impl Future<Output = i32>,
    delivery: Option<Delivery>,
    drain: Duration,
) -> i32 {
    let delivery = OptionFuture::from(delivery.map(Delivery::bring));
    let (mut delivery, mut run) = (std::pin::pin!(delivery), std::pin::pin!(run));
    tokio::select! {
        status = &mut run => {
            let _ = tokio::time::timeout(drain, delivery).await;
            status
        }
        _ = &mut delivery => run.await,
    }
}

impl Delivery {
    async fn bring(mut self) {
        while let Some(bytes) = self.reader.next().await {
            if let Some(log) = &self.log {
                log.push(&bytes);
            }
            let bytes = if self.terminal { terminal::shown(&bytes) } else { bytes };
            if self.to.write_all(&bytes).await.is_err() || self.to.flush().await.is_err() {
                // The process learns of it by its next write.
                return;
            }
        }
        let _ = self.to.shutdown().await;
    }
}
