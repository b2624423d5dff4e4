//! `create`, `apps`, `info`, `destroy`.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;

use super::{Context, ServerArgs, Target};
use crate::{
    api::{Account, App, Domain, Formation},
    app_context,
    exit::Usage,
    output,
};

/// Files that make a directory an app's directory, so that `create` remembers the app there.
const PROJECT_FILES: [&str; 5] = [".git", "Procfile", "package.json", "Cargo.toml", "app.json"];

/// Create an app
///
/// In the directory of a project the new app is remembered for it, so that later commands need no -a.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas create
  $ wpaas create my-app
  $ wpaas create my-app --json")]
pub(crate) struct CreateArgs {
    /// Its name: 3 to 30 letters, digits and dashes, first a letter [default: a generated one]
    #[arg(value_name = "NAME", value_parser = app_context::parse_name)]
    name: Option<String>,
    /// Do not remember it for this directory
    #[arg(long)]
    no_remote: bool,
    /// Print the app as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// List your apps
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas apps
  $ wpaas apps --json")]
pub(crate) struct ListArgs {
    /// Print the apps as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Show an app
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas info
  $ wpaas info -a my-app --json")]
pub(crate) struct InfoArgs {
    /// Print the app, its formation and its domains as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Remove an app for good, with its releases, config vars and log
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas destroy -a my-app
  $ wpaas destroy --confirm my-app")]
pub(crate) struct DestroyArgs {
    /// Its name once more, instead of being asked
    #[arg(short, long, value_name = "NAME", value_parser = app_context::parse_name)]
    confirm: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `wpaas create`
pub(crate) async fn create(context: &Context, args: &CreateArgs) -> anyhow::Result<()> {
    let body = args.name.as_ref().map_or_else(|| json!({}), |name| json!({ "name": name }));
    let action = context.ui.action("Creating app");
    let value = context.client.post(&["apps"], &body).await?;
    let app: App = context.client.parse(&value)?;
    action.done_with(context.shown(&app.name));
    let directory = &context.directory;
    let project = PROJECT_FILES.iter().any(|name| directory.join(name).exists());
    if project && !args.no_remote && app_context::recall(directory)?.is_none() {
        app_context::remember(directory, &app.name, context.client.name())?;
        context.ui.note("Remembered for this directory in .wpaas/app.json");
    }
    if args.json {
        return context.ui.json(&value);
    }
    Ok(context.ui.line(app.web_url.as_deref().unwrap_or(&app.name))?)
}

/// `wpaas apps`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let value = context.client.list(&["apps"]).await?;
    if args.json {
        return context.ui.json(&value);
    }
    let mut apps: Vec<App> = context.client.parse(&value)?;
    let account: Account = context.client.get_as(&["account"]).await?;
    if apps.is_empty() {
        context.ui.note("You have no apps. Create one with `wpaas create` or `wpaas deploy`.");
        return Ok(());
    }
    apps.sort_by(|a, b| a.name.cmp(&b.name));
    context.ui.heading(format_args!("{} Apps", account.email))?;
    for app in apps {
        context.ui.line(app.name)?;
    }
    Ok(())
}

/// `wpaas info`
pub(crate) async fn info(context: &Context, args: &InfoArgs) -> anyhow::Result<()> {
    let name = context.app(&args.target)?;
    let client = &context.client;
    let app = client.get(&["apps", &name]).await?;
    let formation = client.list(&["apps", &name, "formation"]).await?;
    let domains = client.list(&["apps", &name, "domains"]).await?;
    if args.json {
        return context.ui.json(&json!({ "app": app, "formation": formation, "domains": domains }));
    }
    let app: App = client.parse(&app)?;
    let formation: Vec<Formation> = client.parse(&formation)?;
    let domains: Vec<Domain> = client.parse(&domains)?;
    context.ui.heading(context.ui.style.cyan(&app.name))?;
    Ok(context.ui.table(&describe(&app, &formation, &domains, Timestamp::now()))?)
}

fn describe(
    app: &App,
    formation: &[Formation],
    domains: &[Domain],
    now: Timestamp,
) -> Vec<Vec<String>> {
    let dynos: Vec<String> = formation
        .iter()
        .map(|formation| format!("{}: {}", formation.process_type, formation.scale()))
        .collect();
    let custom: Vec<&str> = domains
        .iter()
        .filter(|domain| domain.kind == "custom")
        .map(|domain| domain.hostname.as_str())
        .collect();
    let rows = [
        ("Created:", Some(output::moment(app.created_at, now))),
        ("Released:", app.released_at.map(|at| output::moment(at, now))),
        ("Language:", app.buildpack_provided_description.clone()),
        ("Dynos:", (!dynos.is_empty()).then(|| dynos.join(", "))),
        ("Domains:", (!custom.is_empty()).then(|| custom.join(", "))),
        ("Maintenance:", app.maintenance.then(|| "on".to_owned())),
        ("Owner:", Some(app.owner.email.clone())),
        ("Region:", Some(app.region.name.clone())),
        ("Slug Size:", app.slug_size.map(output::size)),
        ("Stack:", Some(app.stack.name.clone())),
        ("Web URL:", app.web_url.clone()),
    ];
    rows.into_iter()
        .filter_map(|(key, value)| value.map(|value| vec![key.to_owned(), value]))
        .collect()
}

/// `wpaas destroy`
pub(crate) async fn destroy(context: &Context, args: &DestroyArgs) -> anyhow::Result<()> {
    // As the heroku CLI: a confirmation alone says which app, and one that differs stops.
    let name = match (&args.target.app, &args.confirm) {
        (None, Some(confirmed)) => confirmed.clone(),
        _ => context.app(&args.target)?,
    };
    // A wrong name or token shows before anything is asked.
    let app: App = context.client.get_as(&["apps", &name]).await?;
    let given = match &args.confirm {
        Some(confirmed) => confirmed.clone(),
        None => ask(context, &app.name).await?,
    };
    if given != app.name {
        let message =
            format!("{given:?} is not the app's name, {:?}: nothing was removed", app.name);
        return Err(Usage(message).into());
    }
    let action = context.ui.action(format_args!("Destroying {}", context.shown(&app.name)));
    context.client.delete(&["apps", &app.name]).await?;
    action.done();
    app_context::forget(&context.directory, &app.name, context.client.name())
}

async fn ask(context: &Context, name: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        let message = format!("this removes {name} for good: confirm with --confirm {name}");
        return Err(Usage(message).into());
    }
    context.ui.warn(format_args!(
        "this removes {} with its releases, config vars and log, for good.",
        context.shown(name)
    ));
    // The prompt has no line end, so it does not go through the line-wise `note`.
    context.ui.raw_note(format!("To proceed, type {name}: ").as_bytes());
    tokio::task::spawn_blocking(|| -> std::io::Result<String> {
        std::io::stderr().flush()?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    })
    .await?
    .context("cannot read your answer")
}

/// An app as a test server would answer it.
#[cfg(test)]
pub(crate) fn sample(name: &str) -> serde_json::Value {
    json!({
        "id": "01234567-89ab-cdef-0123-456789abcdef", "name": name,
        "web_url": format!("http://{name}.localhost:8080/"), "owner": {"email": "me@example.org"},
        "region": {"name": "local"}, "stack": {"name": "node-20"}, "maintenance": false,
        "buildpack_provided_description": "Node.js", "created_at": "2026-11-20T10:00:00Z",
        "released_at": null, "slug_size": 1_048_576
    })
}

#[cfg(test)]
mod tests;
