//! Who builds when: per app one after the other, over all apps a few at once, and no endless queue.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::output::Live;
use crate::Error;

/// The queue of builds.
pub(crate) struct Queue {
    apps: Arc<Mutex<HashMap<Uuid, AppQueue>>>,
    slots: Arc<Semaphore>,
    /// Outputs that can be followed.
    pub(crate) live: Live,
    /// The tasks that run builds.
    pub(crate) tasks: TaskTracker,
}

struct AppQueue {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Builds that run or wait.
    builds: u64,
    /// Cancelled when the app is deleted.
    cancelled: CancellationToken,
}

/// A build's place in the queue; leaving it is dropping it.
pub(crate) struct Place {
    app: Uuid,
    apps: Arc<Mutex<HashMap<Uuid, AppQueue>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
    slots: Arc<Semaphore>,
    /// Cancelled when the app is deleted.
    pub(crate) cancelled: CancellationToken,
}

impl Queue {
    pub(crate) fn new(concurrent: u64) -> Self {
        let slots = usize::try_from(concurrent).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            apps: Arc::default(),
            slots: Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS))),
            live: Live::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Takes a place for a build of `app`, unless `limit` of them wait already.
    pub(crate) fn enter(&self, app: Uuid, limit: u64) -> Result<Place, Error> {
        let mut apps = self.apps.lock();
        let queue = apps.entry(app).or_insert_with(|| AppQueue {
            turn: Arc::default(),
            builds: 0,
            cancelled: CancellationToken::new(),
        });
        // One runs, `limit` wait.
        if queue.builds > limit {
            return Err(Error::Busy(format!(
                "{limit} builds of this app are waiting already; try again when one has finished."
            )));
        }
        queue.builds += 1;
        Ok(Place {
            app,
            apps: self.apps.clone(),
            turn: queue.turn.clone(),
            slots: self.slots.clone(),
            cancelled: queue.cancelled.clone(),
        })
    }

    /// Ends the builds of an app that is gone.
    pub(crate) fn cancel_app(&self, app: Uuid) {
        if let Some(queue) = self.apps.lock().get(&app) {
            queue.cancelled.cancel();
        }
    }
}

impl Place {
    /// Waits until it is this build's turn; it ends when the returned value is dropped.
    pub(crate) async fn turn(&self) -> Result<(OwnedMutexGuard<()>, OwnedSemaphorePermit), Error> {
        let turn = self.turn.clone().lock_owned().await;
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| Error::Stopping)?;
        Ok((turn, slot))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut apps = self.apps.lock();
        if let Some(queue) = apps.get_mut(&self.app) {
            queue.builds -= 1;
            if queue.builds == 0 {
                apps.remove(&self.app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn builds_of_an_app_take_turns_and_the_queue_is_bounded() {
        let queue = Queue::new(2);
        let (app, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = queue.enter(app, 1).unwrap();
        let second = queue.enter(app, 1).unwrap();
        assert!(matches!(queue.enter(app, 1), Err(Error::Busy(_))));
        let running = first.turn().await.unwrap();
        let elsewhere = queue.enter(other, 1).unwrap().turn().await.unwrap();
        let mut waiting = Box::pin(second.turn());
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(running);
        let running = waiting.await.unwrap();
        drop((running, elsewhere, first, second));
        queue.enter(app, 1).unwrap();
    }
}
