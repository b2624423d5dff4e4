//! What a release does with the dynos of each of its process types, whatever they run.

use std::sync::Arc;

use wpaas_slug::feed::{DynoStatus, Scale};

/// The dynos of one process type of one release.
pub(crate) trait Dynos: Send + Sync {
    /// The release is the app's current one: dynos that need no request start now. Called again, it does nothing.
    fn activate(self: Arc<Self>);

    /// Changes how many dynos there may and must be.
    fn rescale(self: Arc<Self>, scale: Scale);

    /// Replaces all dynos, or one.
    fn restart(self: Arc<Self>, number: Option<u32>);

    /// The release was replaced: dynos end, within `drain_ms`.
    fn retire(&self);

    /// The dynos as `ps` shows them.
    fn dynos(&self, scale: Scale) -> Vec<DynoStatus>;
}
