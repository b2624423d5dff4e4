//! `ps`, `ps:scale`, `ps:restart`, `ps:stop`.

use jiff::Timestamp;
use serde_json::{Value, json};
use wpaas_slug::manifest::is_process_type;

use super::{Context, Target};
use crate::{
    api::{Dyno, Formation},
    output,
};

/// List an app's dynos
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas ps
  $ wpaas ps -a my-app --json")]
pub(crate) struct ListArgs {
    /// Print formation and dynos as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Say how many dynos of a process type may and must run
///
/// web=0..20 runs none without load and at most 20 under load; web=3 runs three; web+1 runs one more.
/// Without arguments it prints the present scale.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas ps:scale web=0..20
  $ wpaas ps:scale web=3 worker+1 -a my-app
  $ wpaas ps:scale")]
pub(crate) struct ScaleArgs {
    /// TYPE=N, TYPE=MIN..MAX, TYPE+N or TYPE-N
    #[arg(value_name = "TYPE=SCALE", value_parser = parse_scale)]
    scales: Vec<Update>,
    /// Print the formation as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// End dynos; load starts fresh ones
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas ps:restart
  $ wpaas ps:restart web
  $ wpaas ps:restart web.1 -a my-app")]
pub(crate) struct RestartArgs {
    /// A dyno (web.1) or a process type (web) [default: all]
    #[arg(value_name = "DYNO", value_parser = parse_which)]
    dyno: Option<Which>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Stop a one-off dyno; a dyno of the formation is started again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas ps:stop run.1234
  $ wpaas ps:stop worker -a my-app")]
pub(crate) struct StopArgs {
    /// A dyno (run.1234) or a process type (worker)
    #[arg(value_name = "DYNO", value_parser = parse_which)]
    dyno: Which,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A new scale for a process type, in the words of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Update {
    process_type: String,
    quantity: String,
}

/// What to restart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Dyno(String),
    ProcessType(String),
}

fn parse_scale(text: &str) -> Result<Update, String> {
    let shape = || format!("{text:?} is not TYPE=N, TYPE=MIN..MAX, TYPE+N or TYPE-N");
    let number = |digits: &str| -> Result<u32, String> {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| plain).ok_or_else(shape)
    };
    let (process_type, quantity) = if let Some((process_type, scale)) = text.split_once('=') {
        let quantity = match scale.split_once("..") {
            Some((min, max)) => {
                let (min, max) = (number(min)?, number(max)?);
                if min > max {
                    return Err(format!("{text:?}: {min} is more than {max}"));
                }
                format!("{min}..{max}")
            }
            None => number(scale)?.to_string(),
        };
        (process_type, quantity)
    } else {
        // A process type may hold dashes, so the last sign is the one that counts.
        let at = text.rfind(['+', '-']).ok_or_else(shape)?;
        let (process_type, change) = text.split_at(at);
        let (sign, digits) = change.split_at(1);
        (process_type, format!("{sign}{}", number(digits)?))
    };
    if !is_process_type(process_type) {
        return Err(shape());
    }
    Ok(Update { process_type: process_type.to_owned(), quantity })
}

fn parse_which(text: &str) -> Result<Which, String> {
    let bad = || format!("{text:?} is neither a dyno (web.1) nor a process type (web)");
    match text.split_once('.') {
        None if is_process_type(text) => Ok(Which::ProcessType(text.to_owned())),
        Some((process_type, number))
            if is_process_type(process_type)
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(Which::Dyno(text.to_owned()))
        }
        _ => Err(bad()),
    }
}

/// `wpaas ps`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let formation = context.client.list(&["apps", &app, "formation"]).await?;
    let dynos = context.client.list(&["apps", &app, "dynos"]).await?;
    if args.json {
        return context.ui.json(&json!({ "formation": formation, "dynos": dynos }));
    }
    let formation: Vec<Formation> = context.client.parse(&formation)?;
    let dynos: Vec<Dyno> = context.client.parse(&dynos)?;
    if formation.is_empty() && dynos.is_empty() {
        let shown = context.shown(&app);
        context.ui.note(format_args!("{shown} has no dynos: deploy it with `wpaas deploy`."));
        return Ok(());
    }
    let now = Timestamp::now();
    for (index, (title, lines)) in groups(&formation, &dynos, now).into_iter().enumerate() {
        if index > 0 {
            context.ui.line("")?;
        }
        context.ui.heading(title)?;
        for line in lines {
            context.ui.line(line)?;
        }
    }
    Ok(())
}

