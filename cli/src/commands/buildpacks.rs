//! `buildpacks`, `buildpacks:set`, `:add`, `:remove`, `:clear`.

use serde_json::{Value, json};

use super::{Context, Target};
use crate::{
    api::{Client, Installation},
    exit::Usage,
};

/// List an app's buildpacks
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas buildpacks
  $ wpaas buildpacks -a my-app --json")]
pub(crate) struct ListArgs {
    /// Print them as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A place in the order, and what all that change it have.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Its place in the order, from 1
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    index: Option<u16>,
    /// Print all buildpacks as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A buildpack and its place.
#[derive(Debug, clap::Args)]
pub(crate) struct Placed {
    /// heroku/nodejs, heroku/python, wpaas/rust, wpaas/component, or the https:// address of a git repository
    /// (#BRANCH) or .tgz file
    #[arg(value_name = "BUILDPACK")]
    buildpack: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Set the first of an app's buildpacks, or the one at a place
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas buildpacks:set heroku/python
  $ wpaas buildpacks:set https://github.com/example/buildpack.git#v2 -a my-app
  $ wpaas buildpacks:set heroku/nodejs --index 2")]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) placed: Placed,
}

/// Add a buildpack at the end of the order, or before the one at a place
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas buildpacks:add heroku/python
  $ wpaas buildpacks:add heroku/nodejs --index 1 -a my-app")]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) placed: Placed,
}

/// Remove one of an app's buildpacks
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas buildpacks:remove heroku/nodejs
  $ wpaas buildpacks:remove --index 2 -a my-app")]
pub(crate) struct RemoveArgs {
    /// Its name or address
    #[arg(value_name = "BUILDPACK", required_unless_present = "index", conflicts_with = "index")]
    buildpack: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Remove all of an app's buildpacks: the next build finds out by itself
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas buildpacks:clear
  $ wpaas buildpacks:clear -a my-app")]
pub(crate) struct ClearArgs {
    #[command(flatten)]
    pub(crate) target: Target,
}

/// The app's buildpacks in their order.
pub(crate) async fn of(client: &Client, app: &str) -> anyhow::Result<Vec<String>> {
    let value = client.list(&["apps", app, "buildpack-installations"]).await?;
    let installed: Vec<Installation> = client.parse(&value)?;
    Ok(installed.into_iter().map(|one| one.buildpack.url).collect())
}

/// `wpaas buildpacks`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    if args.json {
        let value = context.client.list(&["apps", &app, "buildpack-installations"]).await?;
        return context.ui.json(&value);
    }
    let buildpacks = of(&context.client, &app).await?;
    if buildpacks.is_empty() {
        context.ui.note(format_args!(
            "{} has no buildpacks set: its builds find out. Set one with `wpaas buildpacks:set BUILDPACK`.",
            context.shown(&app)
        ));
        return Ok(());
    }
    context.ui.heading(format_args!("{app} Buildpacks"))?;
    show(context, &buildpacks)
}

fn show(context: &Context, buildpacks: &[String]) -> anyhow::Result<()> {
    for (number, one) in buildpacks.iter().enumerate() {
        context.ui.line(format_args!("{}. {}", number + 1, wpaas_builder::shown(one)))?;
    }
    Ok(())
}

/// `wpaas buildpacks:set`
pub(crate) async fn set(context: &Context, args: &SetArgs) -> anyhow::Result<()> {
    let Placed { buildpack, place } = &args.placed;
    let at = usize::from(place.index.unwrap_or(1)).saturating_sub(1);
    change(context, &place.target, place.json, "set", |mut all| {
        not_there(&all, buildpack)?;
        match all.get_mut(at) {
            Some(old) => buildpack.clone_into(old),
            None => all.push(buildpack.clone()),
        }
        Ok(all)
    })
    .await
}

/// `wpaas buildpacks:add`
pub(crate) async fn add(context: &Context, args: &AddArgs) -> anyhow::Result<()> {
    let Placed { buildpack, place } = &args.placed;
    change(context, &place.target, place.json, "added", |mut all| {
        not_there(&all, buildpack)?;
        let end = all.len();
        let at = place.index.map_or(end, |index| usize::from(index).saturating_sub(1).min(end));
        all.insert(at, buildpack.clone());
        Ok(all)
    })
    .await
}

/// `wpaas buildpacks:remove`
pub(crate) async fn remove(context: &Context, args: &RemoveArgs) -> anyhow::Result<()> {
    change(context, &args.place.target, args.place.json, "removed", |mut all| {
        let place = match (&args.buildpack, args.place.index) {
            (Some(name), _) => all.iter().position(|one| one == name),
            (None, index) => index.map(|index| usize::from(index).saturating_sub(1)),
        };
        let Some(place) = place.filter(|place| *place < all.len()) else {
            let text = "the app has no such buildpack; `wpaas buildpacks` lists them";
            return Err(Usage(text.to_owned()).into());
        };
        all.remove(place);
        Ok(all)
    })
    .await
}

