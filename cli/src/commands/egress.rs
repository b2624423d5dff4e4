//! `egress`, `egress:allow`, `egress:deny`: what an app's dynos may connect to.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use wpaas_slug::feed::{EgressRule, EgressTls};

use super::{Context, Target, releases};
use crate::exit::Usage;

/// List what an app may connect to
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas egress
  $ wpaas egress -a my-app --json")]
pub(crate) struct ListArgs {
    /// Print the rules as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Let an app connect to hosts, which makes a release
///
/// Dynos connect to nothing else. HOST is a name, *.SUFFIX for every name below a suffix, * for every public address,
/// an IP address or a network; PORT is a number, or * for every port. Private addresses are the operator's to open:
/// see wpaas serve --egress-network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas egress:allow api.example.com:443
  $ wpaas egress:allow db.example.com:5432 --pgtls --ca ca.pem
  $ wpaas egress:allow '*.example.org:*' 203.0.114.0/24:6379 -a my-app")]
pub(crate) struct AllowArgs {
    #[command(flatten)]
    wanted: Wanted,
    /// Print all rules as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Rules as people write them, on the command line and in a file of `wpaas dev`.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// What to allow
    #[arg(value_name = "HOST:PORT", required = true, value_parser = parse_rule)]
    rules: Vec<EgressRule>,
    /// Do TLS for the app on these connections, which then speaks plain text
    #[arg(long, conflicts_with = "pgtls")]
    tls: bool,
    /// The same for PostgreSQL, whose TLS begins with a request of its own
    #[arg(long)]
    pgtls: bool,
    /// Trust the authorities in this PEM file, and no others, when TLS is done for the app
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Wanted {
    /// The rules, with the certificates of the file that is named, which is relative to `directory`.
    pub(crate) fn read(&self, directory: &Path) -> anyhow::Result<Vec<EgressRule>> {
        let ca = match self.ca.as_ref().map(|file| directory.join(file)) {
            None => None,
            Some(file) => Some(
                std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?,
            ),
        };
        let tls = match (self.tls, self.pgtls) {
            (_, true) => Some(EgressTls::Pgtls),
            (true, _) => Some(EgressTls::Tls),
            _ => None,
        };
        let complete = |rule: &EgressRule| EgressRule { tls, ca: ca.clone(), ..rule.clone() };
        Ok(self.rules.iter().map(complete).collect())
    }
}

/// Remove rules for hosts, which makes a release
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas egress:deny api.example.com:443
  $ wpaas egress:deny '*:443' db.example.com:5432 -a my-app")]
pub(crate) struct DenyArgs {
    /// Rules as `wpaas egress` shows them
    #[arg(value_name = "HOST:PORT", required = true, value_parser = parse_rule)]
    rules: Vec<EgressRule>,
    /// Print the remaining rules as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

fn parse_rule(text: &str) -> Result<EgressRule, String> {
    EgressRule::parse(text).map_err(|error| error.to_string())
}

/// `wpaas egress`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let rules: Vec<EgressRule> = context.client.get_as(&["apps", &app, "egress"]).await?;
    if args.json {
        return context.ui.json(&rules);
    }
    if rules.is_empty() {
        context.ui.note(format_args!(
            "{} may connect to nothing. Allow it with `wpaas egress:allow HOST:PORT`.",
            context.shown(&app)
        ));
        return Ok(());
    }
    context.ui.heading(format_args!("{app} Egress Rules"))?;
    Ok(context.ui.table(&rules.iter().map(row).collect::<Vec<_>>())?)
}

fn row(rule: &EgressRule) -> Vec<String> {
    let tls = match rule.tls {
        None => "",
        Some(EgressTls::Tls) => "tls",
        Some(EgressTls::Pgtls) => "pgtls",
    };
    let authority = if rule.ca.is_some() { "own authority" } else { "" };
    vec![rule.destination(), tls.to_owned(), authority.to_owned()]
}

/// `wpaas egress:allow`
pub(crate) async fn allow(context: &Context, args: &AllowArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let rules = args.wanted.read(&context.directory)?;
    let names = destinations(&rules)?;
    let body = json!({ "allow": rules });
    let after = change(context, &app, &format!("Allowing egress to {names}"), &body).await?;
    if args.json { context.ui.json(&after) } else { Ok(()) }
}

/// `wpaas egress:deny`
pub(crate) async fn deny(context: &Context, args: &DenyArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let names = destinations(&args.rules)?;
    let denied: Vec<String> = args.rules.iter().map(EgressRule::destination).collect();
    let body = json!({ "deny": denied });
    let after = change(context, &app, &format!("Denying egress to {names}"), &body).await?;
    if args.json { context.ui.json(&after) } else { Ok(()) }
}

/// What rules are for, each once.
fn destinations(rules: &[EgressRule]) -> anyhow::Result<String> {
    let mut names: Vec<String> = Vec::new();
    for rule in rules {
        let name = rule.destination();
        if names.contains(&name) {
            return Err(Usage(format!("{name} is given twice")).into());
        }
        names.push(name);
    }
    Ok(names.join(", "))
}

async fn change(context: &Context, app: &str, what: &str, body: &Value) -> anyhow::Result<Value> {
    let action = context.ui.action(format_args!("{what} and restarting {}", context.shown(app)));
    let after = context.client.patch(&["apps", app, "egress"], body).await?;
    match releases::newest(context, app).await? {
        Some(release) => {
            action.done_with(format_args!("v{}", release.version));
            releases::settled(context, app, release).await?;
        }
        None => action.done(),
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::testing::{context, target},
        testing::{Answer, Server},
    };

    async fn platform() -> Server {
        Server::start(|seen| match seen.line.as_str() {
            "GET /apps/demo/egress" => Answer::json(
                200,
                json!([
                    {"host": "*", "port": 443},
                    {"host": "2a00::5", "port": 6379, "tls": "tls"},
                    {"host": "db", "tls": "pgtls", "ca": "-----BEGIN"}
                ]),
            ),
            "PATCH /apps/demo/egress" => Answer::json(200, json!([{"host": "a", "port": 1}])),
            "GET /apps/demo/releases" => Answer::json(206, json!([releases::sample(5, true)])),
            other => panic!("{other}"),
        })
        .await
    }

    #[tokio::test]
    async fn rules_are_listed_as_they_are_written() {
        let server = platform().await;
        let (context, streams, _directory) = context(&server);
        list(&context, &ListArgs { json: false, target: target() }).await.unwrap();
        let expected = "=== demo Egress Rules\n\n*:443\n[2a00::5]:6379  tls\n\
                        db:*            pgtls  own authority\n";
        assert_eq!(streams.out(), expected);
    }

    #[tokio::test]
    async fn allowing_sends_all_rules_at_once_and_tells_the_release() {
        let server = platform().await;
        let (context, streams, directory) = context(&server);
        let ca = directory.path().join("ca.pem");
        let args = |rules: &[&str], ca: Option<PathBuf>| {
            let rules = rules.iter().map(|rule| parse_rule(rule).unwrap()).collect();
            let wanted = Wanted { rules, tls: false, pgtls: true, ca };
            AllowArgs { wanted, json: false, target: target() }
        };
        let error = allow(&context, &args(&["a:1"], Some(ca.clone()))).await.unwrap_err();
        assert!(format!("{error:#}").contains("cannot read"), "{error:#}");
        assert!(allow(&context, &args(&["a:1", "A:1"], None)).await.unwrap_err().is::<Usage>());
        assert!(server.lines().is_empty());
        std::fs::write(&ca, "PEM").unwrap();
        allow(&context, &args(&["A.com:1", "b:*"], Some(ca))).await.unwrap();
        let rule = |host: &str| json!({"host": host, "tls": "pgtls", "ca": "PEM"});
        let mut first = rule("a.com");
        first["port"] = json!(1);
        assert_eq!(server.seen()[0].json(), json!({"allow": [first, rule("b")]}));
        assert_eq!(
            streams.err(),
            "Allowing egress to a.com:1, b:* and restarting demo... done, v5\n"
        );
    }

    #[tokio::test]
    async fn denying_names_destinations() {
        let server = platform().await;
        let (context, streams, _directory) = context(&server);
        let rules = vec![parse_rule("[2A00::5]:6379").unwrap()];
        deny(&context, &DenyArgs { rules, json: true, target: target() }).await.unwrap();
        assert_eq!(server.seen()[0].json(), json!({"deny": ["[2a00::5]:6379"]}));
        assert!(streams.out().contains("\"host\": \"a\""), "{}", streams.out());
    }
}
