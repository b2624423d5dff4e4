//! `run`: a command of an app, once, in a dyno of its own.

mod attached;
mod terminal;

use std::io::IsTerminal as _;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::{Context, Target};
use crate::{
    api::Dyno,
    exit::{Status, Usage},
};

/// What makes the platform tell the exit status: a shell would print it.
const ASK_FOR_STATUS: &str = " ; echo \"\u{FFFF} heroku-command-exit-status: $?\"";

/// Run a command once, in a one-off dyno with the app's code and config vars
///
/// The command is a process type of the Procfile with further arguments, a program of a package, `node FILE` or `python …`.
/// Its input, output and exit status are this command's. There is no shell in a dyno.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas run python manage.py migrate
  $ wpaas run -a my-app node scripts/report.js --month 11
  $ wpaas run worker --once
  $ wpaas run -- python load.py < rows.csv
  $ wpaas run -d python nightly.py              in the background, output in the log")]
pub(crate) struct Args {
    /// Leave it running; its output goes to the app's log
    #[arg(short, long)]
    detached: bool,
    /// Understood for Heroku's sake: the exit status is always passed on
    #[arg(short = 'x', long)]
    exit_code: bool,
    /// Variables beside the config vars, NAME=VALUE; several with semicolons, or repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ';', value_parser = parse_variable)]
    env: Vec<(String, String)>,
    /// The size of the dyno
    #[arg(short, long, value_name = "SIZE")]
    size: Option<String>,
    /// The process type to run, before the command's words
    #[arg(long = "type", value_name = "TYPE")]
    process_type: Option<String>,
    /// Input and output are no terminal's, even if they are here
    #[arg(long)]
    no_tty: bool,
    #[command(flatten)]
    pub(crate) target: Target,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

/// The command's text for the platform, which splits it as a shell does.
fn text(args: &Args) -> anyhow::Result<String> {
    let words = args.process_type.iter().chain(&args.command);
    let words: Vec<&str> = words.map(String::as_str).collect();
    match words.as_slice() {
        [] => Err(Usage("say which command to run: `wpaas run node script.js`".to_owned()).into()),
        // One word may be a whole command line: wpaas run 'node script.js'.
        [line] => Ok((*line).to_owned()),
        words => shlex::try_join(words.iter().copied()).context("the command"),
    }
}

/// `wpaas run`
pub(crate) async fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let mut command = text(args)?;
    let app = context.app(&args.target)?;
    let mut env: Map<String, Value> =
        args.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let screen = match args.detached || args.no_tty || !std::io::stdin().is_terminal() {
        true => None,
        false => terminal::size(),
    };
    if let Some((columns, lines)) = screen {
        env.insert("COLUMNS".to_owned(), json!(columns.to_string()));
        env.insert("LINES".to_owned(), json!(lines.to_string()));
        if let Ok(kind) = std::env::var("TERM") {
            env.insert("TERM".to_owned(), json!(kind));
        }
    }
    let action = context.ui.action(format_args!("Running {command} on {}", context.shown(&app)));
    if !args.detached {
        command.push_str(ASK_FOR_STATUS);
    }
    let body = json!({
        "command": command,
        "attach": !args.detached,
        "env": env,
        "size": args.size,
        "force_no_tty": screen.is_none(),
        "input_end": "direction",
    });
    let dyno = context.client.post(&["apps", &app, "dynos"], &body).await?;
    let dyno: Dyno = context.client.parse(&dyno)?;
    let Some(url) = &dyno.attach_url else {
        action.done_with(&dyno.name);
        let name = &dyno.name;
        context.ui.note(format_args!("Its output: wpaas logs --tail --dyno {name} -a {app}"));
        return Ok(());
    };
    let connected = attached::connect(context, url).await?;
    action.done_with(format_args!("{}, up", dyno.name));
    let raw = screen.map(|_| terminal::Raw::enter()).transpose()?;
    let status = connected.join(context).await;
    drop(raw);
    match status? {
        0 => Ok(()),
        status => Err(Status(u8::try_from(status).unwrap_or(1)).into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &[&str]) -> String {
        let line = ["run"].iter().chain(line);
        text(&Command::try_parse_from(line).unwrap().args).unwrap()
    }

    #[test]
    fn words_reach_the_platform_as_they_were_given() {
        assert_eq!(parsed(&["node script.js --x"]), "node script.js --x");
        assert_eq!(
            parsed(&["node", "script.js", "--x", "a b", "$A"]),
            "node script.js --x 'a b' '$A'"
        );
        assert_eq!(parsed(&["-x", "--", "-a"]), "-a");
        assert_eq!(parsed(&["--type", "worker", "--", "--once"]), "worker --once");
        let args = Command::try_parse_from(["run", "-e", "A=1;B=x=y", "a"]).unwrap().args;
        let expected = [("A", "1"), ("B", "x=y")];
        assert_eq!(args.env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(Command::try_parse_from(["run", "-e", "A", "x"]).is_err());
        assert!(text(&Command::try_parse_from(["run"]).unwrap().args).unwrap_err().is::<Usage>());
    }
}
