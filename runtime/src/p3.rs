//! `wasi:http/handler@0.3`: instances that work on many requests at once, behind [`crate::Builder::wasi_http_p3`].
//!
//! An instance is a task of its own, for as long as somebody has a [`Handle`] of it: the pool, or a request's
//! lease ([`crate::pool::shared`]). Its task is three things, polled one after the other:
//!
//! 1. the requests that come ([`instance`]),
//! 2. the guest: wasmtime's event loop with one call for each request ([`call`]),
//! 3. a watch for each request, which knows when it is over and when it is late ([`watch`]).
//!
//! The watches are outside of the event loop, because a guest that computes holds the loop up, and what is in it:
//! a timeout in there would wait for the guest that it is to end.
//!
//! **Late requests.** A guest's task cannot be cancelled from outside (wasmtime's issue 11833). So a request that
//! is late gets its answer (H12, H15), its task is left alone, and the instance gets no new requests and ends when
//! the others are answered: what was left behind goes with it. When the guest is found computing for the late
//! request, and not only for a moment (`shared_compute_ms`), the others would wait for nothing, and the
//! instance is ended at once; they get H13, or H18 when their response had begun. Which request the guest
//! computes for is asked of wasmtime at each epoch tick.
//!
//! **Accounts.** CPU time is measured for the instance, and shared out in equal parts among the requests that it
//! works on at that moment. For `request_cpu_ms` counts what is known of a request alone: the epoch ticks that found
//! the guest computing for it.

mod call;
mod handle;
mod instance;
mod watch;

use std::sync::Arc;

use wasmtime::component::{InstancePre, Linker};

use crate::{dyno::DynoState, formation::Formation, hcode::HCode};
pub(crate) use call::Calls;
pub(crate) use handle::{Handle, Job};
pub(crate) use instance::{Home, run};

/// Hands a request to the instance that its lease is for, or to another one when that one ended meanwhile.
pub(crate) async fn hand_over(formation: Arc<Formation>, mut job: Job) {
    for _ in 0..ATTEMPTS {
        let handle = job.lease.handle().clone();
        let Err(back) = handle.send(job) else { return };
        job = back;
        match formation.place_again().await {
            Ok(lease) => job.lease = lease,
            Err(_) => break,
        }
    }
    job.exchange.fail(HCode::H13);
}

/// Instances that a request is taken to before it is answered with H13.
const ATTEMPTS: usize = 3;
/// The interface that requests come by, without its patch version.
pub(crate) const HANDLER: &str = "wasi:http/handler@0.3";

/// Whether a component serves by `wasi:http/handler@0.3`.
pub(crate) fn is_service(pre: &InstancePre<DynoState>) -> bool {
    let component = pre.component();
    let exports = component.component_type();
    let engine = pre.engine();
    exports.exports(engine).any(|(name, _)| {
        name.strip_prefix(HANDLER).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Adds what guests of WASI 0.3 import. Files and sockets are wasmtime-wasi's own, over a context that has no
/// directory and may open no socket, so that there is nothing to be had: a guest's standard library goes by
/// WASI 0.2 to the dyno's own files and network. Requests of `wasi:http/client` go through the same
/// rules as those of 0.2, which are part of the context.
pub(crate) fn add_to_linker(linker: &mut Linker<DynoState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)
}
