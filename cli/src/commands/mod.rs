//! The commands that are clients of a server, a file for each group.

pub(crate) mod apps;
pub(crate) mod auth;
pub(crate) mod buildpacks;
pub(crate) mod certs;
pub(crate) mod config;
pub(crate) mod deploy;
pub(crate) mod domains;
pub(crate) mod drains;
pub(crate) mod egress;
pub(crate) mod git;
pub(crate) mod heroku;
pub(crate) mod logs;
pub(crate) mod open;
pub(crate) mod ps;
pub(crate) mod releases;
pub(crate) mod run;
pub(crate) mod version;

use std::path::PathBuf;

use anyhow::Context as _;
use wpaas_slug::Limits;

use crate::{
    api::{self, Client},
    app_context, credentials, limits,
    output::Ui,
};

/// Which server is asked.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of the server
    #[arg(
        long,
        value_name = "URL",
        env = "WPAAS_API",
        default_value = "http://127.0.0.1:5080",
        hide_env_values = true
    )]
    pub(crate) api: String,
    /// Certificates of authorities in PEM that an https:// server's may be from, beside the system's; `wpaas login`
    /// keeps them
    #[arg(long, value_name = "FILE", env = "WPAAS_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
}

/// Which app is meant, and on which server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Target {
    /// The app [default: $WPAAS_APP, $HEROKU_APP, or the directory's]
    #[arg(short, long, value_name = "APP", value_parser = app_context::parse_name)]
    pub(crate) app: Option<String>,
    /// The server
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What a command works with.
pub(crate) struct Context {
    /// Where it prints.
    pub(crate) ui: Ui,
    /// The server.
    pub(crate) client: Client,
    /// How much of anything it takes.
    pub(crate) limits: Limits,
    /// Where it was started.
    pub(crate) directory: PathBuf,
    /// Authorities in PEM that the server's certificates may be from, beside the system's.
    pub(crate) authority: Option<String>,
}

impl Context {
    /// For this process: its streams, its directory, the user's token.
    pub(crate) fn open(server: &ServerArgs) -> anyhow::Result<Self> {
        let limits = limits::of_environment()?;
        let api = api::base_url(&server.api)?;
        let authority = match &server.ca {
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {} (--ca FILE)", file.display()))?,
            ),
            None => credentials::authority(&api)?,
        };
        let token = credentials::token(&api)?;
        let client = Client::new(&api, token, authority.as_deref(), limits.clone())?;
        let directory = std::env::current_dir().context("cannot find the current directory")?;
        Ok(Self { ui: Ui::process(), client, limits, directory, authority })
    }

    /// The name of the app that is meant.
    pub(crate) fn app(&self, target: &Target) -> anyhow::Result<String> {
        app_context::require(target.app.as_deref(), &self.directory, self.client.name())
    }

    /// The app's name as headings show it.
    pub(crate) fn shown(&self, app: &str) -> String {
        self.ui.err_style.cyan(app)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::testing::{Server, Streams, ui};

    /// A context for a test server, with an empty directory.
    pub(crate) fn context(server: &Server) -> (Context, Streams, tempfile::TempDir) {
        let (ui, streams) = ui();
        let limits = Limits::default();
        let client = Client::new(server.url(), None, None, limits.clone()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let context = Context { ui, client, limits, directory: path, authority: None };
        (context, streams, directory)
    }

    /// `-a demo`
    pub(crate) fn target() -> Target {
        Target {
            app: Some("demo".into()),
            server: ServerArgs { api: "http://unused.invalid".into(), ca: None },
        }
    }
}
