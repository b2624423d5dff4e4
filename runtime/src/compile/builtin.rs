//! The compiler itself, and what its process forbids itself.

use std::{
    fs::File,
    hash::{Hash, Hasher},
    io::{Read, Write},
    os::unix::fs::FileTypeExt,
    path::Path,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wpaas_slug::{Digest, Limits};

use super::{Shape, headroom, process};
use crate::{
    Error,
    engine::{self, WASMTIME_VERSION, Wasi},
    p3::HANDLER,
};

/// Compiles `input` to `output`; what the program of [`super::Compiler::Process`] does. It takes from the process
/// what a compiler does not need (memory beyond `compile_memory_bytes`, files beyond `compiled_bytes`, any
/// further file or socket) and ends it when the node ends, so the process must do nothing else. `wasi_http_p3` must
/// be what the node was told by [`crate::Builder::wasi_http_p3`], or the node does not take the code.
///
/// # Errors
///
/// [`Error::Compile`] says why the component is refused; [`Error::Cache`] that a file cannot be read or
/// written.
pub fn compile_main(
    input: &Path,
    output: &Path,
    limits: &Limits,
    wasi_http_p3: bool,
) -> Result<(), Error> {
    end_with_the_node();
    lower(Resource::Core, 0);
    lower(Resource::As, limits.compile_memory_bytes);
    lower(Resource::Fsize, limits.compiled_bytes);
    // Requests that are being served go first.
    if let Err(error) = rustix::process::nice(process::niceness()) {
        tracing::debug!("cannot lower the compiler's priority: {error}");
    }
    let wasm = std::fs::read(input).map_err(Error::cache(input))?;
    let mut file = File::create(output).map_err(Error::cache(output))?;
    let engine = engine::on_demand(Wasi::new(wasi_http_p3))?;
    // From here on the process can open nothing: no file, no socket, no pipe.
    lower(Resource::Nofile, 0);
    let code = precompile(&engine, &wasm, limits)?;
    file.write_all(&code).map_err(Error::cache(output))
}

/// A node that is killed cannot kill its compiler, but the pipe that it holds closes. (Linux's
/// parent-death signal would come also when only the thread that started this process ends.)
fn end_with_the_node() {
    let is_pipe = std::fs::metadata("/dev/stdin").is_ok_and(|found| found.file_type().is_fifo());
    if !is_pipe {
        return;
    }
    let watch = || {
        // Nothing is ever written there.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    };
    if let Err(error) = std::thread::Builder::new().name("node".into()).spawn(watch) {
        tracing::debug!("cannot watch the node: {error}");
    }
}

/// Takes from this process what it does not need.
pub(crate) fn lower(resource: Resource, limit: u64) {
    let current = getrlimit(resource);
    let lowered = current.maximum.map_or(limit, |maximum| maximum.min(limit));
    let limit = Rlimit { current: Some(lowered), maximum: Some(lowered) };
    if let Err(error) = setrlimit(resource, limit) {
        tracing::warn!("cannot limit this process' {resource:?}: {error}");
    }
}

fn precompile(engine: &Engine, wasm: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    let refused = |reason| Error::compile(Digest::of(wasm), reason);
    let roomy = headroom::add(wasm).and_then(|roomy| {
        let code = engine.precompile_component(&roomy);
        code.inspect_err(|error| tracing::debug!("with room in its memory: {error:#}")).ok()
    });
    let code = match roomy {
        Some(code) => code,
        None => {
            engine.precompile_component(wasm).map_err(|error| match is_for_p3(engine, wasm) {
                true => refused(P3_OFF.to_owned()),
                false => refused(format!("{error:#}")),
            })?
        }
    };
    let size = u64::try_from(code.len()).unwrap_or(u64::MAX);
    if size > limits.compiled_bytes {
        return Err(refused(process::too_large(limits)));
    }
    Ok(code)
}

/// Why a component of WASI 0.3 is refused.
const P3_OFF: &str = "it exports wasi:http/handler@0.3, which this node does not serve; the operator allows \
                      it with `wpaas serve --wasi-p3` (embedders: Builder::wasi_http_p3)";

/// Whether a component that was refused is one of WASI 0.3. It is not parsed once more, only looked at.
fn is_for_p3(engine: &Engine, wasm: &[u8]) -> bool {
    let handler = HANDLER.as_bytes();
    Wasi::of(engine) == Wasi::P2 && wasm.windows(handler.len()).any(|part| part == handler)
}

/// Compiles in this process.
pub(super) async fn on_a_thread(
    component: Digest,
    input: &Path,
    output: &Path,
    limits: &Limits,
    wasi: Wasi,
) -> Result<(), Error> {
    let (input, output, limits) = (input.to_owned(), output.to_owned(), limits.clone());
    let work = move || {
        let wasm = std::fs::read(&input).map_err(Error::cache(&input))?;
        let code = precompile(&engine::on_demand(wasi)?, &wasm, &limits)?;
        std::fs::write(&output, code).map_err(Error::cache(&output))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::compile(component, "the compiler crashed"))?
}

/// The shape of this engine's code: wasmtime's full version, target, CPU features, configuration, and what is
/// done to components before they are compiled.
pub(crate) fn shape(engine: &Engine) -> Shape {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let configuration = hex::encode(hasher.0.finalize());
    let description = format!("{WASMTIME_VERSION} headroom {} {configuration}", headroom::VERSION);
    Shape::of(&description, true)
}

/// [`Hasher`] of the standard library gives 64 bits, and another number in each version of Rust.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rubbish_and_code_beyond_the_limit_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (input, output) = (directory.path().join("in"), directory.path().join("out"));
        let component = Digest::of(b"");
        std::fs::write(&input, "not wasm").unwrap();
        let limits = Limits::default();
        let refused = on_a_thread(component, &input, &output, &limits, Wasi::P2).await.unwrap_err();
        assert!(matches!(refused, Error::Compile { .. }), "{refused}");

        std::fs::write(&input, b"\0asm\x0d\0\x01\0").unwrap();
        on_a_thread(component, &input, &output, &limits, Wasi::P2).await.unwrap();
        let size = std::fs::metadata(&output).unwrap().len();
        let limits = Limits { compiled_bytes: size - 1, ..limits };
        let refused = on_a_thread(component, &input, &output, &limits, Wasi::P2).await.unwrap_err();
        assert!(refused.to_string().contains("compiled_bytes"), "{refused}");
    }
}
