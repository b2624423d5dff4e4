//! Code ahead of time: what there is only in another shape is compiled before anything needs it, and what
//! nothing needs any more goes.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use wpaas_slug::Digest;

use super::{CodeCache, Inner, files::Keep};
use crate::{
    Error,
    compile::{Compiler, Urgency},
};

/// How often a running node marks the code that it has mapped, and prunes. Less than the granularity of the
/// time of last use, and far less than a day, the unit of `code_keep_days`.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1800);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl CodeCache {
    /// Components that have code, but not of this node's shape; those used last first. What was not used
    /// for `code_keep_days` is left out: it is about to be pruned.
    pub(crate) async fn outdated(&self) -> Result<Vec<Digest>, Error> {
        let inner = &self.inner;
        if !inner.shape.exact || matches!(inner.compiler, Compiler::None) {
            return Ok(Vec::new());
        }
        let (shape, keep) = (inner.shape.name.clone(), inner.keep());
        let entries = inner.on_files(|files| files.list()).await?;
        let names = || entries.iter().filter_map(|entry| Some((entry, entry.name.as_ref()?)));
        let current: HashSet<Digest> =
            names().filter(|(_, (_, of))| *of == shape).map(|(_, (name, _))| *name).collect();
        let mut seen = current;
        Ok(names()
            .filter(|(entry, _)| entry.used.elapsed().unwrap_or_default() <= keep.unused)
            .map(|(_, (component, _))| *component)
            .filter(|component| seen.insert(*component))
            .collect())
    }

    /// Compiles a component of [`CodeCache::outdated`], when nothing more urgent is to be done.
    pub(crate) async fn renew(&self, component: Digest) -> Result<(), Error> {
        let inner = &self.inner;
        inner
            .later(component, || async {
                // A request may have been quicker.
                let path = inner.files.path(component, &inner.shape.name);
                if inner.on_files(move |files| Ok(files.verify(&path))).await? {
                    return Ok(());
                }
                inner.compile(component, Urgency::Later).await?;
                inner.prune().await;
                Ok(())
            })
            .await
    }

    /// Looks after the directory for as long as the node lives.
    pub(crate) fn upkeep(&self) -> impl Future<Output = ()> + Send + 'static {
        upkeep(Arc::downgrade(&self.inner))
    }
}

async fn upkeep(inner: Weak<Inner>) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        interval.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        inner.prune().await;
    }
}

impl Inner {
    fn keep(&self) -> Keep {
        let days = u32::try_from(self.limits.code_keep_days).unwrap_or(u32::MAX);
        Keep { unused: DAY.saturating_mul(days), bytes: self.limits.code_bytes }
    }

    /// Removes what is not needed any more.
    pub(super) async fn prune(&self) {
        let (mapped, shape, keep) = (self.mapped(), self.shape.name.clone(), self.keep());
        let pruned = self.on_files(move |files| {
            mapped.iter().for_each(|path| files.touch(path));
            files.prune(&shape, keep, &mapped)
        });
        match pruned.await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed machine code that is not used"),
            Err(error) => tracing::warn!("cannot prune the machine code: {error}"),
        }
    }

    /// The files of a component's code of other shapes, those used last first.
    pub(super) async fn others(&self, component: Digest) -> Result<Vec<PathBuf>, Error> {
        let entries = self.on_files(|files| files.list()).await?;
        let of = |name: &Option<(Digest, String)>| {
            name.as_ref().is_some_and(|(of, shape)| *of == component && *shape != self.shape.name)
        };
        Ok(entries.into_iter().filter(|entry| of(&entry.name)).map(|entry| entry.path).collect())
    }
}
