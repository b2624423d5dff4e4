//! The one-off dynos that run on a node.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    feed::{DynoState, DynoStatus},
    one_off::OneOffError,
};

/// Numbers in names of dynos: `run.1000` to `run.9999`.
const NUMBERS: std::ops::RangeInclusive<u32> = 1_000..=9_999;

/// All one-off dynos, by app and name. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct OneOffs(Arc<Mutex<All>>);

struct All {
    apps: HashMap<Uuid, BTreeMap<String, Running>>,
    /// How many there are.
    running: u64,
    /// The number that is given next. They go round, so that a name comes back after 9,000 others at the earliest.
    next: u32,
}

impl Default for All {
    fn default() -> Self {
        // Not the same after each start: `run.1000` of yesterday is in people's logs.
        let span = NUMBERS.end() - NUMBERS.start() + 1;
        let next = NUMBERS.start() + Uuid::new_v4().as_fields().0 % span;
        Self { apps: HashMap::new(), running: 0, next }
    }
}

impl All {
    fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = if number < *NUMBERS.end() { number + 1 } else { *NUMBERS.start() };
        number
    }
}

struct Running {
    status: DynoStatus,
    asked: CancellationToken,
}

/// One of them, in the table until dropped.
pub(crate) struct Entry {
    table: OneOffs,
    app: Uuid,
    dyno: String,
    asked: CancellationToken,
}

impl OneOffs {
    /// Adds a dyno whose name begins with `kind`. `status` is what `ps` shows of it, but for its name.
    pub(super) fn add(
        &self,
        app: Uuid,
        kind: &str,
        status: DynoStatus,
        asked: CancellationToken,
        limits: &Limits,
    ) -> Result<Entry, OneOffError> {
        let mut all = self.0.lock();
        // The names have to suffice, whatever the operator allows.
        let names = u64::from(NUMBERS.end() - NUMBERS.start());
        let (of_app, limit) = (all.apps.get(&app), limits.one_offs_per_app.min(names));
        if of_app.map_or(0, BTreeMap::len) as u64 >= limit {
            return Err(OneOffError::TooMany { who: "the app", limit });
        }
        if all.running >= limits.one_offs_per_node {
            let limit = limits.one_offs_per_node;
            return Err(OneOffError::TooMany { who: "the node", limit });
        }
        let dyno = loop {
            let name = format!("{kind}.{}", all.number());
            if !all.apps.get(&app).is_some_and(|of_app| of_app.contains_key(&name)) {
                break name;
            }
        };
        let status = DynoStatus { name: dyno.clone(), ..status };
        let running = Running { status, asked: asked.clone() };
        all.apps.entry(app).or_default().insert(dyno.clone(), running);
        all.running += 1;
        drop(all);
        Ok(Entry { table: self.clone(), app, dyno, asked })
    }

    /// The app's one-off dynos as `ps` shows them.
    pub(crate) fn dynos(&self, app: Uuid) -> Vec<DynoStatus> {
        let all = self.0.lock();
        all.apps
            .get(&app)
            .into_iter()
            .flatten()
            .map(|(_, running)| running.status.clone())
            .collect()
    }

    /// Asks one of the app's dynos to end, or all.
    pub(crate) fn stop(&self, app: Uuid, dyno: Option<&str>) {
        let all = self.0.lock();
        let named = |name: &String| dyno.is_none_or(|dyno| dyno == name);
        let of_app = all.apps.get(&app).into_iter().flatten();
        of_app.filter(|(name, _)| named(name)).for_each(|(_, running)| running.asked.cancel());
    }
}

impl Entry {
    /// `run.1234`
    pub(super) fn dyno(&self) -> &str {
        &self.dyno
    }

    /// Asks it to end.
    pub(super) fn asked(&self) -> &CancellationToken {
        &self.asked
    }

    pub(super) fn set(&self, state: DynoState) {
        let mut all = self.table.0.lock();
        let running = all.apps.get_mut(&self.app).and_then(|of_app| of_app.get_mut(&self.dyno));
        if let Some(running) = running {
            running.status.state = state;
            running.status.since = Timestamp::now();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut all = self.table.0.lock();
        let Some(of_app) = all.apps.get_mut(&self.app) else { return };
        let removed = of_app.remove(&self.dyno).is_some();
        if of_app.is_empty() {
            all.apps.remove(&self.app);
        }
        all.running = all.running.saturating_sub(u64::from(removed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_runs_up_to_the_limit() {
        let table = OneOffs::default();
        let (app, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let status = DynoStatus {
            name: String::new(),
            process_type: "run".into(),
            command: "x".into(),
            state: DynoState::Starting,
            since: Timestamp::now(),
            release_id: Uuid::nil(),
            release_version: 1,
            isolation: wpaas_slug::Isolation::Instance,
            concurrency: None,
        };
        let limits = Limits { one_offs_per_app: 2, one_offs_per_node: 3, ..Limits::default() };
        let add = |app| table.add(app, "run", status.clone(), CancellationToken::new(), &limits);
        let refused = |app| add(app).err().unwrap().to_string();
        let (one, two) = (add(app).unwrap(), add(app).unwrap());
        assert!(one.dyno().starts_with("run.") && one.dyno() != two.dyno());
        assert!(refused(app).starts_with("the app runs 2 one-off dynos"));
        let elsewhere = add(other).unwrap();
        assert!(refused(other).starts_with("the node runs 3 one-off dynos"));

        one.set(DynoState::Up);
        let up = |dyno: &DynoStatus| dyno.state == DynoState::Up && dyno.name == one.dyno();
        assert_eq!(table.dynos(app).iter().filter(|dyno| up(dyno)).count(), 1);
        table.stop(app, Some(one.dyno()));
        assert!(one.asked().is_cancelled() && !two.asked().is_cancelled());
        table.stop(app, None);
        assert!(two.asked().is_cancelled() && !elsewhere.asked().is_cancelled());
        drop((one, two, elsewhere));
        assert!(table.0.lock().apps.is_empty() && table.0.lock().running == 0);
    }

    #[test]
    fn names_come_back_late() {
        let mut all = All { next: 9_998, ..All::default() };
        assert_eq!([0; 4].map(|_| all.number()), [9_998, 9_999, 1_000, 1_001]);
        assert!((0..100).all(|_| NUMBERS.contains(&All::default().number())));
    }
}
