//! Running a CGI program for one request, to its end.

use std::{io, sync::Arc};

use futures::TryStreamExt;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use wasmtime::Store;
use wasmtime_wasi::{
    I32Exit,
    p2::bindings::{Command, CommandPre},
};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::{Malformed, Output, request};
use crate::{
    body::RequestBody,
    dyno::{DynoState, Instance, Io},
    exchange::{Exchange, Start},
    formation::Formation,
    forward::Refused,
    hcode::{self, HCode},
    lines::DynoLog,
    metrics::Quota,
    pool::Lease,
    stdio::Input,
    worker::{Answered, End, Worker, log_memory},
};

/// Serves one request with the leased slot. Runs as a task of its own, as [`crate::worker::serve`].
pub(crate) async fn serve(
    formation: Arc<Formation>,
    program: CommandPre<DynoState>,
    lease: Lease<Instance>,
    request: Request<RequestBody>,
    exchange: Arc<Exchange>,
) {
    let _answered = Answered { exchange: &exchange, formation: &formation };
    let (parts, body) = request.into_parts();
    let Ok(env) = request::variables(&parts) else {
        let message = "The path holds an encoded NUL.";
        let refused = Refused { status: StatusCode::BAD_REQUEST, message };
        let page = hcode::refused(&refused, Version::HTTP_2);
        exchange.respond(Ok(page.map(|body| body.map_err(|never| match never {}).boxed_unsync())));
        return;
    };
    let body = body.into_data_stream().map_err(io::Error::other);
    let respond = {
        let exchange = Arc::clone(&exchange);
        move |response: Response<HyperOutgoingBody>| exchange.respond(Ok(response))
    };
    let output = Output::new(&formation.host.limits, Box::new(respond));
    let io = Io {
        env,
        stdin: Some(Input::new(Box::pin(body))),
        stdout: Some(Box::new(output.clone())),
        stderr: None,
    };

    exchange.set_start(Start::Fresh);
    formation.host.active.list(&formation);
    let dyno = formation.dyno(lease.number());
    let instantiate = async |store: &mut Store<DynoState>| program.instantiate_async(store).await;
    let (host, spec) = (&formation.host, &formation.spec);
    let start = Instance::start(host, spec, &dyno, io, Some(Arc::clone(&exchange)), instantiate);
    let mut worker = Worker { formation: &formation, lease, exchange: &exchange, booting: false };
    let Some(mut instance) = worker.started(start).await else { return };
    exchange.watch_memory(instance.memory().gauge());

    let run = async {
        let ended = instance.guest.wasi_cli_run().call_run(&mut instance.store).await?;
        ended.map_err(|()| I32Exit(1).into())
    };
    let end = worker.finished(run).await;
    match end {
        End::Returned => ended(&mut worker, &instance, &output, 0),
        End::Trapped(error) => match (error.downcast_ref::<I32Exit>(), error.downcast_ref()) {
            (Some(exit), _) => ended(&mut worker, &instance, &output, exit.0),
            (None, Some(malformed)) => refused(&instance.log, malformed, &exchange),
            (None, None) => drop(worker.settle(&mut instance, End::Trapped(error))),
        },
        End::Late | End::Stopped => drop(worker.settle(&mut instance, end)),
    }
}

/// The program ended by itself. A status other than 0 does not take back what it has printed, as with other
/// servers: PHP, for one, exits with 255 after a page that says what went wrong.
fn ended(worker: &mut Worker<'_>, instance: &Instance<Command>, output: &Output, status: i32) {
    let (exchange, log) = (worker.exchange, &instance.log);
    instance.flush_output();
    if instance.memory().refused() {
        worker.metrics().memory(Quota::R14);
        log_memory(log, instance, "Error R14 (Memory quota exceeded)");
    }
    if status != 0 {
        log.platform(&format!("Process exited with status {status}"));
    }
    match output.end() {
        Err(error) if !exchange.responded() => refused(log, &error, exchange),
        Err(error) => log.platform(&format!("The CGI response is malformed: {error}")),
        Ok(()) if !exchange.responded() => {
            log.platform("The CGI program ended without a response");
            exchange.fail(HCode::H13);
        }
        Ok(()) => {}
    }
    exchange.guest_returned();
}

fn refused(log: &DynoLog, error: &Malformed, exchange: &Exchange) {
    log.platform(&format!("The CGI response is malformed: {error}"));
    exchange.fail(HCode::H17);
}
