//! `login`, `logout`, `whoami`, `password`.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Context, ServerArgs};
use crate::{
    api::{Account, Authorization, Error},
    credentials,
};

/// How long a login lasts, in seconds: 30 days, as the heroku CLI's.
const LOGIN_SECONDS: u64 = 30 * 24 * 3600;
/// A password on stdin is one line.
const PASSWORD_BYTES: u64 = 4096;

/// Log in to a server with e-mail address and password
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas login --api https://wpaas.example.com
  $ wpaas login --email owner@wpaas.localhost
  $ wpaas login --api https://localhost:5443 --ca ca.pem
  $ printf %s \"$PASSWORD\" | wpaas login --email me@example.com --password-stdin

The token that you get is kept in credentials.json of your configuration directory, for 30 days; with it what --ca names.
Accounts get their first password by `wpaas password`, where there is a token.")]
pub(crate) struct LoginArgs {
    /// Whose account [default: asked]
    #[arg(short, long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Read the password from stdin
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Forget the server's token, and end it there
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas logout
  $ wpaas logout --api https://wpaas.example.com")]
pub(crate) struct LogoutArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Show who you are to the server
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas whoami
  $ wpaas whoami --api https://wpaas.example.com --json")]
pub(crate) struct WhoamiArgs {
    /// Print the account as JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Set or change your password
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas password
  $ printf '%s\\n%s\\n' \"$OLD\" \"$NEW\" | wpaas password --password-stdin

With --password-stdin the last line is the new password, and a line before it the one until now.")]
pub(crate) struct PasswordArgs {
    /// Read the passwords from stdin
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// The lines that stdin holds.
fn lines_of_stdin() -> anyhow::Result<Vec<String>> {
    let mut text = String::new();
    std::io::stdin()
        .take(PASSWORD_BYTES)
        .read_to_string(&mut text)
        .context("cannot read the password from stdin")?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn ask_password(prompt: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for a password: pipe it in with --password-stdin");
    }
    rpassword::prompt_password(prompt).context("cannot read the password")
}

/// `wpaas login`
pub(crate) async fn login(context: &Context, args: &LoginArgs) -> anyhow::Result<()> {
    let email = match &args.email {
        Some(email) => email.clone(),
        None if std::io::stdin().is_terminal() && !args.password_stdin => {
            context.ui.raw_note(b"Email: ");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).context("cannot read the e-mail address")?;
            line.trim().to_owned()
        }
        None => bail!("say whose account it is with --email"),
    };
    let password = if args.password_stdin {
        lines_of_stdin()?.pop().unwrap_or_default()
    } else {
        ask_password("Password: ")?
    };
    let (email, token) = token_for(context, &email, &password).await?;
    let ca = context.authority.as_deref();
    credentials::save(context.client.name(), &email, &token, ca)?;
    context.ui.note(format_args!("Logged in as {}", context.shown(&email)));
    Ok(())
}

/// A token for an account's password, with the account's name as the server has it.
async fn token_for(
    context: &Context,
    email: &str,
    password: &str,
) -> anyhow::Result<(String, String)> {
    let machine = machine_name();
    let body = json!({
        "description": format!("wpaas login on {machine}"),
        "expires_in": LOGIN_SECONDS,
        "scope": ["global"],
    });
    let made = context.client.log_in(email, password, &body).await?;
    let made: Authorization = context.client.parse(&made)?;
    Ok((made.user.email, made.access_token.token))
}

/// This machine's name, for the description of a token.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// `wpaas logout`
pub(crate) async fn logout(context: &Context) -> anyhow::Result<()> {
    // A token that the server does not know any more is ended already.
    match end_token(context).await {
        Ok(()) => {}
        Err(error) if error.is_unauthorised() => {}
        Err(error) => return Err(error.into()),
    }
    let forgotten = credentials::forget(context.client.name())?;
    context.ui.note(if forgotten { "Logged out" } else { "You were not logged in" });
    if credentials::TOKEN_VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
        context
            .ui
            .warn("a token is still in your environment: unset WPAAS_API_KEY and HEROKU_API_KEY");
    }
    Ok(())
}

/// Ends the token of this client, which is the one that the server shows.
async fn end_token(context: &Context) -> Result<(), Error> {
    let Some(own) = context.client.token() else { return Ok(()) };
    let listed = context.client.list(&["oauth", "authorizations"]).await?;
    let listed: Vec<Authorization> = context.client.parse(&listed)?;
    for one in listed.into_iter().filter(|one| one.access_token.token == own) {
        context.client.delete(&["oauth", "authorizations", &one.id.to_string()]).await?;
    }
    Ok(())
}

/// `wpaas whoami`
pub(crate) async fn whoami(context: &Context, args: &WhoamiArgs) -> anyhow::Result<()> {
    let value = context.client.get(&["account"]).await?;
    if args.json {
        return context.ui.json(&value);
    }
    let account: Account = context.client.parse(&value)?;
    Ok(context.ui.line(account.email)?)
}

/// `wpaas password`
pub(crate) async fn password(context: &Context, args: &PasswordArgs) -> anyhow::Result<()> {
    let (current, new) = if args.password_stdin {
        let mut lines = lines_of_stdin()?;
        let new = lines.pop().unwrap_or_default();
        (lines.pop(), new)
    } else {
        let current = ask_password("Current password (empty if there is none): ")?;
        let new = ask_password("New password: ")?;
        if ask_password("New password again: ")? != new {
            bail!("the two differ: nothing was changed");
        }
        (Some(current).filter(|text| !text.is_empty()), new)
    };
    change(context, current.as_deref(), &new).await
}

async fn change(context: &Context, current: Option<&str>, new: &str) -> anyhow::Result<()> {
    let body = json!({"password": current, "new_password": new});
    context.client.patch(&["account"], &body).await?;
    context.ui.note("Password changed. Tokens that were made before go on working.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::testing::context,
        testing::{Answer, Server},
    };

    fn authorization(token: &str) -> serde_json::Value {
        json!({
            "id": "00000000-0000-4000-8000-000000000000",
            "access_token": {"token": token, "expires_in": null},
            "user": {"email": "me@example.org"},
        })
    }

    #[tokio::test]
    async fn a_login_sends_the_password_once_and_as_basic() {
        let server = Server::start(|_| Answer::json(201, authorization("wpaas_new"))).await;
        let (context, _, _directory) = context(&server);
        let made = token_for(&context, "ME@example.org", "pass:word").await.unwrap();
        assert_eq!(made, ("me@example.org".to_owned(), "wpaas_new".to_owned()));
        let seen = server.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].json()["expires_in"], 30 * 24 * 3600);
        assert_eq!(seen[0].header("authorization"), "Basic TUVAZXhhbXBsZS5vcmc6cGFzczp3b3Jk");
    }

    #[tokio::test]
    async fn a_wrong_password_says_so() {
        let server = Server::start(|_| {
            let message = "There was a problem with your login.";
            Answer::json(401, json!({"id": "unauthorized", "message": message}))
        })
        .await;
        let (context, _, _directory) = context(&server);
        let error = token_for(&context, "me@example.org", "wrong").await.unwrap_err();
        assert!(format!("{error:#}").contains("problem with your login"), "{error:#}");
    }

    #[tokio::test]
    async fn a_password_is_changed_with_the_one_before() {
        let server = Server::start(|_| Answer::json(200, json!({"email": "me@example.org"}))).await;
        let (context, streams, _directory) = context(&server);
        change(&context, Some("old"), "new").await.unwrap();
        assert_eq!(server.seen()[0].json(), json!({"password": "old", "new_password": "new"}));
        assert!(streams.err().contains("Password changed"));
    }
}
