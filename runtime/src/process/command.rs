//! What the words of a one-off command mean in a release.

use std::sync::Arc;

use wasmtime_wasi::p2::bindings::CommandPre;
use wpaas_slug::{
    ComponentRef, Limits, ProcessType, SlugConfig, World,
    one_off::{OneOff, OneOffError, Release, Run},
};

use super::{one_off::Job, table::OneOffs};
use crate::{
    Error,
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
    let egress = host.network.egress(&release.egress).map_err(refused)?;
    let parts = Parts::get(resources, release.slug, Urgency::Now).await.map_err(refused)?;
    let found = find(resources, &parts, &job.command).await?;
    let tenant = Tenant { app, metrics, release: &release, egress };
    let spec = spec(&parts, &tenant, &job, &found, &host.limits);
    let asked = host.stopping.child_token();
    let status = spec.status(0, wpaas_slug::feed::DynoState::Starting, jiff::Timestamp::now());
    let entry = one_offs.add(app, &job.kind, status, asked, &host.limits)?;
    let OneOff { input, output, terminal, longest, .. } = job;
    let program = found.program;
    Ok(Job { host, spec, program, entry, input, output, terminal, longest }.spawn())
}

fn refused(error: Error) -> OneOffError {
    OneOffError::Release(error.into())
}

struct Found {
    program: CommandPre<DynoState>,
    args: Vec<String>,
    code: Arc<Code>,
}

/// What the words mean: a process type with further arguments, a program that the slug names, or the file that a process
/// type runs.
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
    let component = match config.programs.get(program_name(first)) {
        Some(component) => Some(component),
        // Buildpacks put the name of the program first, as everywhere.
        None => config.processes.values().find_map(|process| {
            let name = program_name(process.args.first()?);
            (!first.is_empty() && same(name, program_name(first))).then_some(&process.component)
        }),
    };
    let component = match (component, &parts.stack) {
        (Some(ComponentRef::Own { digest, .. }), _) => *digest,
        (Some(ComponentRef::Stack), Some((_, component))) => *component,
        _ => return Err(unknown(config, first)),
    };
    let code = resources.codes.get(component, Urgency::Now).await.map_err(refused)?;
    match code.guest(World::Cli).map_err(refused)? {
        GuestPre::Command(program) => Ok(Found { program, args: command.to_vec(), code }),
        _ => Err(OneOffError::ServesRequests(first.to_owned())),
    }
}

/// The file's name of `./target/release/my-app` or `tool.wasm`.
fn program_name(word: &str) -> &str {
    let file = word.rsplit('/').next().unwrap_or(word);
    file.strip_suffix(".wasm").unwrap_or(file)
}

/// Cargo has `my-app` for `my_app`, too.
fn same(one: &str, other: &str) -> bool {
    let letter = |byte: u8| if byte == b'-' { b'_' } else { byte };
    one.bytes().map(letter).eq(other.bytes().map(letter))
}

fn unknown(config: &SlugConfig, first: &str) -> OneOffError {
    /// Names in an error, at most.
    const SHOWN: usize = 20;
    let list = |names: Vec<&str>| {
        let more = if names.len() > SHOWN { ", …" } else { "" };
        format!("{}{more}", names.into_iter().take(SHOWN).collect::<Vec<_>>().join(", "))
    };
    let runs = |(name, process): (&_, &ProcessType)| (process.world == World::Cli).then_some(*name);
    let processes =
        config.processes.iter().filter_map(|(name, process)| runs((&name.as_str(), process)));
    let known = match (
        list(processes.collect()),
        list(config.programs.keys().map(String::as_str).collect()),
    ) {
        (none, programs) if none.is_empty() && programs.is_empty() => {
            "it has none to run".to_owned()
        }
        (processes, programs) if programs.is_empty() => {
            format!("its process types are {processes}")
        }
        (processes, programs) if processes.is_empty() => format!("its programs are {programs}"),
        (processes, programs) => {
            format!("its process types are {processes}, and its programs {programs}")
        }
    };
    let shell = ["bash", "sh", "zsh", "dash"].contains(&program_name(first));
    let known = if shell { format!("a dyno has no shell, and {known}") } else { known };
    OneOffError::UnknownCommand { command: first.to_owned(), known }
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
    let process = ProcessType::new(job.shown.clone(), component, World::Cli, found.args.clone());
    let pre = GuestPre::Command(found.program.clone());
    let guest = Guest { code: Arc::clone(&found.code), pre };
    let mut spec = parts.dyno_spec(tenant, (&job.kind, &process), &guest, limits);
    spec.env.retain(|(name, _)| !job.env.iter().any(|(other, _)| other == name));
    let given = job.env.iter().map(|(name, value)| (name, value));
    spec.env.extend(environment(given, &tenant.egress));
    spec
}
