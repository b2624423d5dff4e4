//! The Wasm engine: every setting of it in one place, each with its reason.

use std::{sync::Once, thread, time::Duration};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, ModuleVersionStrategy,
    PoolingAllocationConfig, component::Linker,
};
use wpaas_slug::Limits;

use crate::{Error, dyno::DynoState, fs, net, p3};

/// The full version of the compiler. Wasmtime by itself compares the major version only, so that a
/// patched host would run code of the vulnerable compiler; a test compares this with `Cargo.lock`.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// Stack of guest code. StarlingMonkey's JS frames are deep; 512 KiB, the default, ends recursion in
/// ordinary JS some thousand frames early.
pub(crate) const WASM_STACK_BYTES: usize = 1024 * 1024;
/// Stack of a dyno's fiber: the guest's and what host functions need below it.
pub(crate) const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;
/// Bookkeeping of one core or component instance, which grows with its functions; a limit, not a
/// reservation.
const INSTANCE_METADATA_BYTES: usize = 16 * 1024 * 1024;
/// Tables per dyno that the pool reserves addresses for; a componentised JS engine has three.
const POOLED_TABLES_PER_DYNO: u32 = 4;
/// Memories of one dyno; all but exotic components have one.
const POOLED_MEMORIES_PER_DYNO: u32 = 2;
/// Memories that the pool has beyond one for each dyno, at least: for the exotic ones, and for slots that are
/// being put back. Not two for each dyno: wasmtime gives each thread slots of its own, a dyno that ends returns
/// its slot to the thread that took it, and so in time every slot of the pool is used, and what
/// [`KEEP_RESIDENT_BYTES`] keeps of each stays (170 MiB of 1,000 dynos instead of 105).
const SPARE_MEMORIES: u32 = 64;

/// Memory of a slot that stays mapped when its instance has ended, in bytes. Most guests write less; beyond
/// it, giving pages back is cheaper than copying them.
const KEEP_RESIDENT_BYTES: usize = 1024 * 1024;
/// Slots that keep their memory image mapped for the next instance of the same component.
const WARM_SLOTS: u32 = 256;

/// Which versions of WASI guests may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Wasi {
    /// 0.2 alone.
    #[default]
    P2,
    /// 0.2 and 0.3.
    P3,
}

impl Wasi {
    pub(crate) fn new(with_p3: bool) -> Self {
        if with_p3 { Self::P3 } else { Self::P2 }
    }

    /// What the engine was made for.
    pub(crate) fn of(engine: &Engine) -> Self {
        Self::new(engine.get_concurrency_support())
    }
}

/// What compiler and host must agree on. Anything that changes generated code belongs here.
fn config(wasi: Wasi) -> Result<Config, Error> {
    let mut config = Config::new();
    config
        .module_version(ModuleVersionStrategy::Custom(format!("wpaas {WASMTIME_VERSION}")))
        .map_err(|error| Error::Engine(format!("{error:#}")))?;
    // A guest that never calls the host can be interrupted only at epoch checks.
    config.epoch_interruption(true);
    config.async_stack_size(FIBER_STACK_BYTES);
    config.max_wasm_stack(WASM_STACK_BYTES);
    // Instances share the pages of the initial memory that they do not write.
    config.memory_init_cow(true);
    // Stack memory of an instance that has ended is never shown to another: guests cannot read it.
    config.async_stack_zeroing(false);
    // Many calls at once into one instance, which WASI 0.3 is made of. It changes the code of calls into the
    // component, and keeps a table of tasks in each store; wasmtime's default is on wherever it is compiled in.
    config.concurrency_support(wasi == Wasi::P3);
    Ok(config)
}

/// The engine that allocates on demand, which is also the one that compiles: the pool's address space would
/// not fit into the compiler's limit, and the choice of allocator is no part of the generated code.
pub(crate) fn on_demand(wasi: Wasi) -> Result<Engine, Error> {
    Engine::new(&config(wasi)?).map_err(|error| Error::Engine(format!("{error:#}")))
}

