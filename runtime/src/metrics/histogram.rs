//! A histogram that costs two atomic additions to observe.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counts durations by fixed upper bounds. `COUNTS` is the number of bounds plus one, for what is above
/// the last.
///
/// The number of observations is the sum of the counts, so it is not kept; and a reader that comes between
/// the two additions of [`Histogram::observe`] sees a count whose time it does not see yet, which the next
/// scrape puts right.
#[derive(Debug)]
pub(crate) struct Histogram<const COUNTS: usize> {
    counts: [AtomicU64; COUNTS],
    sum_ns: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted<const COUNTS: usize> {
    /// Not cumulative.
    pub(crate) counts: [u64; COUNTS],
    pub(crate) sum_seconds: f64,
}

impl<const COUNTS: usize> Histogram<COUNTS> {
    pub(crate) fn new() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) }
    }

    /// Counts one duration. `bounds_us` are the upper bounds in microseconds, ascending.
    pub(crate) fn observe(&self, bounds_us: &[u64], time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // `le` includes the bound; what is a fraction of a microsecond above it counts as at it.
        let at = bounds_us.iter().take_while(|bound| us > **bound).count();
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counted<COUNTS> {
        Counted {
            counts: std::array::from_fn(|at| {
                self.counts.get(at).map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            sum_seconds: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

impl<const COUNTS: usize> Counted<COUNTS> {
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::<3>::new();
        let bounds = [10, 100];
        for us in [0, 10, 11, 100, 101, u64::MAX] {
            histogram.observe(&bounds, Duration::from_micros(us.min(1 << 40)));
        }
        let read = histogram.read();
        assert_eq!(read.counts, [2, 2, 2]);
        assert_eq!(read.total(), 6);
    }

    #[test]
    fn sums_exactly() {
        let histogram = Histogram::<1>::new();
        histogram.observe(&[], Duration::from_millis(1_500));
        histogram.observe(&[], Duration::from_nanos(250_000_000));
        assert!((histogram.read().sum_seconds - 1.75).abs() < 1e-9);
    }
}
