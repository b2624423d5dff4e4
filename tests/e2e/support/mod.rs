//! Starts `wpaas` processes with throw-away data and talks to them.

mod project;
mod server;

pub(crate) use project::{Project, example};
pub(crate) use server::{Run, Server, dev_command, run_alone};

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

/// A guest built by tests/setup/guests.sh.
pub(crate) fn guest(name: &str) -> PathBuf {
    let path = test_cache().join("guests").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run scripts/test.sh", path.display());
    path
}
