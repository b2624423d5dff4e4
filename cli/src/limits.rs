//! The limits that this process works with.

use wpaas_slug::Limits;

use crate::exit::Usage;

/// The table of limits with the environment's overrides.
pub(crate) fn of_environment() -> anyhow::Result<Limits> {
    // `std::env::vars` panics on a variable that is not UTF-8, and a limit never is one.
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Limits::from_env(vars).map_err(|error| Usage(error.to_string()).into())
}
