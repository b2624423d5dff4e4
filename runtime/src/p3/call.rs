//! The guest's side of requests: one call for each, all of them in one event loop.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::stream::{FuturesUnordered, StreamExt};
use http::{Request, header, uri::Scheme};
use tokio::sync::{mpsc::UnboundedReceiver, oneshot};
use wasmtime::{
    StoreContextMut, UpdateDeadline,
    component::{Accessor, GuestTaskId},
};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpView,
    p2::bindings::http::types::ErrorCode,
    p3::{
        self,
        bindings::{Service, http::types::ErrorCode as Refusal},
    },
};

use crate::{
    body::RequestBody,
    dyno::{DeadlinePassed, DynoState},
    exchange::Exchange,
    forward::OverTls,
};

/// A request for the event loop.
pub(super) struct Call {
    pub(super) request: Request<RequestBody>,
    pub(super) exchange: Arc<Exchange>,
    /// Told when the guest's function has returned.
    pub(super) returned: oneshot::Sender<()>,
}

/// Which request the guest computes for, and for how long. Part of an instance's state; empty in those that serve
/// one request at a time.
#[derive(Default)]
pub(crate) struct Calls {
    /// By the guest's task. A task's number is given to another one when it has ended, so this has as many
    /// entries as there were tasks at once.
    exchanges: HashMap<GuestTaskId, Arc<Exchange>>,
    turns: Arc<AtomicU64>,
    /// The turn at which the guest was interrupted last, and how often it was since then.
    stretch: (u64, u32),
    /// Ticks that a guest may compute without a pause.
    patience: u32,
    tick: Duration,
}

impl Calls {
    /// A guest may compute for `patience` before it is in others' way; it is looked at once a `tick`.
    pub(super) fn new(patience: Duration, tick: Duration) -> Self {
        let ticks = patience.as_millis() / tick.as_millis().max(1);
        let patience = u32::try_from(ticks).unwrap_or(u32::MAX).max(1);
        Self { patience, tick, ..Self::default() }
    }

    /// Counts polls of the event loop; it stands still while the guest holds it up.
    pub(super) fn turns(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.turns)
    }

    /// Whether the guest holds the event loop up for long.
    fn is_stuck(&self) -> bool {
        let (turn, ticks) = self.stretch;
        ticks >= self.patience && turn == self.turns.load(Ordering::Relaxed)
    }
}

/// At each epoch tick that finds the guest computing. Sets `stuck` when it has done so for too long, so that
/// nothing else comes forward. An error ends the instance.
pub(super) fn tick(
    store: &mut StoreContextMut<'_, DynoState>,
    stuck: &AtomicBool,
) -> wasmtime::Result<UpdateDeadline> {
    // The last is the call that the host made; those before it are calls between components in it.
    let task = store.async_call_stack()?.last();
    let calls = store.data_mut().calls();
    let turn = calls.turns.load(Ordering::Relaxed);
    let ticks = if calls.stretch.0 == turn { calls.stretch.1.saturating_add(1) } else { 1 };
    calls.stretch = (turn, ticks);
    let exchange = task.and_then(|task| calls.exchanges.get(&task));
    if let Some(exchange) = exchange {
        exchange.found_computing(calls.tick);
    }
    if calls.is_stuck() {
        stuck.store(true, Ordering::Relaxed);
        if exchange.is_some_and(|exchange| exchange.is_late()) {
            return Err(DeadlinePassed.into());
        }
    }
    Ok(UpdateDeadline::Yield(1))
}

/// Calls the guest for each request of `calls`, until there are no more and the guest has finished what it does
/// after its responses.
pub(super) async fn serve(
    accessor: &Accessor<DynoState>,
    service: &Service,
    mut calls: UnboundedReceiver<Call>,
) -> wasmtime::Result<()> {
    let turns = accessor.with(|mut store| store.get().calls().turns());
    let serving = async {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(done) = running.next() => done?,
                next = calls.recv() => match next {
                    Some(next) => running.push(call(accessor, service, next)),
                    None => break,
                },
            }
        }
        while let Some(done) = running.next().await {
            done?;
        }
        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
        Ok(())
    };
    let mut serving = pin!(serving);
    poll_fn(|cx| {
        turns.fetch_add(1, Ordering::Relaxed);
        serving.as_mut().poll(cx)
    })
    .await
}

/// One request, up to its response; its body comes through the event loop. An error is the end of the instance.
async fn call(
    accessor: &Accessor<DynoState>,
    service: &Service,
    Call { request, exchange, returned }: Call,
) -> wasmtime::Result<()> {
    let handler = service.wasi_http_handler().func_handle();
    let (call, processed) = accessor.with(|mut access| {
        let state = access.get();
        let (request, processed) = incoming(state, request);
        let request = state.http().table.push(request)?;
        let call = handler.start_call_concurrent(&mut access, (request,))?;
        let exchange = Arc::clone(&exchange);
        access.get().calls().exchanges.insert(call.task(), exchange);
        wasmtime::error::Ok((call, processed))
    })?;
    match handler.finish_call_concurrent(accessor, call).await?.0 {
        Ok(response) => {
            let response = accessor.with(|mut access| {
                let response = access.get().http().table.delete(response)?;
                response.into_http(&mut access, processed)
            })?;
            exchange.respond(Ok(response));
        }
        Err(error) => exchange.respond(Err(refusal(error))),
    }
    // Nobody listens when the request is over.
    let _ = returned.send(());
    Ok(())
}

/// What the guest said instead of a response, in the words of 0.2.
fn refusal(error: Refusal) -> ErrorCode {
    ErrorCode::InternalError(Some(match error {
        Refusal::InternalError(Some(text)) => text,
        other => format!("{other:?}"),
    }))
}

/// The request as the guest sees it, and what tells how reading its body ended.
fn incoming(
    state: &mut DynoState,
    request: Request<RequestBody>,
) -> (p3::Request, impl Future<Output = wasmtime_wasi_http::Result<()>> + Send + use<>) {
    let (parts, body) = request.into_parts();
    let over_tls = parts.extensions.get::<OverTls>().is_some();
    let scheme = if over_tls { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = parts.uri.into_parts();
    let host = || parts.headers.get(header::HOST)?.to_str().ok()?.parse().ok();
    let authority = uri.authority.or_else(host);
    state.admit_host(true);
    let headers = FieldMap::new_immutable(state.http().hooks, parts.headers);
    state.admit_host(false);
    p3::Request::new(parts.method, Some(scheme), authority, uri.path_and_query, headers, None, body)
}
