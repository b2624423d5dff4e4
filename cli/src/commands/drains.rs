//! `drains`, `drains:add`, `drains:remove`.

use serde_json::json;

use super::{Context, Target};
use crate::api::Drain;

/// List an app's log drains
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas drains
  $ wpaas drains -a my-app --json")]
pub(crate) struct ListArgs {
    /// Print them as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Send an app's log to a syslog or HTTPS receiver
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas drains:add syslog+tls://logs.example.com:6514
  $ wpaas drains:add https://user:password@logs.example.com/in -a my-app")]
pub(crate) struct AddArgs {
    /// syslog://HOST:PORT, syslog+tls://HOST:PORT or https://HOST/PATH
    url: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Remove a log drain from an app
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas drains:remove syslog+tls://logs.example.com:6514
  $ wpaas drains:remove d.01234567-89ab-cdef-0123-456789abcdef -a my-app")]
pub(crate) struct RemoveArgs {
    /// Its URL or token
    #[arg(value_name = "URL|TOKEN")]
    drain: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `wpaas drains`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let value = context.client.list(&["apps", &app, "log-drains"]).await?;
    if args.json {
        return context.ui.json(&value);
    }
    let drains: Vec<Drain> = context.client.parse(&value)?;
    if drains.is_empty() {
        context.ui.note(format_args!(
            "{} has no log drains. Add one with `wpaas drains:add URL`.",
            context.shown(&app)
        ));
        return Ok(());
    }
    context.ui.heading("Drains")?;
    for drain in drains {
        context.ui.line(format_args!("{} ({})", drain.url, drain.token))?;
    }
    Ok(())
}

/// `wpaas drains:add`
pub(crate) async fn add(context: &Context, args: &AddArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let body = json!({ "url": args.url });
    let value = context.client.post(&["apps", &app, "log-drains"], &body).await?;
    let drain: Drain = context.client.parse(&value)?;
    let line = format_args!("Successfully added drain {} ({})", drain.url, drain.token);
    Ok(context.ui.line(line)?)
}

/// `wpaas drains:remove`
pub(crate) async fn remove(context: &Context, args: &RemoveArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let value = context.client.delete(&["apps", &app, "log-drains", &args.drain]).await?;
    let drain: Drain = context.client.parse(&value)?;
    Ok(context.ui.line(format_args!("Successfully removed drain {}", drain.url))?)
}
