//! The slots of a formation, whichever kind its dynos need.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use wpaas_slug::{
    Limits,
    feed::{DynoState, Scale},
};

use crate::{
    dyno::Instance,
    p3::Handle,
    pool::{Lease, Pool, Refused, Usage, shared, shared::Shared},
};

/// The slots.
pub(crate) enum Slots {
    /// Of instances that serve one request at a time.
    One(Arc<Pool<Instance>>),
    /// Of instances that serve many at once.
    Many(Arc<Shared<Handle>>),
}

/// A place for one request.
pub(crate) enum Place {
    /// A slot of its own.
    One(Lease<Instance>),
    /// Beside others.
    Many(shared::Lease<Handle>),
}

impl Place {
    /// The dyno's number: 1 for `web.1`.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::One(lease) => lease.number(),
            Self::Many(lease) => lease.number(),
        }
    }
}

impl Slots {
    pub(crate) fn try_acquire(&self) -> Option<Place> {
        match self {
            Self::One(pool) => pool.try_acquire().map(Place::One),
            Self::Many(pool) => pool.try_acquire().map(Place::Many),
        }
    }

    pub(crate) async fn acquire(&self, patience: Duration) -> Result<Place, Refused> {
        match self {
            Self::One(pool) => pool.acquire(patience).await.map(Place::One),
            Self::Many(pool) => pool.acquire(patience).await.map(Place::Many),
        }
    }

    pub(crate) fn rescale(&self, scale: Scale, limits: &Limits) {
        match self {
            Self::One(pool) => pool.rescale(scale),
            Self::Many(pool) => end_soon(pool.rescale(scale), limits),
        }
    }

    pub(crate) fn restart(&self, number: Option<u32>, limits: &Limits) {
        match self {
            Self::One(pool) => pool.restart(number),
            Self::Many(pool) => end_soon(pool.restart(number), limits),
        }
    }

    pub(crate) fn retire(&self) {
        match self {
            Self::One(pool) => pool.retire(),
            Self::Many(pool) => pool.retire(),
        }
    }

    pub(crate) fn reap(&self, age: Duration) {
        match self {
            Self::One(pool) => pool.reap(age),
            Self::Many(pool) => pool.reap(age),
        }
    }

    pub(crate) fn evict(&self) -> bool {
        match self {
            Self::One(pool) => pool.evict(),
            Self::Many(pool) => pool.evict(),
        }
    }

    pub(crate) fn idle_since(&self) -> Option<Instant> {
        match self {
            Self::One(pool) => pool.idle_since(),
            Self::Many(pool) => pool.idle_since(),
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::One(pool) => pool.is_quiet(),
            Self::Many(pool) => pool.is_quiet(),
        }
    }

    pub(crate) fn dynos(&self) -> Vec<(u32, DynoState, Timestamp)> {
        match self {
            Self::One(pool) => pool.dynos(),
            Self::Many(pool) => pool.dynos(),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        match self {
            Self::One(pool) => pool.usage(),
            Self::Many(pool) => pool.usage(),
        }
    }
}

fn end_soon(left: Vec<Handle>, limits: &Limits) {
    left.into_iter().for_each(|handle| handle.end_soon(limits));
}