/// The engine that runs dynos, with the pooling allocator where the machine has the address space.
pub(crate) fn running(limits: &Limits, wasi: Wasi) -> Result<Engine, Error> {
    let mut pooled = config(wasi)?;
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits, wasi)));
    let engine = match Engine::new(&pooled) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::warn!(
                "no address space for the pool of instances, starting dynos will be slower: {error:#}"
            );
            on_demand(wasi)?
        }
    };
    start_ticker(&engine, Limits::ms(limits.epoch_tick_ms.max(1)))?;
    Ok(engine)
}

fn pool(limits: &Limits, wasi: Wasi) -> PoolingAllocationConfig {
    let dynos = u32::try_from(limits.dynos_per_node).unwrap_or(u32::MAX).max(1);
    let core_instances = u32::try_from(limits.dyno_core_instances).unwrap_or(u32::MAX).max(1);
    let stacks = match wasi {
        Wasi::P2 => dynos,
        // Each component inside of a component may hold one while it waits. They are addresses and no
        // memory until they are used.
        Wasi::P3 => dynos.saturating_mul(core_instances),
    };
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(dynos)
        // Counters without reserved memory, so the product costs nothing.
        .total_core_instances(dynos.saturating_mul(core_instances))
        .max_core_instances_per_component(core_instances)
        .total_memories(dynos.saturating_add(SPARE_MEMORIES.max(dynos / 4)))
        .total_tables(dynos.saturating_mul(POOLED_TABLES_PER_DYNO))
        .total_stacks(stacks)
        .total_gc_heaps(dynos)
        .max_memory_size(Limits::size(limits.dyno_memory_bytes))
        .table_elements(Limits::size(limits.dyno_table_elements))
        .max_tables_per_module(POOLED_TABLES_PER_DYNO)
        .max_memories_per_module(POOLED_MEMORIES_PER_DYNO)
        .max_core_instance_size(INSTANCE_METADATA_BYTES)
        .max_component_instance_size(INSTANCE_METADATA_BYTES);
    // What a guest wrote is put back by copying instead of by giving the pages back to the kernel, which
    // would cost it a fault for each page again: 8 µs instead of 21 µs for starting and ending a small guest.
    // With PAGEMAP_SCAN only the pages that were written are looked at.
    pool.pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(WARM_SLOTS);
    if !PoolingAllocationConfig::is_pagemap_scan_available() {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            tracing::warn!(
                "this kernel has no PAGEMAP_SCAN (Linux 6.7 has it): starting dynos takes longer"
            );
        });
    }
    pool
}

/// Advances the engine's epoch for as long as the engine lives.
fn start_ticker(engine: &Engine, tick: Duration) -> Result<(), Error> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("wpaas-epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(tick);
            }
        })
        .map(drop)
        .map_err(|error| Error::Engine(format!("cannot start the epoch thread: {error}")))
}

/// Everything that a guest may import.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<DynoState>, Error> {
    let fail = |error: wasmtime::Error| Error::Engine(format!("{error:#}"));
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(fail)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(fail)?;
    // In place of wasmtime's own, which would open files and sockets of the host for guests.
    linker.allow_shadowing(true);
    fs::add_to_linker(&mut linker, DynoState::files).map_err(fail)?;
    net::add_to_linker(&mut linker).map_err(fail)?;
    linker.allow_shadowing(false);
    if Wasi::of(engine) == Wasi::P3 {
        p3::add_to_linker(&mut linker).map_err(fail)?;
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::shape;

    #[test]
    fn version_is_that_of_the_lock_file() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n");
        assert!(lock.contains(&entry), "update WASMTIME_VERSION to the version in Cargo.lock");
    }

    #[test]
    fn compiler_and_host_agree_on_the_code() {
        let limits = Limits { dynos_per_node: 4, ..Limits::default() };
        for wasi in [Wasi::P2, Wasi::P3] {
            let running = running(&limits, wasi).unwrap();
            assert!(running.pooling_allocator_metrics().is_some());
            assert_eq!(shape(&running), shape(&on_demand(wasi).unwrap()));
            assert_eq!(Wasi::of(&running), wasi);
        }
    }

    #[test]
    fn code_for_another_wasi_is_never_taken() {
        assert_ne!(shape(&on_demand(Wasi::P2).unwrap()), shape(&on_demand(Wasi::P3).unwrap()));
    }
}
