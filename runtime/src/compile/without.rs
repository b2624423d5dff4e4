//! A node without Cranelift.

use wasmtime::Engine;

use super::Shape;
use crate::engine::WASMTIME_VERSION;

/// The name under which this node keeps what another program compiled for it. Wasmtime can name the
/// shape of code only where it can compile.
pub(crate) fn shape(_: &Engine) -> Shape {
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    Shape::of(&format!("{WASMTIME_VERSION} {arch} {os} compiled elsewhere"), false)
}