/// Per process type its title and its dynos; also dynos of a type that is in the formation no more.
fn groups(formation: &[Formation], dynos: &[Dyno], now: Timestamp) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, String, Vec<String>)> = formation
        .iter()
        .map(|one| {
            let title = format!("{}: {} ({})", one.process_type, one.command, one.scale());
            (one.process_type.clone(), title, Vec::new())
        })
        .collect();
    for dyno in dynos {
        let at = output::moment(dyno.updated_at, now);
        let line = format!("{}: {} {at}{}", dyno.name, dyno.state, dyno.way());
        match groups.iter_mut().find(|(name, ..)| *name == dyno.process_type) {
            Some((.., lines)) => lines.push(line),
            None => {
                let title = format!("{}: {}", dyno.process_type, dyno.command);
                groups.push((dyno.process_type.clone(), title, vec![line]));
            }
        }
    }
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    groups
        .into_iter()
        .map(|(_, title, lines)| match lines.is_empty() {
            true => (title, vec!["no dynos now".to_owned()]),
            false => (title, lines),
        })
        .collect()
}

/// `wpaas ps:scale`
pub(crate) async fn scale(context: &Context, args: &ScaleArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    if args.scales.is_empty() {
        let value = context.client.list(&["apps", &app, "formation"]).await?;
        if args.json {
            return context.ui.json(&value);
        }
        let formation: Vec<Formation> = context.client.parse(&value)?;
        if formation.is_empty() {
            context.ui.note(format_args!("{} has no process types yet.", context.shown(&app)));
            return Ok(());
        }
        let line: Vec<String> =
            formation.iter().map(|one| format!("{}={}", one.process_type, one.scale())).collect();
        return Ok(context.ui.line(line.join(" "))?);
    }
    let updates: Vec<Value> = args
        .scales
        .iter()
        .map(|update| json!({ "type": update.process_type, "quantity": update.quantity }))
        .collect();
    let action = context.ui.action("Scaling dynos");
    let body = json!({ "updates": updates });
    let value = context.client.patch(&["apps", &app, "formation"], &body).await?;
    let formation: Vec<Formation> = context.client.parse(&value)?;
    let changed: Vec<String> = formation
        .iter()
        .filter(|one| args.scales.iter().any(|update| update.process_type == one.process_type))
        .map(|one| format!("{} at {}", one.process_type, one.scale()))
        .collect();
    action.done_with(format_args!("now running {}", changed.join(", ")));
    if args.json { context.ui.json(&value) } else { Ok(()) }
}

/// `wpaas ps:restart`
pub(crate) async fn restart(context: &Context, args: &RestartArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let shown = context.shown(&app);
    let (what, path) = match &args.dyno {
        None => ("all dynos".to_owned(), vec!["apps", &app, "dynos"]),
        Some(Which::Dyno(name)) => (name.clone(), vec!["apps", &app, "dynos", name]),
        Some(Which::ProcessType(name)) => {
            (format!("all {name} dynos"), vec!["apps", &app, "formations", name])
        }
    };
    let action = context.ui.action(format_args!("Restarting {what} on {shown}"));
    context.client.delete(&path).await?;
    action.done();
    Ok(())
}

/// `wpaas ps:stop`
pub(crate) async fn stop(context: &Context, args: &StopArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let shown = context.shown(&app);
    let (what, path) = match &args.dyno {
        Which::Dyno(name) => (name.clone(), ["apps", &app, "dynos", name, "actions", "stop"]),
        Which::ProcessType(name) => {
            (format!("all {name} dynos"), ["apps", &app, "formations", name, "actions", "stop"])
        }
    };
    let action = context.ui.action(format_args!("Stopping {what} on {shown}"));
    context.client.post(&path, &json!({})).await?;
    action.done();
    Ok(())
}

#[cfg(test)]
mod tests;
