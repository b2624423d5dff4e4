//! Which versions of WASI the node serves.

use clap::builder::FalseyValueParser;

/// The operator's choice.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Args {
    /// Serve components of WASI 0.3 too (wasi:http/handler@0.3). Off by default: the Wasm engine's host code for it
    /// gets no security fixes in the releases that wpaas is pinned to; docs/operating.md has more
    #[arg(long = "wasi-p3", env = "WPAAS_WASI_P3", value_parser = FalseyValueParser::new())]
    pub(crate) p3: bool,
}
