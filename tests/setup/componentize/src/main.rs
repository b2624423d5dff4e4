//! `componentize reactor|command IN.wasm OUT.wasm`: wraps a core module that was built for
//! `wasm32-wasip1` as a component of WASI 0.2.
//!
//! The tests' guests go through this instead of through wpaas' own Rust buildpack, so that a fault of the
//! buildpack fails the tests of the buildpack and not those of the runtime.

use std::process::ExitCode;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, input, output] = args.as_slice() else {
        eprintln!("usage: componentize reactor|command IN.wasm OUT.wasm");
        return ExitCode::from(2);
    };
    let adapter = match kind.as_str() {
        "reactor" => WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        "command" => WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
        other => {
            eprintln!("componentize: {other:?} is neither reactor nor command");
            return ExitCode::from(2);
        }
    };
    match componentize(adapter, input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("componentize: {input}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn componentize(
    adapter: &[u8],
    input: &str,
    output: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let module = std::fs::read(input)?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .map_err(|error| format!("{error:#}"))?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)
        .map_err(|error| format!("{error:#}"))?
        .encode()
        .map_err(|error| format!("{error:#}"))?;
    std::fs::write(output, component)?;
    Ok(())
}
