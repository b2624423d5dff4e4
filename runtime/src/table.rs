//! The routing table: which app a request is for.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use uuid::Uuid;

use crate::app::App;

/// How hosts map to apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    /// `NAME.<apps_domain>` is the app NAME.
    pub(crate) apps_domain: String,
    /// Every host is the only app.
    pub(crate) single_app: bool,
}

/// All apps of a node. A request that has looked up its app is not touched by later changes.
pub(crate) struct Table {
    naming: Naming,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    apps: HashMap<Uuid, Arc<App>>,
    hosts: HashMap<String, Uuid>,
    /// The order in which changes arrived, by app, also of apps that are gone: a change that took
    /// long to prepare must not undo a later one.
    installed: HashMap<Uuid, u64>,
}

impl Table {
    pub(crate) fn new(naming: Naming) -> Self {
        Self { naming, state: RwLock::default() }
    }

    /// The app of a `Host` header's value, with or without a port.
    pub(crate) fn route(&self, host: &str) -> Option<Arc<App>> {
        let state = self.state.read();
        if self.naming.single_app {
            return state.apps.values().next().cloned();
        }
        let id = state.hosts.get(&normal(host))?;
        state.apps.get(id).cloned()
    }

    /// The app of this name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<App>> {
        let state = self.state.read();
        let host = format!("{name}.{}", self.naming.apps_domain);
        let app = state.apps.get(state.hosts.get(&normal(&host))?)?;
        (app.spec.name == name).then(|| Arc::clone(app))
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<App>> {
        self.state.read().apps.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<App>> {
        self.state.read().apps.values().cloned().collect()
    }

    /// Installs an app (or removes it), as the change number `order`. Returns what was there before,
    /// or `Err` when a later change is in place already.
    pub(crate) fn install(
        &self,
        id: Uuid,
        app: Option<Arc<App>>,
        order: u64,
    ) -> Result<Option<Arc<App>>, Superseded> {
        let mut state = self.state.write();
        let latest = state.installed.entry(id).or_default();
        if *latest > order {
            return Err(Superseded);
        }
        *latest = order;
        Ok(self.set(&mut state, id, app))
    }

    /// Replaces everything. Returns the apps that were there before.
    pub(crate) fn replace(&self, apps: Vec<Arc<App>>, order: u64) -> Vec<Arc<App>> {
        let mut state = self.state.write();
        let before = std::mem::take(&mut *state);
        for app in apps {
            let id = app.spec.id;
            state.installed.insert(id, order);
            self.set(&mut state, id, Some(app));
        }
        before.apps.into_values().collect()
    }

    fn set(&self, state: &mut State, id: Uuid, app: Option<Arc<App>>) -> Option<Arc<App>> {
        let before = state.apps.remove(&id);
        for host in before.iter().flat_map(|before| self.hosts(before)) {
            // It may have moved to another app in the meantime.
            if state.hosts.get(&host) == Some(&id) {
                state.hosts.remove(&host);
            }
        }
        if let Some(app) = app {
            state.hosts.extend(self.hosts(&app).into_iter().map(|host| (host, id)));
            state.apps.insert(id, app);
        }
        before
    }

    fn hosts(&self, app: &App) -> Vec<String> {
        let own = format!("{}.{}", app.spec.name, self.naming.apps_domain);
        app.spec.domains.iter().chain([&own]).map(|host| normal(host)).collect()
    }
}

/// A later change to the same app is in place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Superseded;

/// Lower case, without port and without the root's dot.
pub(crate) fn normal(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wpaas_slug::{Limits, feed::AppSpec};

    use super::*;
    use crate::metrics::Metrics;

    fn table(single_app: bool) -> Table {
        Table::new(Naming { apps_domain: "localhost".into(), single_app })
    }

    fn app(id: u128, name: &str, domains: &[&str]) -> Arc<App> {
        let spec = AppSpec {
            id: Uuid::from_u128(id),
            owner: Uuid::nil(),
            name: name.into(),
            domains: domains.iter().map(ToString::to_string).collect(),
            maintenance: false,
            release: None,
            formation: BTreeMap::new(),
        };
        let metrics = Metrics::new(&Limits::default()).app();
        Arc::new(App { spec: Arc::new(spec), metrics, release: None })
    }

    fn install(table: &Table, app: Arc<App>, order: u64) {
        table.install(app.spec.id, Some(app), order).unwrap();
    }

    fn route(table: &Table, host: &str) -> Option<String> {
        table.route(host).map(|app| app.spec.name.clone())
    }

    #[test]
    fn hosts_lead_to_apps() {
        let table = table(false);
        install(&table, app(1, "one", &["www.example.com"]), 1);
        install(&table, app(2, "two", &[]), 2);
        for (host, expected) in [
            ("one.localhost:8080", Some("one")),
            ("ONE.LocalHost.", Some("one")),
            ("www.example.com", Some("one")),
            ("two.localhost", Some("two")),
            ("example.com", None),
            ("one", None),
            ("localhost", None),
            ("[::1]:8080", None),
        ] {
            assert_eq!(route(&table, host).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn renamed_and_removed_apps_leave_no_hosts() {
        let table = table(false);
        install(&table, app(1, "one", &["a.com", "b.com"]), 1);
        install(&table, app(1, "uno", &["b.com"]), 2);
        assert_eq!(route(&table, "one.localhost"), None);
        assert_eq!(route(&table, "a.com"), None);
        assert_eq!(route(&table, "b.com").unwrap(), "uno");
        install(&table, app(2, "two", &["b.com"]), 3);
        table.install(Uuid::from_u128(1), None, 4).unwrap();
        assert_eq!(route(&table, "uno.localhost"), None);
        assert_eq!(route(&table, "b.com").unwrap(), "two", "it had moved before");
    }

    #[test]
    fn a_change_that_took_long_does_not_undo_a_later_one() {
        let table = table(false);
        install(&table, app(1, "later", &[]), 2);
        let earlier = app(1, "earlier", &[]);
        assert!(table.install(earlier.spec.id, Some(earlier), 1).is_err());
        assert_eq!(route(&table, "later.localhost").unwrap(), "later");
        table.install(Uuid::from_u128(1), None, 4).unwrap();
        assert!(table.install(Uuid::from_u128(1), Some(app(1, "late", &[])), 3).is_err());
    }

    #[test]
    fn a_single_app_gets_every_host() {
        let table = table(true);
        assert_eq!(route(&table, "x"), None);
        install(&table, app(1, "one", &[]), 1);
        assert_eq!(route(&table, "anything:1").unwrap(), "one");
    }

    #[test]
    fn a_snapshot_replaces_everything() {
        let table = table(false);
        install(&table, app(1, "one", &[]), 1);
        let before = table.replace(vec![app(2, "two", &[])], 2);
        assert_eq!(before.len(), 1);
        assert_eq!(route(&table, "one.localhost"), None);
        assert_eq!(route(&table, "two.localhost").unwrap(), "two");
    }
}
