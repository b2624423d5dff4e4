//! `domains`, `domains:add`, `domains:remove`.

use serde_json::{Value, json};

use super::{Context, Target};
use crate::api::Domain;

/// List an app's domains
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas domains
  $ wpaas domains -a my-app --json")]
pub(crate) struct ListArgs {
    /// Print them as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Add a domain to an app
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas domains:add www.example.org
  $ wpaas domains:add www.example.org -a my-app --json")]
pub(crate) struct AddArgs {
    /// The host name
    #[arg(value_name = "HOSTNAME", value_parser = parse_hostname)]
    hostname: String,
    /// Print the domain as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Remove a domain from an app
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas domains:remove www.example.org
  $ wpaas domains:remove www.example.org -a my-app")]
pub(crate) struct RemoveArgs {
    /// The host name
    #[arg(value_name = "HOSTNAME", value_parser = parse_hostname)]
    hostname: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Catches what is no host name at all, a URL for instance; the platform decides about the rest.
fn parse_hostname(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_alphanumeric() || "-_.*".contains(c);
    if text.is_empty() || !text.chars().all(plain) || text.split('.').any(str::is_empty) {
        return Err(format!("{text:?} is not a host name such as www.example.org"));
    }
    Ok(text.to_lowercase())
}

/// `wpaas domains`
pub(crate) async fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let value = context.client.list(&["apps", &app, "domains"]).await?;
    if args.json {
        return context.ui.json(&value);
    }
    let (custom, own): (Vec<Domain>, Vec<Domain>) = context
        .client
        .parse::<Vec<Domain>>(&value)?
        .into_iter()
        .partition(|domain| domain.kind == "custom");
    if !own.is_empty() {
        context.ui.heading(format_args!("{app} Domain"))?;
        for domain in own {
            context.ui.line(domain.hostname)?;
        }
        context.ui.line("")?;
    }
    if custom.is_empty() {
        context.ui.note(format_args!(
            "{} has no custom domains. Add one with `wpaas domains:add HOSTNAME`.",
            context.shown(&app)
        ));
        return Ok(());
    }
    context.ui.heading(format_args!("{app} Custom Domains"))?;
    let heads = ["Domain Name", "DNS Target", "Status"].map(str::to_owned).to_vec();
    let rows = custom.into_iter().map(|domain| {
        vec![domain.hostname, domain.cname.unwrap_or_else(|| "-".to_owned()), domain.status]
    });
    Ok(context.ui.table(&std::iter::once(heads).chain(rows).collect::<Vec<_>>())?)
}

/// `wpaas domains:add`
pub(crate) async fn add(context: &Context, args: &AddArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let shown = context.shown(&app);
    let action = context.ui.action(format_args!("Adding {} to {shown}", args.hostname));
    let body = json!({ "hostname": args.hostname, "sni_endpoint": Value::Null });
    let value = context.client.post(&["apps", &app, "domains"], &body).await?;
    let domain: Domain = context.client.parse(&value)?;
    action.done();
    if args.json {
        return context.ui.json(&value);
    }
    if let Some(target) = domain.cname {
        context.ui.note(format_args!("Point the DNS entry of {} to {target}.", domain.hostname));
    }
    Ok(())
}

/// `wpaas domains:remove`
pub(crate) async fn remove(context: &Context, args: &RemoveArgs) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let shown = context.shown(&app);
    let action = context.ui.action(format_args!("Removing {} from {shown}", args.hostname));
    context.client.delete(&["apps", &app, "domains", &args.hostname]).await?;
    action.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::testing::{context, target},
        testing::{Answer, Server},
    };

    #[test]
    fn a_url_is_not_a_host_name() {
        assert_eq!(parse_hostname("WWW.Example.ORG").as_deref(), Ok("www.example.org"));
        assert!(parse_hostname("*.example.org").is_ok());
        for bad in ["", ".", "..", "a..b", "http://example.org", "example.org/", "a b", "a:80"] {
            assert!(parse_hostname(bad).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn own_and_custom_domains_are_shown_apart() {
        let server = Server::start(|_| {
            Answer::json(
                200,
                json!([
                    {"hostname": "demo.localhost", "kind": "heroku", "cname": null, "status": "none"},
                    {"hostname": "a.org", "kind": "custom", "cname": "demo.localhost",
                     "status": "succeeded"}
                ]),
            )
        })
        .await;
        let (context, streams, _directory) = context(&server);
        list(&context, &ListArgs { json: false, target: target() }).await.unwrap();
        let expected = "=== demo Domain\n\ndemo.localhost\n\n=== demo Custom Domains\n\n\
                        Domain Name  DNS Target      Status\n\
                        a.org        demo.localhost  succeeded\n";
        assert_eq!(streams.out(), expected);
    }

    #[tokio::test]
    async fn adding_tells_where_the_name_should_point() {
        let server = Server::start(|_| {
            let domain = json!({"hostname": "a.org", "kind": "custom", "cname": "demo.localhost",
                                "status": "succeeded"});
            Answer::json(201, domain)
        })
        .await;
        let (context, streams, _directory) = context(&server);
        let args = AddArgs { hostname: "a.org".into(), json: false, target: target() };
        add(&context, &args).await.unwrap();
        assert_eq!(server.seen()[0].json(), json!({"hostname": "a.org", "sni_endpoint": null}));
        let expected =
            "Adding a.org to demo... done\nPoint the DNS entry of a.org to demo.localhost.\n";
        assert_eq!(streams.err(), expected);
    }
}
