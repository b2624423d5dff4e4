//! `heroku` and `heroku:env`: the user's heroku command against a server of wpaas.

use std::{collections::BTreeMap, process::Stdio};

use anyhow::Context as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Context, ServerArgs, certs, git};
use crate::{
    exit::{Status, Usage},
    forwarder,
};

/// Where the heroku command comes from.
const INSTALL: &str = "install it with `npm install -g heroku`, or name it with --program";

/// Run your heroku command against the server
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas heroku -- apps
  $ wpaas heroku -- run -a my-app node script.js
  $ wpaas heroku --api https://paas.example.com -- logs --tail -a my-app

The heroku command takes no address but Heroku's own and those of this machine. So this opens a port on 127.0.0.1 that
passes on to the server while the command runs, unless the server's API is plain HTTP on this machine already.")]
pub(crate) struct RunArgs {
    /// The heroku command
    #[arg(long, value_name = "PROGRAM", env = "WPAAS_HEROKU", default_value = "heroku")]
    program: std::ffi::OsString,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<std::ffi::OsString>,
}

/// Print the environment in which your heroku command uses the server
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ eval \"$(wpaas heroku:env)\"           then: heroku apps
  $ wpaas heroku:env --json

It holds your token. For a server on another machine use `wpaas heroku -- …`.")]
pub(crate) struct EnvArgs {
    /// Print it as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// `wpaas heroku`
pub(crate) async fn run(context: &Context, args: &RunArgs) -> anyhow::Result<()> {
    let mut forwarding = None;
    let host = if is_plain_loopback(context.client.name()) {
        context.client.name().to_owned()
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot open a port")?;
        let host = format!("http://{}", listener.local_addr()?);
        let client = context.client.clone();
        forwarding = Some(tokio::spawn(forwarder::serve(listener, client)));
        host
    };
    let mut command = tokio::process::Command::new(&args.program);
    command.args(&args.args).envs(environment(context, &host).await?).stdin(Stdio::inherit());
    for (name, value) in git_environment(context).await? {
        command.env(name, value);
    }
    let shown = args.program.display();
    let status = match command.status().await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Usage(format!("there is no {shown} on PATH: {INSTALL}")).into());
        }
        status => status.with_context(|| format!("cannot run {shown}"))?,
    };
    if let Some(task) = forwarding {
        task.abort();
    }
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Status(u8::try_from(code).unwrap_or(1)).into()),
        None => anyhow::bail!("{shown} was ended by a signal"),
    }
}

/// `wpaas heroku:env`
pub(crate) async fn env(context: &Context, args: &EnvArgs) -> anyhow::Result<()> {
    let name = context.client.name();
    if !is_plain_loopback(name) {
        return Err(Usage(format!(
            "the heroku command would not go to {name}: use `wpaas heroku --api {name} -- ARGS`, or bring the \
             server's plain HTTP to this machine with `ssh -L`"
        ))
        .into());
    }
    let variables = environment(context, name).await?;
    if args.json {
        return context.ui.json(&json!(variables));
    }
    for (name, value) in variables {
        context.ui.line(format_args!("export {name}={}", git::quoted(&value)))?;
    }
    Ok(())
}

/// Whether the heroku command takes the address and sends its token there.
fn is_plain_loopback(name: &str) -> bool {
    ["http://127.0.0.1:", "http://localhost:"].iter().any(|start| name.starts_with(start))
}

/// The variables by which the heroku command goes to `host` for the API, and to the server for all else.
async fn environment(
    context: &Context,
    host: &str,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let mut variables = BTreeMap::from([
        ("DISABLE_TELEMETRY", "true".to_owned()),
        ("HEROKU_BUILDPACK_REGISTRY_URL", host.to_owned()),
        ("HEROKU_HOST", host.to_owned()),
        ("HEROKU_PARTICLEBOARD_URL", host.to_owned()),
    ]);
    if let Some(token) = context.client.token() {
        variables.insert("HEROKU_API_KEY", token.to_owned());
    }
    let platform = certs::platform(context).await?;
    // The heroku command knows git over TLS only.
    if let Some(git) = platform.git_url.as_deref().and_then(|url| url.strip_prefix("https://")) {
        variables.insert("HEROKU_GIT_HOST", git.trim_end_matches('/').to_owned());
    }
    if let Some((path, _)) = certs::saved(context).await? {
        let path = path.to_str().context("the configuration directory's name is not UTF-8")?;
        variables.insert("GIT_SSL_CAINFO", path.to_owned());
        variables.insert("NODE_EXTRA_CA_CERTS", path.to_owned());
    }
    Ok(variables)
}

/// Gives the git that the heroku command starts (`git:clone`) your token for the server, and no other host.
async fn git_environment(context: &Context) -> anyhow::Result<Vec<(String, String)>> {
    let Some(server) = certs::platform(context).await?.git_url else { return Ok(Vec::new()) };
    let count = std::env::var("GIT_CONFIG_COUNT").ok().and_then(|count| count.parse().ok());
    let count: usize = count.unwrap_or(0);
    let key = format!("credential.{server}.helper");
    let mut variables = vec![("GIT_CONFIG_COUNT".to_owned(), (count + 2).to_string())];
    for (number, value) in [String::new(), git::helper(context)?].into_iter().enumerate() {
        let number = count + number;
        variables.push((format!("GIT_CONFIG_KEY_{number}"), key.clone()));
        variables.push((format!("GIT_CONFIG_VALUE_{number}"), value));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_of_this_machine_needs_no_forwarder() {
        assert!(is_plain_loopback("http://127.0.0.1:5080"));
        assert!(is_plain_loopback("http://localhost:5080"));
        for name in
            ["https://localhost:5443", "http://localhost.example.com:80", "http://10.0.0.1:5080"]
        {
            assert!(!is_plain_loopback(name), "{name}");
        }
    }
}
