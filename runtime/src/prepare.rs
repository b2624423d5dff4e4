//! Getting ready for requests before they come: after a start, and for the start of another version.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Weak},
};

use futures::StreamExt;
use wpaas_slug::{Digest, feed::Snapshot};

use crate::{
    Error,
    app::{App, Resources},
    compile::Urgency,
    parts::Parts,
};

/// Releases prepared at the same time after a start.
const CONCURRENT_PREPARATIONS: usize = 4;

/// What [`crate::Node::prepare_code`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Components compiled by this call.
    pub compiled: u64,
    /// What could not be prepared, each with the reason.
    pub failed: Vec<String>,
}

/// Prepares what a snapshot brought: stacks first, which take longest and serve most, then the current
/// releases, then what they could be rolled back to. Apps that need not run before a request comes have their
/// slug fetched and compiled and no more, each slug once: what is on disk is ready within milliseconds, and ten
/// thousand apps that nobody uses take neither memory nor time.
pub(crate) async fn ahead(
    node: Weak<Resources>,
    stacks: BTreeMap<String, Digest>,
    apps: Vec<Arc<App>>,
) {
    for (name, component) in stacks {
        let Some(resources) = node.upgrade() else { return };
        match resources.codes.get(component, Urgency::Later).await {
            Ok(code) => drop(resources.stack_codes.lock().insert(name, code)),
            Err(error) => tracing::error!(name, "cannot prepare a stack: {error}"),
        }
    }
    let mut seen = HashSet::new();
    let wanted = apps.into_iter().filter(|app| {
        app.release
            .as_ref()
            .is_some_and(|release| release.must_run() || seen.insert(release.slug()))
    });
    futures::stream::iter(wanted)
        .for_each_concurrent(CONCURRENT_PREPARATIONS, |app| {
            let resources = node.upgrade();
            async move {
                let (Some(resources), Some(release)) = (resources, &app.release) else { return };
                if let Err(error) = release.prepare_ahead(&resources).await {
                    tracing::error!(app = app.spec.name, "cannot prepare its release: {error}");
                }
            }
        })
        .await;
    let Some(resources) = node.upgrade() else { return };
    let outdated = resources.codes.outdated().await.unwrap_or_else(|error| {
        tracing::warn!("cannot see which code is outdated: {error}");
        Vec::new()
    });
    drop(resources);
    for component in outdated {
        let Some(resources) = node.upgrade() else { return };
        if let Err(error) = resources.codes.renew(component).await {
            tracing::warn!(component = component.short(), "cannot renew its code: {error}");
        }
    }
}

/// Compiles what `snapshot` and the code directory know.
pub(crate) async fn code(resources: &Resources, snapshot: &Snapshot) -> Result<Prepared, Error> {
    let before = resources.codes.compiled();
    let mut failed = Vec::new();
    *resources.stacks.write() = snapshot.stacks.clone();
    for (name, component) in &snapshot.stacks {
        if let Err(error) = resources.codes.get(*component, Urgency::Later).await {
            failed.push(format!("stack {name}: {error}"));
        }
    }
    for app in &snapshot.apps {
        let Some(release) = &app.release else { continue };
        if let Err(error) = Parts::get(resources, release.slug, Urgency::Later).await {
            failed.push(format!("app {}: {error}", app.name));
        }
    }
    for component in resources.codes.outdated().await? {
        if let Err(error) = resources.codes.renew(component).await {
            failed.push(format!("component {}: {error}", component.short()));
        }
    }
    Ok(Prepared { compiled: resources.codes.compiled() - before, failed })
}
