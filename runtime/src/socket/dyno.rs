//! One socket dyno, from its start to its end.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wpaas_slug::Limits;

use super::{
    accounts::Accounts,
    formation::{Sockets, Starting},
    grpc::Http2,
    links::Links,
};
use crate::{
    dyno::{Io, PORT},
    hcode::HCode,
    lines::DynoLog,
    net::VNet,
    process::{Process, silent, until},
};

/// What requests have of a dyno that is up. The last one that goes ends it.
pub(crate) struct Dyno {
    pub(super) vnet: Arc<VNet>,
    pub(super) links: Links,
    pub(super) http2: Http2,
    pub(super) accounts: Arc<Accounts>,
    pub(super) memory: Arc<AtomicUsize>,
    pub(super) log: DynoLog,
    /// It is asked to end: its standard input ends, and what was upgraded is closed.
    pub(super) asked: CancellationToken,
    killed: CancellationToken,
}

impl Dyno {
    /// Ends it in the middle of whatever it does.
    pub(super) fn kill(&self) {
        self.killed.cancel();
    }
}

impl Drop for Dyno {
    fn drop(&mut self) {
        self.killed.cancel();
    }
}

/// How a command that was to listen on `$PORT` ended.
enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// Nobody wants it any more.
    Killed,
    /// R10.
    BootTimeout,
}

/// Starts a dyno in the background.
pub(super) fn start(sockets: &Arc<Sockets>, starting: Starting) {
    let accounts = Arc::new(Accounts::default());
    let (host, metrics) = (&sockets.host, Arc::clone(&sockets.spec.metrics));
    let guest = run(Arc::clone(sockets), starting, Arc::clone(&accounts));
    let guest = host.processes.track_future(guest);
    host.drive(guest, move |time| {
        accounts.add(time);
        metrics.cpu(time);
    });
}

async fn run(sockets: Arc<Sockets>, starting: Starting, accounts: Arc<Accounts>) {
    let (host, spec, number) = (&*sockets.host, &sockets.spec, starting.number());
    if sockets.is_resting(number) {
        starting.failed(HCode::H10, true);
        return;
    }
    let name = spec.dyno(number);
    let log = host.log(spec.app, &name);
    let (asked, killed) = (sockets.draining.child_token(), CancellationToken::new());
    let io = Io { stdin: Some(until(&asked, silent())), ..Io::default() };
    let process = Process { host, spec, program: &sockets.program, dyno: &name, log: &log };
    let begun = Instant::now();
    let boot = tokio::time::sleep(Limits::ms(host.limits.boot_ms));
    let mut boot = std::pin::pin!(boot);
    let made = tokio::select! {
        made = process.start(io) => made,
        () = &mut boot => {
            boot_timeout(&log, &host.limits);
            sockets.crashed(number, begun.elapsed());
            return starting.failed(HCode::H20, true);
        }
        () = host.stopping.cancelled() => return,
    };
    let mut instance = match made {
        Ok(instance) => instance,
        Err(status) => {
            log.platform(&format!("Process exited with status {status}"));
            log.platform("State changed from starting to crashed");
            sockets.crashed(number, begun.elapsed());
            return starting.failed(HCode::H10, true);
        }
    };
    let vnet = instance.store.data().vnet();
    let mut ports = vnet.listening();
    let memory = instance.memory().gauge();
    let ended;
    let mut starting = Some(starting);
    let mut membership = None;
    {
        let running = process.complete(&mut instance);
        let mut running = std::pin::pin!(running);
        let listens = tokio::select! {
            biased;
            status = &mut running => Err(Ended::Exited(status)),
            listens = ports.wait_for(|ports| ports.contains(&PORT)) => {
                if listens.is_ok() { Ok(()) } else { Err(Ended::Killed) }
            }
            () = boot => Err(Ended::BootTimeout),
            () = sockets.stopped.cancelled() => Err(Ended::Killed),
            () = host.stopping.cancelled() => Err(Ended::Killed),
        };
        ended = match listens {
            Err(ended) => ended,
            Ok(()) => {
                log.platform("State changed from starting to up");
                let dyno = Arc::new(Dyno {
                    vnet,
                    links: Links::new(Limits::size(host.limits.dyno_kept_connections)),
                    http2: Http2::default(),
                    accounts: Arc::clone(&accounts),
                    memory,
                    log: log.clone(),
                    asked: asked.clone(),
                    killed: killed.clone(),
                });
                membership = starting.take().map(|starting| starting.up(dyno));
                let stopping = async {
                    host.stopping.cancelled().await;
                    asked.cancel();
                    let drain = Limits::ms(host.limits.drain_ms);
                    let _ = tokio::time::timeout(drain, accounts.idle()).await;
                };
                tokio::select! {
                    biased;
                    () = killed.cancelled() => Ended::Killed,
                    status = running => Ended::Exited(status),
                    () = stopping => Ended::Killed,
                }
            }
        };
    }
    let from = if membership.is_some() { "up" } else { "starting" };
    let code = match ended {
        Ended::Killed => {
            log.platform(&format!("State changed from {from} to down"));
            return;
        }
        Ended::Exited(status) => {
            log.platform(&format!("Process exited with status {status}"));
            HCode::H10
        }
        Ended::BootTimeout => {
            boot_timeout(&log, &host.limits);
            HCode::H20
        }
    };
    log.platform(&format!("State changed from {from} to crashed"));
    sockets.crashed(number, begun.elapsed());
    match (starting, membership) {
        (Some(starting), _) => starting.failed(code, true),
        (None, Some(membership)) => membership.crashed(),
        (None, None) => {}
    }
}

fn boot_timeout(log: &DynoLog, limits: &Limits) {
    let seconds = Duration::as_secs(&Limits::ms(limits.boot_ms));
    log.platform(&format!(
        "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {seconds} seconds of launch"
    ));
}
