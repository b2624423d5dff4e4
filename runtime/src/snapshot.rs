//! Snapshots: an app is evaluated at its build, in a component whose memory then becomes the app's own component. Its
//! dynos start from there, and their first request finds an app that listens.
//!
//! The stack's component exports `snapshot`, which evaluates the app whose bundle its arguments name and tells what
//! of it cannot be kept. Wizer's instrumentation makes its memories and globals readable, and puts what was read
//! back into the component. Nothing else of an instance is kept: not the handles that the guest has of its host,
//! which is why one that is left open is an error, and not its tables, which no instruction of such a component
//! changes (Wizer refuses it).
//!
//! The world of that evaluation is nearly empty. It has the app's files, read-only, and the variables that the build
//! names; it has no network and no standard input, and what is written to `/tmp` is lost.

mod state;

use std::path::PathBuf;

use rustix::process::Resource;
use wasmtime::{
    Config, Engine, OptLevel, Store,
    component::{Component, Instance, Linker},
};
use wasmtime_wizer::Wizer;
use wpaas_slug::Limits;

use crate::{
    Error,
    compile::lower,
    engine::{FIBER_STACK_BYTES, WASM_STACK_BYTES},
};
use state::{Access, State};

/// The export that evaluates the app.
const EVALUATE: &str = "snapshot";

/// What is evaluated, and in which world.
#[derive(Debug, Clone)]
pub struct SnapshotSpec {
    /// The stack's component.
    pub stack: PathBuf,
    /// The directory that the app sees as `/app`.
    pub app: PathBuf,
    /// A directory for what the app writes to `/tmp`.
    pub tmp: PathBuf,
    /// Where the app's component goes.
    pub output: PathBuf,
    /// The app's environment, besides `PORT`.
    pub env: Vec<(String, String)>,
    /// The arguments of the component, as a dyno gets them.
    pub args: Vec<String>,
}

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// Why there can be no snapshot; then no component was written.
    pub problems: Vec<String>,
    /// Names of environment variables that the app read, whose values are in the snapshot.
    pub env: Vec<String>,
}

/// Evaluates an app and writes its component. The process must do nothing else: it gives up what it does not need,
/// and its standard error is the app's output and its log.
///
/// # Errors
///
/// [`Error::Snapshot`] when the app does not come to its end, or the stack can make no snapshots; [`Error::Cache`] for
/// files.
pub async fn snapshot_main(spec: &SnapshotSpec, limits: &Limits) -> Result<Evaluated, Error> {
    lower(Resource::Core, 0);
    let wasm = std::fs::read(&spec.stack).map_err(Error::cache(&spec.stack))?;
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(&wasm).map_err(failed)?;
    let engine = engine().map_err(failed)?;
    let component = Component::new(&engine, &instrumented).map_err(failed)?;
    drop(instrumented);
    let mut store = Store::new(&engine, State::new(spec, limits)?);
    store.limiter(|state| &mut state.memory);
    let mut linker = Linker::new(&engine);
    state::add_to_linker(&mut linker).map_err(failed)?;
    let instance = linker.instantiate_async(&mut store, &component).await.map_err(failed)?;
    let evaluated = evaluate(&mut store, &instance).await?;
    if !evaluated.problems.is_empty() {
        return Ok(evaluated);
    }
    // A handle that the guest still has would be nobody's in the dynos.
    if !store.data().table.is_empty() {
        let reason = "it holds files, streams or connections of its host".to_owned();
        return Err(Error::Snapshot(reason));
    }
    let made =
        wizer.snapshot_component(&context, &mut Access { store: &mut store, instance }).await;
    std::fs::write(&spec.output, made.map_err(failed)?).map_err(Error::cache(&spec.output))?;
    Ok(evaluated)
}

/// The code runs once, so compiling it matters more than running it.
fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::None)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES);
    Engine::new(&config)
}

async fn evaluate(store: &mut Store<State>, instance: &Instance) -> Result<Evaluated, Error> {
    type Lists = ((Vec<String>, Vec<String>),);
    let evaluate = instance
        .get_typed_func::<(), Lists>(&mut *store, EVALUATE)
        .map_err(|_| Error::Snapshot("the stack makes none".to_owned()))?;
    match evaluate.call_async(&mut *store, ()).await {
        Ok(((problems, env),)) => Ok(Evaluated { problems, env }),
        Err(error) if error.is::<wasmtime_wasi::I32Exit>() => {
            Err(Error::Snapshot("the app ended while it was evaluated".to_owned()))
        }
        Err(_) if store.data().memory.refused() => {
            let limit = store.data().memory.limit();
            Err(Error::Snapshot(format!("the app wants more than {limit} bytes of memory")))
        }
        Err(error) => Err(Error::Snapshot(format!("evaluating the app failed: {error:#}"))),
    }
}

fn failed(error: wasmtime::Error) -> Error {
    Error::Snapshot(format!("{error:#}"))
}
