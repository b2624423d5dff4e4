//! `git:remote` and `git:credentials`: git of a directory and an app's repository.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::{Context, ServerArgs, Target, certs};
use crate::{api::App, credentials, dirs};

/// What a credential helper is told; its format is gitcredentials(7)'s.
const ATTRIBUTES_BYTES: u64 = 16 * 1024;

/// Point a git remote at an app, so that `git push wpaas main` deploys it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas git:remote -a my-app
  $ wpaas git:remote -a my-app-staging --remote staging

For this repository and the app's server alone, git gets its password from wpaas (your token) and trusts the
server's certificate authority.")]
pub(crate) struct RemoteArgs {
    /// Name of the remote
    #[arg(short, long, value_name = "NAME", default_value = "wpaas")]
    remote: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Answer git, which asks for the password of a server
#[derive(Debug, clap::Args)]
#[command(hide = true, name = "git:credentials")]
pub(crate) struct CredentialsArgs {
    /// `get`; others are ignored, as git wishes
    operation: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// `wpaas git:remote`
pub(crate) async fn remote(context: &Context, args: &RemoteArgs) -> anyhow::Result<()> {
    if args.remote.starts_with('-') {
        bail!("{:?} cannot be the name of a remote", args.remote);
    }
    let name = context.app(&args.target)?;
    let app: App = context.client.get_as(&["apps", &name]).await?;
    let url = app.git_url.with_context(|| format!("{} has no git address", app.name))?;
    let authority = certs::saved(context).await?;
    if git(context, &["rev-parse", "--git-dir"]).is_err() {
        bail!("this directory is in no git repository; make one with `git init`");
    }
    let known = git(context, &["remote", "get-url", &args.remote]).is_ok();
    let verb = if known { "set-url" } else { "add" };
    git(context, &["remote", verb, &args.remote, &url])?;
    let server = url.rsplit_once('/').map_or(url.as_str(), |(server, _)| server);
    if let Some((path, _)) = authority {
        let path = path.to_str().context("the configuration directory's name is not UTF-8")?;
        git(context, &["config", &format!("http.{server}/.sslCAInfo"), path])?;
    }
    let helper = helper(context)?;
    let key = format!("credential.{server}.helper");
    // The empty one makes git forget the helpers that are configured for all servers.
    git(context, &["config", "--replace-all", &key, ""])?;
    git(context, &["config", "--add", &key, &helper])?;
    context.ui.note(format_args!("set git remote {} to {url}", args.remote));
    Ok(())
}

/// What a credential helper of git's is called as, to get this server's token.
pub(crate) fn helper(context: &Context) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    // git may run where the variables of this shell are not set.
    let config = dirs::config()?;
    Ok(format!(
        "!WPAAS_CONFIG_DIR={} {} git:credentials --api {}",
        quoted(&config.display().to_string()),
        quoted(&program.display().to_string()),
        quoted(context.client.name())
    ))
}

/// A word for a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Runs git in the directory of the command.
fn git(context: &Context, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(&context.directory)
        .stdin(Stdio::null())
        .output()
        .context("cannot start git; is it installed?")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// `wpaas git:credentials`
pub(crate) fn credentials(context: &Context, args: &CredentialsArgs) -> anyhow::Result<()> {
    if args.operation != "get" {
        return Ok(());
    }
    // git tells which server it means. It asks this helper for one server alone.
    let mut asked = String::new();
    std::io::stdin().take(ATTRIBUTES_BYTES).read_to_string(&mut asked)?;
    let name = context.client.name();
    match credentials::token(name)? {
        Some(token) => {
            Ok(context.ui.line(format_args!("username=wpaas\npassword={}", token.value))?)
        }
        None => bail!("there is no token for {name}; get one with `wpaas login --api {name}`"),
    }
}
