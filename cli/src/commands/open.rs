//! `open`

use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::{Context, Target};
use crate::api::App;

/// Open an app in the browser, and print its address
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ wpaas open
  $ wpaas open /admin -a my-app")]
pub(crate) struct Args {
    /// A path in the app
    #[arg(value_name = "PATH", default_value = "")]
    path: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `wpaas open`
pub(crate) async fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let app: App = context.client.get_as(&["apps", &context.app(&args.target)?]).await?;
    let url = app.web_url.with_context(|| format!("{} has no address", app.name))?;
    let url = address(&url, &args.path);
    context.ui.line(&url)?;
    if let Some(program) = browser(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty())) {
        let started = Command::new(program)
            .arg(&url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Err(error) = started {
            context.ui.warn(format_args!("cannot start {program}: {error}"));
        }
    }
    Ok(())
}

fn address(web_url: &str, path: &str) -> String {
    format!("{}/{}", web_url.trim_end_matches('/'), path.trim_start_matches('/'))
}

/// What opens a URL, if there is a display to open it on.
fn browser(is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    if cfg!(target_os = "macos") {
        return Some("open");
    }
    (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")).then_some("xdg-open")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_join_with_one_slash() {
        let url = "http://demo.localhost:8080/";
        assert_eq!(address(url, ""), url);
        for path in ["admin", "/admin"] {
            assert_eq!(address(url, path), "http://demo.localhost:8080/admin");
        }
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn no_display_no_browser() {
        assert_eq!(browser(|_| false), None);
        assert_eq!(browser(|name| name == "WAYLAND_DISPLAY"), Some("xdg-open"));
    }
}
