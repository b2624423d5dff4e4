//! `releases`, `releases:info`, `releases:output`, `releases:verify`, `rollback`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Context, Target};
use crate::{
    api::{Release, Verification},
    output,
};

/// How many releases `rollback` looks back for one that it can go to.
const LOOK_BACK: u32 = 100;

/// List an app's releases, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas releases
  $ wpaas releases -n 50 -a my-app
  $ wpaas releases --json")]
pub(crate) struct ListArgs {
    /// How many
    #[arg(
        short = 'n',
        long,
        default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    num: u32,
    /// Print them as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Show a release
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas releases:info v3
  $ wpaas releases:info v3 --json -a my-app")]
pub(crate) struct InfoArgs {
    /// Its version, v3 or 3 [default: the current one]
    #[arg(value_name = "VERSION", value_parser = parse_version)]
    version: Option<u64>,
    /// Print it as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Show what the release command of a release printed, as it comes when it still runs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas releases:output
  $ wpaas releases:output v3 -a my-app")]
pub(crate) struct OutputArgs {
    /// Its version, v3 or 3 [default: the newest]
    #[arg(value_name = "VERSION", value_parser = parse_version)]
    version: Option<u64>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Check that no entry of an app's ledger was changed after it was written
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas releases:verify
  $ wpaas releases:verify --json -a my-app")]
pub(crate) struct VerifyArgs {
    /// Print the result as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Go back to an earlier release: its code and its config vars, as a new release
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas rollback
  $ wpaas rollback v3 -a my-app")]
pub(crate) struct RollbackArgs {
    /// The version to go back to, v3 or 3 [default: the one before the current]
    #[arg(value_name = "VERSION", value_parser = parse_version)]
    version: Option<u64>,
    /// Print the new release as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

fn parse_version(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(version) if plain && version > 0 => Ok(version),
        _ => Err("a version is v1, v2, … or 1, 2, …".to_owned()),
    }
}

async fn descending(context: &Context, app: &str, max: u32) -> anyhow::Result<Value> {
    let range = format!("version ..; order=desc,max={max}");
    Ok(context.client.page(&["apps", app, "releases"], &range).await?)
}

/// The newest release, if there is one.
pub(crate) async fn newest(context: &Context, app: &str) -> anyhow::Result<Option<Release>> {
    let releases: Vec<Release> = context.client.parse(&descending(context, app, 1).await?)?;
    Ok(releases.into_iter().next())
}

/// `wpaas releases`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let value = descending(context, &app, args.num).await?;
    if args.json {
        return context.ui.json(&value);
    }
    let releases: Vec<Release> = context.client.parse(&value)?;
    if releases.is_empty() {
        context.ui.note(format_args!("{} has no releases.", context.shown(&app)));
        return Ok(());
    }
    let current = releases.iter().find(|release| release.current);
    let current = current.map(|one| format!(" - Current: v{}", one.version)).unwrap_or_default();
    context.ui.heading(format_args!("{app} Releases{current}"))?;
    let now = Timestamp::now();
    Ok(context.ui.table(&releases.iter().map(|release| row(release, now)).collect::<Vec<_>>())?)
}

fn row(release: &Release, now: Timestamp) -> Vec<String> {
    let mut description = release.description.clone();
    if release.status != "succeeded" {
        description = format!("{description} ({})", release.status);
    }
    let at = output::moment(release.created_at, now);
    vec![format!("v{}", release.version), description, release.user.email.clone(), at]
}

/// `wpaas releases:info`
pub(crate) async fn info(context: &Context, args: &InfoArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let version = match args.version {
        Some(version) => version,
        None => {
            let releases: Vec<Release> =
                context.client.parse(&descending(context, &app, LOOK_BACK).await?)?;
            let current = releases.iter().find(|one| one.current).or(releases.first());
            current.with_context(|| format!("{app} has no releases"))?.version
        }
    };
    let value = context.client.get(&["apps", &app, "releases", &version.to_string()]).await?;
    if args.json {
        return context.ui.json(&value);
    }
    let release: Release = context.client.parse(&value)?;
    context.ui.heading(format_args!("Release v{}", release.version))?;
    let rows = [
        ("Change:", Some(release.description.clone())),
        ("By:", Some(release.user.email.clone())),
        ("When:", Some(output::moment(release.created_at, Timestamp::now()))),
        ("Status:", Some(release.status.clone())),
        ("Current:", Some(if release.current { "yes" } else { "no" }.to_owned())),
        ("Slug:", release.slug.as_ref().map(|slug| slug.id.to_string())),
        ("Hash:", release.hash.clone()),
        ("Previous:", release.previous_hash.clone()),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| vec![key.to_owned(), value]))
        .collect();
    Ok(context.ui.table(&rows)?)
}

/// `wpaas releases:output`
pub(crate) async fn output(context: &Context, args: &OutputArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let release = match args.version {
        Some(version) => {
            context.client.get_as(&["apps", &app, "releases", &version.to_string()]).await?
        }
        None => newest(context, &app).await?.with_context(|| format!("{app} has no releases"))?,
    };
    let Some(url) = &release.output_stream_url else {
        bail!("v{} has no release command, and so no output", release.version);
    };
    let mut stream = context.client.stream(url, "text/plain").await?;
    while let Some(chunk) = stream.next().await {
        context.ui.raw(&chunk?)?;
    }
    Ok(())
}

/// Between two looks at a release whose output has ended, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Follows a release until its release command, if it has one, has ended: its output is shown to the person. Fails when the
/// release does.
pub(crate) async fn settled(
    context: &Context,
    app: &str,
    mut release: Release,
) -> anyhow::Result<Release> {
    let id = release.id.to_string();
    if release.status == "pending"
        && let Some(url) = &release.output_stream_url
    {
        context.ui.note(format_args!("Running the release command of v{}:", release.version));
        let mut stream = context.client.stream(url, "text/plain").await?;
        while let Some(chunk) = stream.next().await {
            context.ui.raw_note(&chunk?);
        }
    }
    let mut wait = FIRST_WAIT;
    while release.status == "pending" {
        release = context.client.get_as(&["apps", app, "releases", &id]).await?;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    if release.status == "failed" {
        bail!("v{} failed in its release command; the release before it stays", release.version);
    }
    Ok(release)
}

/// `wpaas releases:verify`
pub(crate) async fn verify(context: &Context, args: &VerifyArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let value = context.client.get(&["apps", &app, "releases", "verification"]).await?;
    let found: Verification = context.client.parse(&value)?;
    if args.json {
        context.ui.json(&value)?;
    } else if found.valid {
        context.ui.line(format_args!(
            "{} {app}: all {} entries of the ledger are as they were written",
            context.ui.style.green("ok"),
            found.entries
        ))?;
    }
    match found {
        Verification { valid: true, .. } => Ok(()),
        Verification { error: Some(broken), .. } => {
            bail!("the ledger of {app} does not verify at {}: {}", broken.entry, broken.reason)
        }
        Verification { .. } => bail!("the ledger of {app} does not verify"),
    }
}

/// `wpaas rollback`
pub(crate) async fn rollback(context: &Context, args: &RollbackArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let release = match args.version {
        Some(version) => {
            context.client.get_as(&["apps", &app, "releases", &version.to_string()]).await?
        }
        None => {
            let value = descending(context, &app, LOOK_BACK).await?;
            previous(context.client.parse(&value)?)
                .with_context(|| format!("{app} has no earlier release to go back to"))?
        }
    };
    let (shown, version) = (context.shown(&app), release.version);
    let action = context.ui.action(format_args!("Rolling back {shown} to v{version}"));
    let body = json!({ "release": release.id });
    let value = context.client.post(&["apps", &app, "releases"], &body).await?;
    let made: Release = context.client.parse(&value)?;
    action.done_with(format_args!("v{}", made.version));
    settled(context, &app, made).await?;
    if args.json { context.ui.json(&value) } else { Ok(()) }
}

/// The newest release before the current one that can be gone back to; `releases` is newest first.
fn previous(releases: Vec<Release>) -> Option<Release> {
    let current = releases.iter().find(|release| release.current)?.version;
    releases.into_iter().find(|release| {
        release.version < current
            && release.eligible_for_rollback
            && release.status == "succeeded"
            && release.slug.is_some()
    })
}

/// A release as a test server would answer it.
#[cfg(test)]
pub(crate) fn sample(version: u64, current: bool) -> Value {
    json!({
        "id": format!("00000000-0000-0000-0000-{version:012}"), "version": version,
        "status": "succeeded", "description": format!("Deploy {version}"),
        "user": {"email": "me@example.org"}, "created_at": "2026-11-20T10:00:00Z",
        "current": current, "slug": {"id": "00000000-0000-0000-0000-0000000000aa"},
        "eligible_for_rollback": true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::testing::{context, target},
        testing::{Answer, Server},
    };

    #[test]
    fn versions_have_a_v_or_not() {
        assert_eq!(parse_version("v3"), Ok(3));
        assert_eq!(parse_version("12"), Ok(12));
        for bad in
            ["", "v", "0", "v0", "-1", "+1", "v+1", "3.0", "vv3", "latest", "99999999999999999999"]
        {
            assert!(parse_version(bad).is_err(), "{bad:?}");
        }
    }

    fn releases(values: &[Value]) -> Vec<Release> {
        serde_json::from_value(Value::Array(values.to_vec())).unwrap()
    }

    #[test]
    fn going_back_skips_what_cannot_run() {
        let (mut failed, mut empty) = (sample(3, false), sample(2, false));
        failed["status"] = json!("failed");
        empty["slug"] = Value::Null;
        let all = [sample(4, true), failed, empty, sample(1, false)];
        assert_eq!(previous(releases(&all)).unwrap().version, 1);
        assert!(previous(releases(&all[..3])).is_none());
        assert!(previous(releases(&[])).is_none());
        // After a failed release the current one is not the newest.
        let newer = [sample(5, false), sample(4, true), sample(3, false)];
        assert_eq!(previous(releases(&newer)).unwrap().version, 3);
    }

    #[tokio::test]
    async fn rollback_names_the_release_by_its_id() {
        let server = Server::start(|seen| match seen.line.as_str() {
            "GET /apps/demo/releases/1" => Answer::json(200, sample(1, false)),
            "POST /apps/demo/releases" => Answer::json(201, sample(3, true)),
            other => panic!("{other}"),
        })
        .await;
        let (context, streams, _directory) = context(&server);
        let args = RollbackArgs { version: Some(1), json: false, target: target() };
        rollback(&context, &args).await.unwrap();
        let id = "00000000-0000-0000-0000-000000000001";
        assert_eq!(server.seen()[1].json(), json!({ "release": id }));
        assert_eq!(streams.err(), "Rolling back demo to v1... done, v3\n");
    }

    #[tokio::test]
    async fn verify_fails_and_names_the_entry() {
        let server = Server::start(|_| {
            let error = json!({"entry": "v3", "reason": "its hash does not fit"});
            Answer::json(200, json!({"valid": false, "entries": 5, "error": error}))
        })
        .await;
        let (context, streams, _directory) = context(&server);
        let args = VerifyArgs { json: false, target: target() };
        let error = verify(&context, &args).await.unwrap_err().to_string();
        assert!(error.contains("at v3: its hash does not fit"), "{error}");
        assert_eq!(streams.out(), "");
    }

    #[tokio::test]
    async fn the_list_shows_the_current_release_and_failures() {
        let server = Server::start(|_| {
            let mut failed = sample(2, false);
            failed["status"] = json!("failed");
            Answer::json(206, json!([failed, sample(1, true)]))
        })
        .await;
        let (context, streams, _directory) = context(&server);
        let args = ListArgs { num: 2, json: false, target: target() };
        list(&context, &args).await.unwrap();
        assert_eq!(server.seen()[0].header("range"), "version ..; order=desc,max=2");
        let out = streams.out();
        assert!(out.starts_with("=== demo Releases - Current: v1\n\n"), "{out}");
        assert!(out.contains("v2  Deploy 2 (failed)  me@example.org"), "{out}");
    }
}
