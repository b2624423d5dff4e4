//! One direction of a socket inside the host: a bounded queue of bytes with one writer and one reader, who
//! are a guest and the host, or a guest and itself.
//!
//! The end is either clean or a reset, and only a writer that said so ends clean. Nothing is allocated while
//! the pipe is empty.

mod queue;

/// What threads share.
mod sync {
    pub(super) use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    pub(super) use parking_lot::Mutex;
}

pub(super) use queue::{Account, Broken, End, Ended, Pipe};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