/// `wpaas buildpacks:clear`
pub(crate) async fn clear(context: &Context, args: &ClearArgs) -> anyhow::Result<()> {
    change(context, &args.target, false, "removed", |_| Ok(Vec::new())).await
}

fn not_there(all: &[String], buildpack: &str) -> anyhow::Result<()> {
    if all.iter().any(|one| one == buildpack) {
        let text = format!("the buildpack {buildpack} is already set on the app");
        return Err(Usage(text).into());
    }
    Ok(())
}

/// Replaces the app's buildpacks by what `to` makes of them.
async fn change(
    context: &Context,
    target: &Target,
    json: bool,
    done: &str,
    to: impl FnOnce(Vec<String>) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<()> {
    let app = context.app(target)?;
    let all = to(of(&context.client, &app).await?)?;
    let updates: Vec<Value> = all.iter().map(|one| json!({ "buildpack": one })).collect();
    let path = ["apps", &app, "buildpack-installations"];
    let value = context.client.put(&path, &json!({ "updates": updates })).await?;
    if json {
        return context.ui.json(&value);
    }
    let set: Vec<Installation> = context.client.parse(&value)?;
    let set: Vec<String> = set.into_iter().map(|one| one.buildpack.url).collect();
    let app = context.shown(&app);
    if set.is_empty() {
        context
            .ui
            .note(format_args!("Buildpack {done}. The next build of {app} finds out by itself."));
        return Ok(());
    }
    context.ui.note(format_args!("Buildpack {done}. The next build of {app} uses:"));
    show(context, &set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::testing::{context, target},
        testing::{Answer, Server},
    };

    /// A server whose app has these buildpacks, and which says of an update what it was told.
    async fn server(has: &'static [&'static str]) -> Server {
        let shown = |all: Vec<Value>| {
            let all = all.into_iter().map(|url| json!({"buildpack": {"url": url, "name": url}}));
            Answer::json(200, Value::from_iter(all))
        };
        Server::start(move |seen| match seen.line.split(' ').next() {
            Some("GET") => shown(has.iter().map(|&name| json!(name)).collect()),
            _ => {
                let told = seen.json()["updates"].as_array().unwrap().clone();
                shown(told.into_iter().map(|one| one["buildpack"].clone()).collect())
            }
        })
        .await
    }

    fn place(index: Option<u16>) -> Place {
        Place { index, json: false, target: target() }
    }

    fn placed(buildpack: &str, index: Option<u16>) -> Placed {
        Placed { buildpack: buildpack.to_owned(), place: place(index) }
    }

    #[tokio::test]
    async fn the_order_is_kept_as_the_heroku_command_does() {
        for (index, expected) in
            [(None, "1. x\n2. b\n"), (Some(2), "1. a\n2. x\n"), (Some(9), "1. a\n2. b\n3. x\n")]
        {
            let server = server(&["a", "b"]).await;
            let (context, streams, _directory) = context(&server);
            set(&context, &SetArgs { placed: placed("x", index) }).await.unwrap();
            assert_eq!(streams.out(), expected);
        }
        for (index, expected) in [
            (None, "1. a\n2. b\n3. x\n"),
            (Some(1), "1. x\n2. a\n3. b\n"),
            (Some(9), "1. a\n2. b\n3. x\n"),
        ] {
            let server = server(&["a", "b"]).await;
            let (context, streams, _directory) = context(&server);
            add(&context, &AddArgs { placed: placed("x", index) }).await.unwrap();
            assert_eq!(streams.out(), expected);
        }
        let removed = |buildpack: Option<&str>, index| RemoveArgs {
            buildpack: buildpack.map(str::to_owned),
            place: place(index),
        };
        for args in [removed(Some("a"), None), removed(None, Some(1))] {
            let server = server(&["a", "b"]).await;
            let (context, streams, _directory) = context(&server);
            remove(&context, &args).await.unwrap();
            assert_eq!(streams.out(), "1. b\n");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_changes_nothing() {
        let server = server(&["a"]).await;
        let (context, _, _directory) = context(&server);
        let twice = add(&context, &AddArgs { placed: placed("a", None) }).await.unwrap_err();
        assert!(twice.is::<Usage>(), "{twice}");
        let args = RemoveArgs { buildpack: None, place: place(Some(2)) };
        let absent = remove(&context, &args).await.unwrap_err();
        assert!(absent.is::<Usage>(), "{absent}");
        assert!(server.lines().iter().all(|line| line.starts_with("GET ")));
    }
}
