//! One lock per key, for work that must not be done twice at the same time (single-flight).

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// A table of locks that holds only those in use.
#[derive(Debug)]
pub(crate) struct KeyedLocks<K> {
    locks: Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>,
}

impl<K: Eq + Hash> KeyedLocks<K> {
    pub(crate) fn new() -> Self {
        Self { locks: Mutex::new(HashMap::new()) }
    }

    /// Waits until nobody else holds `key`. The lock is released when the guard is dropped, also when
    /// the caller's future is dropped half-way: the next in line then does the work.
    pub(crate) async fn lock(&self, key: K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock();
            locks.retain(|_, lock| lock.strong_count() > 0);
            let slot = locks.entry(key).or_default();
            slot.upgrade().unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                *slot = Arc::downgrade(&lock);
                lock
            })
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_per_key_and_nothing_kept() {
        let locks = KeyedLocks::new();
        let first = locks.lock(1).await;
        assert!(locks.lock(1).now_or_never().is_none());
        assert!(locks.lock(2).now_or_never().is_some());
        drop(first);
        assert!(locks.lock(1).now_or_never().is_some());
        drop(locks.lock(3).await);
        assert_eq!(locks.locks.lock().len(), 1, "only the key locked last is still in the table");
    }
}
