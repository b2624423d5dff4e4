//! One run of a command, from its start to its exit status, with the lines that Heroku's log has of it.

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime_wasi::{
    I32Exit,
    p2::bindings::{Command, CommandPre},
};
use wpaas_slug::{Limits, one_off::KILLED};

use crate::{
    dyno::{DynoSpec, DynoState, Host, Instance, Io, StartError},
    lines::DynoLog,
    metrics::Quota,
    stdio::{Input, Source},
    worker::{log_memory, log_trap},
};

/// Exit status of a process that trapped: that of SIGABRT, as a shell counts.
pub(crate) const TRAPPED: i32 = 128 + 6;
/// Exit status of a process that could not be started.
pub(crate) const NOT_STARTED: i32 = 126;

/// A command under the name of a dyno.
pub(crate) struct Process<'a> {
    pub(crate) host: &'a Host,
    pub(crate) spec: &'a DynoSpec,
    pub(crate) program: &'a CommandPre<DynoState>,
    pub(crate) dyno: &'a str,
    pub(crate) log: &'a DynoLog,
}

impl Process<'_> {
    /// Runs it to its end and returns its exit status. `up` is called when it runs. Dropping the future ends it.
    pub(crate) async fn run(&self, io: Io, up: impl FnOnce()) -> i32 {
        let mut instance = match self.start(io).await {
            Ok(instance) => instance,
            Err(status) => return status,
        };
        self.log.platform("State changed from starting to up");
        up();
        self.complete(&mut instance).await
    }

    /// Makes the instance, which has not run yet, or returns the exit status of one that cannot be made.
    pub(crate) async fn start(&self, io: Io) -> Result<Instance<Command>, i32> {
        let log = self.log;
        log.platform(&format!("Starting process with command `{}`", self.spec.command));
        let instantiate =
            async |store: &mut Store<DynoState>| self.program.instantiate_async(store).await;
        let started = Instance::start(self.host, self.spec, self.dyno, io, None, instantiate);
        started.await.map_err(|error| match error {
            StartError::Guest(error) => {
                log_trap(log, &error);
                TRAPPED
            }
            StartError::Host(error) => {
                tracing::error!(dyno = self.dyno, "cannot start: {error:#}");
                log.platform("Cannot start process: the platform failed");
                NOT_STARTED
            }
        })
    }

    /// Runs the instance to its end and returns its exit status.
    pub(crate) async fn complete(&self, instance: &mut Instance<Command>) -> i32 {
        let log = self.log;
        let ended = instance.guest.wasi_cli_run().call_run(&mut instance.store).await;
        instance.flush_output();
        let trapped = match ended {
            Ok(Ok(())) => None,
            Ok(Err(())) => Some(I32Exit(1).into()),
            Err(error) => Some(error),
        };
        let memory = |quota, error| {
            if instance.memory().refused() {
                self.spec.metrics.memory(quota);
                log_memory(log, instance, error);
            }
        };
        let status = match &trapped {
            None => 0,
            Some(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => exit.0,
                None => {
                    memory(Quota::R15, "Error R15 (Memory quota vastly exceeded)");
                    log_trap(log, error);
                    return TRAPPED;
                }
            },
        };
        memory(Quota::R14, "Error R14 (Memory quota exceeded)");
        status
    }
}

/// Standard input that passes `source` on until the process is asked to end; then it ends.
pub(crate) fn until(asked: &CancellationToken, source: Source) -> Input {
    let asked = asked.clone();
    Input::new(Box::pin(source.take_until(asked.cancelled_owned())))
}

/// Standard input without anything but its end.
pub(crate) fn silent() -> Source {
    Box::pin(futures::stream::pending::<io::Result<Bytes>>())
}

/// Runs `process` until it ends by itself, or `drain_ms` after `asked`. Returns its status.
pub(crate) async fn asked_to_end(
    process: impl Future<Output = i32>,
    asked: &CancellationToken,
    limits: &Arc<Limits>,
    log: &DynoLog,
) -> i32 {
    let drain: Duration = Limits::ms(limits.drain_ms);
    let patience = async {
        asked.cancelled().await;
        log.platform("Stopping process: its standard input has ended");
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        biased;
        status = process => status,
        () = patience => {
            log.platform(&format!(
                "Error R12 (Exit timeout) -> Process failed to exit within {} seconds of the end \
                 of its standard input",
                drain.as_secs()
            ));
            KILLED
        }
    }
}
