//! Where wpaas keeps things of this user, after the XDG base directory specification.

use std::path::PathBuf;

use anyhow::Context as _;
use etcetera::BaseStrategy as _;

fn base() -> anyhow::Result<impl etcetera::BaseStrategy> {
    etcetera::choose_base_strategy().context("cannot find your home directory: set HOME")
}

/// An environment variable that holds a path, unless it is empty.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Toolchains, stacks and compiled code: large, shared by all servers of this user, safe to delete.
/// `WPAAS_CACHE_DIR`, or `~/.cache/wpaas`.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    match variable("WPAAS_CACHE_DIR") {
        Some(directory) => Ok(directory),
        None => Ok(base()?.cache_dir().join("wpaas")),
    }
}

/// Credentials of the command line. `WPAAS_CONFIG_DIR`, or `~/.config/wpaas`.
pub(crate) fn config() -> anyhow::Result<PathBuf> {
    match variable("WPAAS_CONFIG_DIR") {
        Some(directory) => Ok(directory),
        None => Ok(base()?.config_dir().join("wpaas")),
    }
}

/// What `wpaas serve` keeps unless told otherwise: `~/.local/share/wpaas`.
pub(crate) fn data() -> anyhow::Result<PathBuf> {
    Ok(base()?.data_dir().join("wpaas"))
}
