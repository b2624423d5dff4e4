//! The memory limit of a dyno, and how much of it is used.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use wasmtime::ResourceLimiter;
use wpaas_slug::Limits;

/// Counts and limits linear memory and tables of one dyno, over all its core instances.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    table_limit: usize,
    instances: usize,
    used: usize,
    gauge: Arc<AtomicUsize>,
    growing: usize,
    refused: bool,
}

impl Memory {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limit: Limits::size(limits.dyno_memory_bytes),
            table_limit: Limits::size(limits.dyno_table_elements),
            instances: Limits::size(limits.dyno_core_instances),
            used: 0,
            gauge: Arc::default(),
            growing: 0,
            refused: false,
        }
    }

    /// Whether the guest asked for more than it may have.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    /// Bytes of linear memory in use. It never shrinks, so this is the peak too.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Shows [`Memory::used`] also while the guest runs.
    pub(crate) fn gauge(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.gauge)
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn set_used(&mut self, used: usize) {
        self.used = used;
        self.gauge.store(used, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growing = desired.saturating_sub(current);
        let wanted = self.used.saturating_add(growing);
        if wanted > self.limit {
            self.refused = true;
            self.growing = 0;
            return Ok(false);
        }
        self.growing = growing;
        self.set_used(wanted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Also called after a refusal, where nothing was counted.
        let growing = std::mem::take(&mut self.growing);
        self.set_used(self.used.saturating_sub(growing));
        tracing::debug!("a dyno's memory did not grow: {error:#}");
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_limit)
    }

    fn instances(&self) -> usize {
        self.instances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_over_all_memories() {
        let mut memory = Memory::new(&Limits { dyno_memory_bytes: 100, ..Limits::default() });
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(memory.memory_growing(0, 40, None).unwrap());
        assert!(!memory.refused());
        assert!(!memory.memory_growing(40, 41, None).unwrap());
        assert!(memory.refused());
        assert_eq!(memory.used(), 100);
    }

    #[test]
    fn a_growth_that_failed_is_not_counted() {
        let mut memory = Memory::new(&Limits { dyno_memory_bytes: 100, ..Limits::default() });
        assert!(memory.memory_growing(0, 60, None).unwrap());
        memory.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(memory.memory_growing(0, 90, None).unwrap());
        assert!(!memory.refused());
    }
}
