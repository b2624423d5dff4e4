//! What the words of a one-off command mean in a release.

use std::sync::Arc;

use wasmtime_wasi::p2::bindings::CommandPre;
use wpaas_slug::{ComponentRef, Limits, ProcessType, World};

use super::{OneOff, OneOffError, Release, Run, one_off::Job, table::OneOffs};
use crate::{
    app::Resources,
    code::{Code, GuestPre},
    compile::Urgency,
    dyno::{DynoSpec, DynoState, environment},
    parts::{Guest, Parts, Tenant},
    table::Table,
};

/// Starts a one-off dyno.
pub(crate) async fn run(
    resources: &Resources,
    table: &Table,
    one_offs: &OneOffs,
    job: OneOff,
) -> Result<Run, OneOffError> {
    if resources.host.stopping.is_cancelled() {
        return Err(OneOffError::Stopping);
    }
    let app = match &job.release {
        Release::Current(app) => *app,
        Release::Of(spec) => spec.id,
    };
    let current = table.get(app);
    let release = match &job.release {
        Release::Current(_) => current.as_ref().and_then(|app| app.spec.release.clone()),
        Release::Of(spec) => spec.release.clone(),
    };
    let release = release.ok_or(OneOffError::NoRelease)?;
    let host = Arc::clone(&resources.host);
    let metrics = current.map_or_else(|| host.metrics.app(), |app| Arc::clone(&app.metrics));
    let egress = host.network.egress(&release.egress)?;
    let parts = Parts::get(resources, release.slug, Urgency::Now).await?;
    let found = find(resources, &parts, &job.command).await?;
    let tenant = Tenant { app, metrics, release: &release, egress };
    let spec = spec(&parts, &tenant, &job, &found, &host.limits);
    let asked = host.stopping.child_token();
    let status = spec.status(0, wpaas_slug::feed::DynoState::Starting, jiff::Timestamp::now());
    let limit = host.limits.one_offs_per_app;
    let entry = one_offs.add(app, &job.kind, status, asked, limit)?;
    let OneOff { stdin, stdout, stderr, .. } = job;
    Ok(Job { host, spec, program: found.program, entry, stdin, stdout, stderr }.spawn())
}

struct Found {
    program: CommandPre<DynoState>,
    args: Vec<String>,
    code: Arc<Code>,
}

async fn find(
    resources: &Resources,
    parts: &Parts,
    command: &[String],
) -> Result<Found, OneOffError> {
    let config = &parts.checkout.config;
    let first = command.first().map(String::as_str).unwrap_or_default();
    if let (Some(process), Some(guest)) = (config.processes.get(first), parts.guests.get(first)) {
        let GuestPre::Command(program) = &guest.pre else {
            return Err(OneOffError::ServesRequests(first.to_owned()));
        };
        let further = command.iter().skip(1).cloned();
        let args = process.args.iter().cloned().chain(further).collect();
        return Ok(Found { program: program.clone(), args, code: Arc::clone(&guest.code) });
    }
    let file = config.processes.iter().find(|(_, process)| {
        // Buildpacks put the name of the program first, as everywhere.
        process.args.first().is_some_and(|name| name == first)
    });
    let code = match (file.and_then(|(name, _)| parts.guests.get(name)), &parts.stack) {
        (Some(guest), _) => Arc::clone(&guest.code),
        (None, Some((_, component))) if !first.is_empty() => {
            resources.codes.get(*component, Urgency::Now).await?
        }
        _ => {
            let known: Vec<&str> = config.processes.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(OneOffError::UnknownCommand { command: first.to_owned(), known });
        }
    };
    match code.guest(World::Cli)? {
        GuestPre::Command(program) => Ok(Found { program, args: command.to_vec(), code }),
        _ => Err(OneOffError::ServesRequests(first.to_owned())),
    }
}

fn spec(
    parts: &Parts,
    tenant: &Tenant<'_>,
    job: &OneOff,
    found: &Found,
    limits: &Limits,
) -> DynoSpec {
    // The world of a command, whatever the component is in other process types.
    let component = ComponentRef::Stack;
    let process =
        ProcessType::new(job.command.join(" "), component, World::Cli, found.args.clone());
    let pre = GuestPre::Command(found.program.clone());
    let guest = Guest { code: Arc::clone(&found.code), pre };
    let mut spec = parts.dyno_spec(tenant, (&job.kind, &process), &guest, limits);
    spec.env.retain(|(name, _)| !job.env.iter().any(|(other, _)| other == name));
    let given = job.env.iter().map(|(name, value)| (name, value));
    spec.env.extend(environment(given, &tenant.egress));
    spec
}
