//! The one-off dynos that run on a node.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wpaas_slug::feed::{DynoState, DynoStatus};

use super::OneOffError;

/// Numbers in names of dynos: `run.1000` to `run.9999`.
const NUMBERS: (u128, u128) = (1_000, 9_000);

/// All one-off dynos, by app and name. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct OneOffs(Arc<Mutex<HashMap<Uuid, BTreeMap<String, Running>>>>);

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
        limit: u64,
    ) -> Result<Entry, OneOffError> {
        let mut all = self.0.lock();
        let of_app = all.entry(app).or_default();
        if of_app.len() as u64 >= limit.min(u64::try_from(NUMBERS.1 / 2).unwrap_or(u64::MAX)) {
            return Err(OneOffError::TooMany(limit));
        }
        let dyno = loop {
            let number = NUMBERS.0 + Uuid::new_v4().as_u128() % NUMBERS.1;
            let name = format!("{kind}.{number}");
            if !of_app.contains_key(&name) {
                break name;
            }
        };
        let status = DynoStatus { name: dyno.clone(), ..status };
        of_app.insert(dyno.clone(), Running { status, asked: asked.clone() });
        Ok(Entry { table: self.clone(), app, dyno, asked })
    }

    /// The app's one-off dynos as `ps` shows them.
    pub(crate) fn dynos(&self, app: Uuid) -> Vec<DynoStatus> {
        let all = self.0.lock();
        all.get(&app).into_iter().flatten().map(|(_, running)| running.status.clone()).collect()
    }

    /// Asks one of the app's dynos to end, or all.
    pub(crate) fn stop(&self, app: Uuid, dyno: Option<&str>) {
        let all = self.0.lock();
        let named = |name: &String| dyno.is_none_or(|dyno| dyno == name);
        let of_app = all.get(&app).into_iter().flatten();
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
        let running = all.get_mut(&self.app).and_then(|of_app| of_app.get_mut(&self.dyno));
        if let Some(running) = running {
            running.status.state = state;
            running.status.since = Timestamp::now();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut all = self.table.0.lock();
        if let Some(of_app) = all.get_mut(&self.app) {
            of_app.remove(&self.dyno);
            if of_app.is_empty() {
                all.remove(&self.app);
            }
        }
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
        let add = |app| table.add(app, "run", status.clone(), CancellationToken::new(), 2);
        let (one, two) = (add(app).unwrap(), add(app).unwrap());
        assert!(one.dyno().starts_with("run.") && one.dyno() != two.dyno());
        assert!(matches!(add(app), Err(OneOffError::TooMany(2))));
        let elsewhere = add(other).unwrap();

        one.set(DynoState::Up);
        let up = |dyno: &DynoStatus| dyno.state == DynoState::Up && dyno.name == one.dyno();
        assert_eq!(table.dynos(app).iter().filter(|dyno| up(dyno)).count(), 1);
        table.stop(app, Some(one.dyno()));
        assert!(one.asked().is_cancelled() && !two.asked().is_cancelled());
        table.stop(app, None);
        assert!(two.asked().is_cancelled() && !elsewhere.asked().is_cancelled());
        drop((one, two, elsewhere));
        assert!(table.0.lock().is_empty());
    }
}
