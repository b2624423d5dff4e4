//! Locks that keep the feed in the order of the ledger.
//!
//! Every change of an app holds the app's lock over prepare, commit and apply, so the node sees an app's
//! changes in the order in which they were committed. Names and domains are one namespace over all apps: a
//! name given up by one app and taken by another must reach the node in that order too, so changes of names
//! hold one more lock, always taken after the app's.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use uuid::Uuid;

/// The locks of all apps.
#[derive(Default)]
pub(crate) struct Locks {
    apps: Mutex<HashMap<Uuid, Weak<tokio::sync::Mutex<()>>>>,
    names: tokio::sync::Mutex<()>,
}

/// Proof that nobody else changes this app.
pub(crate) struct AppLock {
    /// The app's id.
    pub(crate) app: Uuid,
    _guard: tokio::sync::OwnedMutexGuard<()>,
}

impl Locks {
    /// Waits for the app's turn; first come, first served.
    pub(crate) async fn app(&self, app: Uuid) -> AppLock {
        let lock = {
            let mut apps = self.apps.lock();
            let found = apps.get(&app).and_then(Weak::upgrade);
            found.unwrap_or_else(|| {
                // Apps that nobody changes have no lock, so the table stays as small as the work at hand.
                apps.retain(|_, lock| lock.strong_count() > 0);
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                apps.insert(app, Arc::downgrade(&lock));
                lock
            })
        };
        AppLock { app, _guard: lock.lock_owned().await }
    }

    /// Waits for the turn to change names or domains.
    pub(crate) async fn names(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.names.lock().await
    }
}
