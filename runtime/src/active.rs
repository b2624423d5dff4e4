//! The formations that somebody has to look after: those with instances. An app without any costs nothing but its
//! entry in the routing table, however many of them there are.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::pool::Usage;

/// Something that has idle instances, or may have some soon.
pub(crate) trait Tended: Send + Sync {
    /// Whether it is in the list; kept by the list.
    fn listed(&self) -> &AtomicBool;
    /// Whether it has no instance and need not have one.
    fn is_quiet(&self) -> bool;
    /// Since when its oldest idle instance is idle.
    fn idle_since(&self) -> Option<Instant>;
    /// Ends its oldest idle instance. `false` when there is none.
    fn evict(&self) -> bool;
    /// Ends instances that had nothing to do for long, and replaces those of the minimum that ended.
    fn tend(self: Arc<Self>);
    /// How many of its instances work and wait, and how many requests wait.
    fn usage(&self) -> Usage;
}

/// The list. Those at its front are the first to give up an instance.
pub(crate) struct Active {
    entries: Mutex<VecDeque<Entry>>,
}

struct Entry {
    formation: Weak<dyn Tended>,
    /// When it was put at the end.
    at: Instant,
}

impl Active {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(VecDeque::new()) }
    }

    /// Lists a formation that is no longer quiet. Quick when it is listed already, which is the rule.
    pub(crate) fn list<T: Tended + 'static>(&self, formation: &Arc<T>) {
        if formation.listed().load(Ordering::SeqCst) {
            return;
        }
        let mut entries = self.entries.lock();
        if !formation.listed().swap(true, Ordering::SeqCst) {
            let formation: Weak<T> = Arc::downgrade(formation);
            entries.push_back(Entry { formation, at: Instant::now() });
        }
    }

    /// All that are listed; those that became quiet leave the list.
    pub(crate) fn all(&self) -> Vec<Arc<dyn Tended>> {
        let mut all = Vec::new();
        self.entries.lock().retain(|entry| {
            let Some(formation) = entry.formation.upgrade() else { return false };
            let stays = stays(&*formation);
            all.push(formation);
            stays
        });
        all
    }

    /// Ends an idle instance of a formation that was not used for long. `false` when none is idle.
    ///
    /// The list goes round: who has worked since it was put at the end goes there once more, so that the
    /// busy keep their instances and each call looks at few formations.
    pub(crate) fn evict(&self) -> bool {
        let mut entries = self.entries.lock();
        // The first time round everybody may have worked; the second time nobody can be excused again.
        for _ in 0..entries.len() * 2 {
            let Some(entry) = entries.pop_front() else { return false };
            let Some(formation) = entry.formation.upgrade() else { continue };
            let excused = formation.idle_since().is_none_or(|since| since > entry.at);
            if !excused && formation.evict() {
                if stays(&*formation) {
                    entries.push_back(Entry { at: Instant::now(), ..entry });
                }
                return true;
            }
            if stays(&*formation) {
                entries.push_back(Entry { at: Instant::now(), ..entry });
            }
        }
        false
    }
}

/// Whether a listed formation must stay listed. Said before it is looked at, so that somebody who starts an
/// instance at the same time either is seen here or finds it unlisted.
fn stays(formation: &dyn Tended) -> bool {
    formation.listed().store(false, Ordering::SeqCst);
    let stays = !formation.is_quiet();
    if stays {
        formation.listed().store(true, Ordering::SeqCst);
    }
    stays
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Fake {
        listed: AtomicBool,
        idle: Mutex<Vec<Instant>>,
        busy: AtomicBool,
    }

    impl Tended for Fake {
        fn listed(&self) -> &AtomicBool {
            &self.listed
        }

        fn is_quiet(&self) -> bool {
            self.idle.lock().is_empty() && !self.busy.load(Ordering::SeqCst)
        }

        fn idle_since(&self) -> Option<Instant> {
            self.idle.lock().first().copied()
        }

        fn evict(&self) -> bool {
            let mut idle = self.idle.lock();
            !idle.is_empty() && { idle.remove(0) } < Instant::now() + Duration::from_secs(1)
        }

        fn tend(self: Arc<Self>) {}

        fn usage(&self) -> Usage {
            Usage { busy: 0, idle: self.idle.lock().len(), queued: 0 }
        }
    }

    fn fake(active: &Active) -> Arc<Fake> {
        let fake = Arc::new(Fake::default());
        fake.idle.lock().push(Instant::now());
        active.list(&fake);
        fake
    }

    #[tokio::test(start_paused = true)]
    async fn who_worked_last_keeps_its_instance_longest() {
        let active = Active::new();
        let (one, two) = (fake(&active), fake(&active));
        active.list(&one);
        assert_eq!(active.all().len(), 2, "nobody is listed twice");
        tokio::time::advance(Duration::from_secs(1)).await;
        *one.idle.lock() = vec![Instant::now()];
        assert!(active.evict());
        assert_eq!((one.idle.lock().len(), two.idle.lock().len()), (1, 0));
        assert!(active.evict());
        assert!(!active.evict(), "nothing is left");
    }

    #[tokio::test(start_paused = true)]
    async fn the_quiet_leave_the_list_and_come_back() {
        let active = Active::new();
        let one = fake(&active);
        one.idle.lock().clear();
        one.busy.store(true, Ordering::SeqCst);
        assert!(!active.evict(), "a busy one gives nothing up");
        assert_eq!(active.all().len(), 1, "and stays");
        one.busy.store(false, Ordering::SeqCst);
        assert_eq!(active.all().len(), 1, "it is shown for the last time");
        assert!(active.all().is_empty());
        one.idle.lock().push(Instant::now());
        active.list(&one);
        assert_eq!(active.all().len(), 1);
        drop(one);
        assert!(active.all().is_empty(), "it was never kept alive");
    }
}
