//! `config`, `config:get`, `config:set`, `config:unset`.

use std::collections::BTreeMap;

use anyhow::bail;
use serde_json::{Value, json};

use super::{Context, Target, releases};
use crate::exit::Usage;

/// Show an app's config vars
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas config
  $ wpaas config --shell > .env
  $ wpaas config --json")]
pub(crate) struct ListArgs {
    /// Print NAME=value lines for a shell or an .env file
    #[arg(short, long, conflicts_with = "json")]
    shell: bool,
    /// Print them as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Print the value of config vars
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas config:get DATABASE_URL
  $ wpaas config:get A B --json")]
pub(crate) struct GetArgs {
    /// Their names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Print an object of them as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Set config vars, which makes a release
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas config:set RACK_ENV=staging
  $ wpaas config:set A=1 'B=two words' -a my-app")]
pub(crate) struct SetArgs {
    /// Names and values; a value may be empty and may hold =
    // Not parsed by clap, which would show the whole of what it refuses.
    #[arg(value_name = "NAME=VALUE", required = true)]
    vars: Vec<String>,
    /// Print all config vars as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Remove config vars, which makes a release
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas config:unset RACK_ENV
  $ wpaas config:unset A B -a my-app")]
pub(crate) struct UnsetArgs {
    /// Their names
    #[arg(value_name = "NAME", required = true, value_parser = parse_key)]
    names: Vec<String>,
    /// Print the remaining config vars as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

fn parse_key(name: &str) -> Result<String, String> {
    let bad = |c: char| c == '=' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.contains(bad) {
        return Err(format!("{name:?} cannot be the name of a config var"));
    }
    Ok(name.to_owned())
}

/// The error does not have the value, which may be a secret.
fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "config vars must be in the format NAME=VALUE; one has no =".to_owned())?;
    if value.contains('\0') {
        return Err(format!("the value of {name} holds a NUL"));
    }
    Ok((parse_key(name)?, value.to_owned()))
}

async fn fetch(context: &Context, app: &str) -> anyhow::Result<BTreeMap<String, String>> {
    Ok(context.client.get_as(&["apps", app, "config-vars"]).await?)
}

/// `wpaas config`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let vars = fetch(context, &app).await?;
    if args.json {
        return context.ui.json(&vars);
    }
    if args.shell {
        for (name, value) in &vars {
            context.ui.line(format_args!("{name}={}", quote(value)))?;
        }
        return Ok(());
    }
    if vars.is_empty() {
        context.ui.note(format_args!("{} has no config vars.", context.shown(&app)));
        return Ok(());
    }
    context.ui.heading(format_args!("{app} Config Vars"))?;
    show(context, &vars)
}

fn show(context: &Context, vars: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let width = vars.keys().map(|name| name.chars().count()).max().unwrap_or_default() + 1;
    for (name, value) in vars {
        let name = format!("{:<width$}", format!("{name}:"));
        context.ui.line(format_args!("{} {value}", context.ui.style.green(name)))?;
    }
    Ok(())
}

/// `wpaas config:get`
pub(crate) async fn get(context: &Context, args: &GetArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let vars = fetch(context, &app).await?;
    if args.json {
        let chosen: BTreeMap<_, _> = args.names.iter().map(|name| (name, vars.get(name))).collect();
        return context.ui.json(&chosen);
    }
    for name in &args.names {
        match vars.get(name) {
            Some(value) => context.ui.line(value)?,
            None => bail!("{name} is not set on {app}"),
        }
    }
    Ok(())
}

/// `wpaas config:set`
pub(crate) async fn set(context: &Context, args: &SetArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let mut vars = BTreeMap::new();
    for text in &args.vars {
        let (name, value) = parse_pair(text).map_err(Usage)?;
        if vars.contains_key(&name) {
            return Err(Usage(format!("{name} is given twice")).into());
        }
        vars.insert(name, value);
    }
    let names: Vec<&str> = vars.keys().map(String::as_str).collect();
    let after = change(context, &app, "Setting", &names, &json!(vars)).await?;
    if args.json { context.ui.json(&after) } else { show(context, &vars) }
}

/// `wpaas config:unset`
pub(crate) async fn unset(context: &Context, args: &UnsetArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let before = fetch(context, &app).await?;
    // A name that is not there is a slip of the pen, and a release for nothing helps nobody.
    if let Some(name) = args.names.iter().find(|name| !before.contains_key(*name)) {
        bail!("{name} is not set on {app}");
    }
    let nulls: BTreeMap<&str, Value> =
        args.names.iter().map(|name| (name.as_str(), Value::Null)).collect();
    let names: Vec<&str> = nulls.keys().copied().collect();
    let after = change(context, &app, "Unsetting", &names, &json!(nulls)).await?;
    if args.json { context.ui.json(&after) } else { Ok(()) }
}

async fn change(
    context: &Context,
    app: &str,
    verb: &str,
    names: &[&str],
    body: &Value,
) -> anyhow::Result<Value> {
    let (names, shown) = (names.join(", "), context.shown(app));
    let action = context.ui.action(format_args!("{verb} {names} and restarting {shown}"));
    let after = context.client.patch(&["apps", app, "config-vars"], body).await?;
    match releases::newest(context, app).await? {
        Some(release) => {
            action.done_with(format_args!("v{}", release.version));
            releases::settled(context, app, release).await?;
        }
        None => action.done(),
    }
    Ok(after)
}

/// A value as a POSIX shell and an .env file take it.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::testing::{context, target},
        testing::{Answer, Server},
    };

    #[test]
    fn a_pair_is_split_at_its_first_equals_sign() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(parse_pair("A=1"), pair("A", "1"));
        assert_eq!(parse_pair("A="), pair("A", ""));
        assert_eq!(parse_pair("URL=http://x/?a=b"), pair("URL", "http://x/?a=b"));
        assert_eq!(parse_pair("A= two\nlines "), pair("A", " two\nlines "));
        for bad in ["A", "=1", "", "A B=1", "A\0=1", "A=\0"] {
            assert!(parse_pair(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_survive_a_shell() {
        assert_eq!(quote("http://a:1/x?"), "'http://a:1/x?'");
        assert_eq!(quote("plain-1.0"), "plain-1.0");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }

    async fn platform() -> Server {
        Server::start(|seen| match seen.line.as_str() {
            "GET /apps/demo/config-vars" => Answer::json(200, json!({"A": "1", "LONGER": "x"})),
            "PATCH /apps/demo/config-vars" => Answer::json(200, json!({"B": "2"})),
            "GET /apps/demo/releases" => Answer::json(206, json!([releases::sample(5, true)])),
            other => panic!("{other}"),
        })
        .await
    }

    #[tokio::test]
    async fn set_patches_once_and_tells_the_release() {
        let server = platform().await;
        let (context, streams, _directory) = context(&server);
        let vars = vec!["B=2".into(), "A=".into()];
        set(&context, &SetArgs { vars, json: false, target: target() }).await.unwrap();
        assert_eq!(server.seen()[0].json(), json!({"A": "", "B": "2"}));
        assert_eq!(server.seen()[1].header("range"), "version ..; order=desc,max=1");
        assert_eq!(streams.out(), "A: \nB: 2\n");
        assert_eq!(streams.err(), "Setting A, B and restarting demo... done, v5\n");
    }

    #[tokio::test]
    async fn what_is_no_pair_or_is_given_twice_changes_nothing() {
        let server = platform().await;
        let (context, _streams, _directory) = context(&server);
        for vars in [vec!["A=1", "A=2"], vec!["A"], vec!["A=1", "=2"]] {
            let vars = vars.into_iter().map(Into::into).collect();
            let args = SetArgs { vars, json: false, target: target() };
            assert!(set(&context, &args).await.unwrap_err().is::<Usage>());
        }
        assert!(server.lines().is_empty());
    }

    #[tokio::test]
    async fn unset_sends_nulls_and_refuses_what_is_not_there() {
        let server = platform().await;
        let (context, _streams, _directory) = context(&server);
        let args = |names: &[&str]| UnsetArgs {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            json: false,
            target: target(),
        };
        let error = unset(&context, &args(&["A", "NOPE"])).await.unwrap_err();
        assert_eq!(error.to_string(), "NOPE is not set on demo");
        assert_eq!(server.lines(), ["GET /apps/demo/config-vars"]);
        unset(&context, &args(&["A"])).await.unwrap();
        assert_eq!(server.seen()[2].json(), json!({"A": null}));
    }

    #[tokio::test]
    async fn get_prints_values_alone() {
        let server = platform().await;
        let (context, streams, _directory) = context(&server);
        let args = |name: &str| GetArgs { names: vec![name.into()], json: false, target: target() };
        get(&context, &args("A")).await.unwrap();
        assert_eq!(streams.out(), "1\n");
        assert!(get(&context, &args("NOPE")).await.is_err());
        list(&context, &ListArgs { shell: false, json: false, target: target() }).await.unwrap();
        assert_eq!(streams.out(), "1\n=== demo Config Vars\n\nA:      1\nLONGER: x\n");
    }
}
