//! Starts `wpaas` processes with throw-away data and talks to them.

pub(crate) mod apps;
mod project;
mod receivers;
mod server;
mod services;

pub(crate) use project::{Project, example};
pub(crate) use receivers::{HttpReceiver, Rsyslog};
pub(crate) use server::{Server, dev_command, run_alone, run_alone_with};
pub(crate) use services::{Identity, MariaDb, Postgres, Redis, Secure, Upstream, free_port};

use std::{path::PathBuf, time::Duration};

/// Longest wait for anything in a test; hitting it is a failure. A first run installs a toolchain and
/// compiles the JS engine, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// The program under test.
pub(crate) fn wpaas() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_wpaas"))
}

/// The checkout.
pub(crate) fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Where tests keep toolchains, guests and compiled code between runs.
pub(crate) fn test_cache() -> PathBuf {
    if let Some(directory) = std::env::var_os("WPAAS_TEST_CACHE") {
        return directory.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache")
    });
    cache.join("wpaas-tests")
}
