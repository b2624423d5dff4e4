//! `logs`

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde_json::{Value, json};
use wpaas_slug::Limits;

use super::{Context, Target};
use crate::api::{Events, LogSession};

/// What an event may hold beyond the text of a line: the time and the source, and the field's name.
const LINE_OVERHEAD: usize = 1_024;

/// Show an app's log
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas logs
  $ wpaas logs --tail
  $ wpaas logs -n 500 --source app --dyno web.1 -a my-app")]
pub(crate) struct Args {
    /// Go on with new lines until Ctrl-C
    #[arg(short, long)]
    tail: bool,
    /// How many lines of the past [default: 100]
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 100,
        hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(0..=1_500)
    )]
    num: u32,
    /// Only lines of the app itself, or only those of the router and the platform
    #[arg(short, long, value_parser = ["app", "heroku"])]
    source: Option<String>,
    /// Only lines of this dyno (web.1) or process (router)
    #[arg(short, long, alias = "dyno-name", value_name = "DYNO")]
    dyno: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `wpaas logs`
pub(crate) async fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let app = context.app(&args.target)?;
    let mut body = json!({ "lines": args.num, "tail": args.tail });
    let filters = [("source", &args.source), ("dyno", &args.dyno)];
    if let Some(body) = body.as_object_mut() {
        for (name, value) in filters {
            if let Some(value) = value {
                body.insert(name.to_owned(), Value::String(value.clone()));
            }
        }
    }
    let session = context.client.post(&["apps", &app, "log-sessions"], &body).await?;
    let session: LogSession = context.client.parse(&session)?;
    let mut stream = context.client.stream(&session.logplex_url, "text/event-stream").await?;
    let limit = Limits::size(context.limits.log_line_bytes).saturating_add(LINE_OVERHEAD);
    let mut events = Events::new(limit);
    while let Some(chunk) = stream.next().await {
        for line in events.push(&chunk?).context("the log cannot be read")? {
            context.ui.line(context.ui.style.log_line(&line))?;
        }
    }
    if args.tail {
        bail!("the server has ended the log; `wpaas logs --tail` goes on with it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::testing::{context, target},
        testing::{Answer, Server},
    };

    const LINE: &str = "2026-11-21T10:00:00.000000+00:00 app[web.1]: at: 1";

    async fn platform() -> Server {
        Server::start(|seen| match seen.line.as_str() {
            "POST /apps/demo/log-sessions" => {
                Answer::json(201, json!({"logplex_url": "/logs/abc?srv=1"}))
            }
            "GET /logs/abc?srv=1" => Answer::text(200, &format!("retry: 20\n\ndata: {LINE}\n\n")),
            other => panic!("{other}"),
        })
        .await
    }

    fn args(tail: bool) -> Args {
        Args { tail, num: 7, source: Some("app".into()), dyno: None, target: target() }
    }

    #[tokio::test]
    async fn history_is_printed_as_it_comes() {
        let server = platform().await;
        let (context, streams, _directory) = context(&server);
        run(&context, &args(false)).await.unwrap();
        let body = json!({"lines": 7, "tail": false, "source": "app"});
        assert_eq!(server.seen()[0].json(), body);
        assert_eq!(server.seen()[1].header("accept"), "text/event-stream");
        assert_eq!(streams.out(), format!("{LINE}\n"));
    }

    #[tokio::test]
    async fn a_tail_that_ends_is_a_failure() {
        let server = platform().await;
        let (context, streams, _directory) = context(&server);
        let error = run(&context, &args(true)).await.unwrap_err();
        assert!(error.to_string().contains("has ended the log"), "{error}");
        assert_eq!(streams.out(), format!("{LINE}\n"));
    }
}
