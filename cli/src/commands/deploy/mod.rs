//! `deploy`: from a project directory to a release that serves.

mod local;
mod name;
mod output;
mod remote;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{Context, Target};
use crate::{
    api::{Account, App},
    app_context::{self, Found},
};
use remote::Failed;
use report::{Deployed, Steps};

/// How many random endings are tried when a name is taken, before the server chooses one.
const NAME_ATTEMPTS: usize = 3;

/// Deploy a directory
///
/// Packs the source (.gitignore and .slugignore are respected), uploads it, shows the build's output and
/// waits until the release is live. Without -a the directory's app is deployed. An app that does not exist
/// is created; the directory remembers its app in DIR/.wpaas/app.json.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas deploy
  $ wpaas deploy examples/node-express -a my-app
  $ wpaas deploy --local
  $ wpaas deploy --json")]
pub(crate) struct Args {
    /// The app's directory
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Build on this machine and upload the slug
    #[arg(long)]
    local: bool,
    /// Print the result as JSON; the build's output goes to standard error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// The app to deploy to, and whether this deploy made it.
struct Chosen {
    app: App,
    created: bool,
}

/// `wpaas deploy`
pub(crate) async fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let directory = project_directory(&context.directory.join(&args.dir))?;
    let named = args.target.app.as_deref();
    let found = app_context::find(named, &directory, context.client.name())?;
    let mut steps = Steps::start();
    // Server and token are tried before the work of packing, and packing before anything is made.
    let existing = look_up(context, found.as_ref()).await?;
    steps.end("check");
    let packed = match args.local {
        true => None,
        false => {
            let packed = remote::pack(context, &directory).await?;
            steps.end("pack");
            Some(packed)
        }
    };
    let chosen = match existing {
        Some(app) => Chosen { app, created: false },
        None => {
            let app = create(context, found.as_ref(), &directory).await?;
            steps.end("create");
            Chosen { app, created: true }
        }
    };
    if chosen.created || app_context::recall(&directory)?.is_none() {
        app_context::remember(&directory, &chosen.app.name, context.client.name())?;
    }
    let app = &chosen.app;
    let deployed = match packed {
        Some(packed) => Box::pin(remote::deploy(context, app, packed, &mut steps, args.json)).await,
        None => Box::pin(local::deploy(context, app, &directory, &mut steps, args.json)).await,
    };
    match deployed {
        Ok(deployed) => Deployed::print(&deployed, context, &steps, args.json),
        Err(error) => {
            if chosen.created && error.is::<Failed>() {
                take_back(context, app, &directory).await;
            }
            Err(error)
        }
    }
}

fn project_directory(given: &Path) -> anyhow::Result<PathBuf> {
    let directory =
        given.canonicalize().with_context(|| format!("cannot deploy {}", given.display()))?;
    if !directory.is_dir() {
        bail!("cannot deploy {}: it is not a directory", given.display());
    }
    Ok(directory)
}

/// The app that was found, if the server has it.
async fn look_up(context: &Context, found: Option<&Found>) -> anyhow::Result<Option<App>> {
    let Some(found) = found else {
        context.client.get_as::<Account>(&["account"]).await?;
        return Ok(None);
    };
    match (context.client.get_as(&["apps", found.name()]).await, found) {
        (Ok(app), _) => Ok(Some(app)),
        (Err(error), Found::Remembered(name)) if error.is_not_found() => {
            context.ui.note(format_args!(
                "{} is remembered for this directory and exists no longer; it is created again.",
                context.shown(name)
            ));
            Ok(None)
        }
        (Err(error), Found::Named(_)) if error.is_not_found() => Ok(None),
        (Err(error), _) => Err(error.into()),
    }
}

/// Creates the app: with the name given, which must be free; else with the remembered one, else the
/// directory's, else that with a random ending, else with whatever name the server gives.
async fn create(context: &Context, found: Option<&Found>, directory: &Path) -> anyhow::Result<App> {
    let wanted = found.map(|found| found.name().to_owned());
    let wanted = wanted.or_else(|| name::of_directory(directory));
    let action = context.ui.action("Creating app");
    let mut bodies: Vec<Value> = wanted.iter().map(|name| json!({ "name": name })).collect();
    if !matches!(found, Some(Found::Named(_))) {
        let others = wanted
            .iter()
            .flat_map(|name| [name; NAME_ATTEMPTS])
            .map(|name| name::with_suffix(name));
        bodies.extend(others.map(|name| json!({ "name": name })));
        bodies.push(json!({}));
    }
    let last = bodies.len().saturating_sub(1);
    for (attempt, body) in bodies.into_iter().enumerate() {
        match context.client.post(&["apps"], &body).await {
            Ok(value) => {
                let app: App = context.client.parse(&value)?;
                action.done_with(context.shown(&app.name));
                return Ok(app);
            }
            Err(error) if error.is_name_taken() && attempt < last => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the server found no free name; give one with `wpaas create NAME`")
}

/// Removes an app that was created for a deploy which came to nothing, so that nothing half-made is left.
async fn take_back(context: &Context, app: &App, directory: &Path) {
    let shown = context.shown(&app.name);
    let removed = async {
        context.client.delete(&["apps", &app.name]).await?;
        app_context::forget(directory, &app.name, context.client.name())
    };
    match removed.await {
        Ok(()) => context.ui.note(format_args!("Removed {shown}, which this deploy had created.")),
        Err(error) => context.ui.warn(format_args!(
            "{shown} was created by this deploy and could not be removed: {error:#}"
        )),
    }
}

#[cfg(test)]
mod tests;
