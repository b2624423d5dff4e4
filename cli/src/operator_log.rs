//! What wpaas itself has to tell its operator: on standard error, apart from the apps' logs.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::output::Style;

/// Names the level, `info`, or a filter such as `wpaas_runtime=debug,warn`.
const VARIABLE: &str = "WPAAS_LOG";

/// Starts the log of this process: warnings and errors, unless `WPAAS_LOG` says otherwise.
pub(crate) fn start() -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .with_env_var(VARIABLE)
        .from_env()
        .map_err(|_| {
            anyhow::anyhow!(
                "{VARIABLE} is not a filter such as `info` or `wpaas_runtime=debug,warn`"
            )
        })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(Style::of_stderr().is_coloured())
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start the operator's log: {error}"))
}
