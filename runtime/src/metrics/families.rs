//! Writing families of metrics: a description, then the samples, which differ in their labels.
//!
//! Units are part of the names and not told a second time, because not every parser allows them everywhere.

use std::{fmt, time::Duration};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::histogram::Counted;

/// Where families go.
pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

impl Families<'_> {
    /// A counter without labels. Names of counters are given without `_total`.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        count: &impl EncodeCounterValue,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(count, None)
    }

    /// Counters by labels.
    pub(super) fn counters<L: EncodeLabelSet, C: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, C)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, samples, |family, (labels, count)| {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
        })
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        family.encode_gauge(&wide(value))
    }

    /// Gauges by labels.
    pub(super) fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, usize)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, samples, |family, (labels, value)| {
            family.encode_family(&labels)?.encode_gauge(&wide(value))
        })
    }

    /// Histograms by labels, those without observations left out. `bounds_us` are the upper bounds of all
    /// buckets but the last, in microseconds.
    pub(super) fn histograms<L: EncodeLabelSet, const COUNTS: usize>(
        &mut self,
        name: &str,
        help: &str,
        bounds_us: &[u64],
        samples: impl IntoIterator<Item = (L, Counted<COUNTS>)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().filter(|(_, counted)| counted.total() > 0);
        self.family(name, help, MetricType::Histogram, samples, |family, (labels, counted)| {
            let bounds = bounds_us.iter().map(|us| Duration::from_micros(*us).as_secs_f64());
            let bounds = bounds.chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counted.counts).collect();
            let (sum, total) = (counted.sum_seconds, counted.total());
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, total, &buckets, None)
        })
    }

    /// A family, or nothing when it has no samples: not every parser allows a description alone.
    fn family<T>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        samples.try_for_each(|sample| write(&mut family, sample))
    }
}

fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
