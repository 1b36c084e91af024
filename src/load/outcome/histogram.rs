//! A log-linear histogram of microseconds: error below 1 %, memory bounded, mergeable.
//!
//! ```text
//!  value    0 1 2 … 127 | 128 130 … 254 | 256 260 … 508 | …      2^36 (19 hours) and above: the last
//!  bucket   one each    | 64 of width 2 | 64 of width 4 | …
//! ```
//!
//! A bucket's value is its middle, so the error is at most half a width: 1/128 of the value.

use serde::{Deserialize, Serialize};

/// Buckets of width one.
const LINEAR: u64 = 128;
/// Buckets of each octave above.
const STEPS: u64 = 64;
/// First octave above the linear part: 2^7.
const FIRST: u32 = 7;
/// Values of this many bits and more are counted in the last bucket.
const BITS: u32 = 36;

/// Counts of values in µs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Histogram {
    /// Grown to the highest bucket in use.
    counts: Vec<u64>,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// As it stands in a report: only buckets in use.
#[derive(Serialize, Deserialize)]
struct Written {
    buckets: Vec<(u64, u64)>,
    sum: u64,
    min: u64,
    max: u64,
}

fn bucket(value: u64) -> usize {
    if value < LINEAR {
        return value as usize;
    }
    let octave = (63 - value.leading_zeros()).min(BITS - 1);
    let step = (value >> (octave - (FIRST - 1))).min(2 * STEPS - 1) - STEPS;
    (LINEAR + u64::from(octave - FIRST) * STEPS + step) as usize
}

/// Lowest value of a bucket.
fn lowest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < LINEAR {
        return bucket;
    }
    let octave = (bucket - LINEAR) / STEPS;
    ((bucket - LINEAR) % STEPS + STEPS) << (octave + 1)
}

fn middle(bucket: usize) -> u64 {
    let low = lowest(bucket);
    low + (lowest(bucket + 1) - low) / 2
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value_us: u64) {
        self.add(bucket(value_us), 1);
        if self.count == 0 {
            self.min = value_us;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(value_us);
        self.min = self.min.min(value_us);
        self.max = self.max.max(value_us);
    }

    fn add(&mut self, bucket: usize, count: u64) {
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
    }

    /// Counts everything that the other has counted.
    pub fn merge(&mut self, other: &Histogram) {
        if other.count == 0 {
            return;
        }
        for (bucket, count) in other.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.add(bucket, *count);
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Tells whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Smallest value, exact; `None`: there is none.
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// Largest value, exact.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// Mean, exact.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The value that this share (0.0 to 1.0) of all values does not exceed, within 1 %.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(middle(bucket).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// Buckets in use from the lowest on: their value and count. For plots.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bucket, count)| (middle(bucket), *count))
    }
}

impl Extend<u64> for Histogram {
    fn extend<T: IntoIterator<Item = u64>>(&mut self, values: T) {
        values.into_iter().for_each(|value| self.record(value));
    }
}

impl FromIterator<u64> for Histogram {
    fn from_iter<T: IntoIterator<Item = u64>>(values: T) -> Self {
        let mut histogram = Histogram::default();
        histogram.extend(values);
        histogram
    }
}

impl From<Written> for Histogram {
    fn from(written: Written) -> Self {
        let mut histogram = Histogram::default();
        for (value, count) in written.buckets {
            histogram.add(bucket(value), count);
            histogram.count = histogram.count.saturating_add(count);
        }
        if histogram.count > 0 {
            histogram.sum = written.sum;
            histogram.min = written.min.min(written.max);
            histogram.max = written.max;
        }
        histogram
    }
}

impl From<Histogram> for Written {
    fn from(histogram: Histogram) -> Self {
        let used = histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Written {
            buckets: used.map(|(bucket, count)| (lowest(bucket), *count)).collect(),
            sum: histogram.sum,
            min: histogram.min,
            max: histogram.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of buckets.
    const BUCKETS: usize = (LINEAR + (BITS - FIRST) as u64 * STEPS) as usize;

    #[test]
    fn every_value_is_told_within_one_percent() {
        let mut value = 1u64;
        while value < 1 << BITS {
            let told = middle(bucket(value));
            assert!(told.abs_diff(value) as f64 <= value as f64 * 0.01, "{value} is told as {told}");
            assert!(bucket(value) < BUCKETS, "{value}");
            value += value / 97 + 1;
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(lowest(index)), index);
            assert_eq!(bucket(lowest(index + 1) - 1), index);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        // A long tail, as delays have: cubes of a sequence that fills its range.
        let mut values: Vec<u64> = (0..10_000u64).map(|k| ((k * 7_919) % 10_007).pow(3) / 1_000_000).collect();
        let histogram: Histogram = values.iter().copied().collect();
        values.sort_unstable();
        for share in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((share * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            let told = histogram.quantile(share).expect("values");
            assert!(told.abs_diff(exact) as f64 <= exact as f64 * 0.01, "{share}: {told} for {exact}");
        }
        assert_eq!((histogram.min(), histogram.max()), (Some(values[0]), values.last().copied()));
    }

    #[test]
    fn merged_counts_are_those_of_all_values_together() {
        let (low, high) = (0..500u64, 3_000..90_000u64);
        let mut merged: Histogram = low.clone().collect();
        merged.merge(&high.clone().collect());
        merged.merge(&Histogram::default());
        assert_eq!(merged, low.chain(high).collect());
    }

    #[test]
    fn an_empty_one_has_no_quantile() {
        let empty = Histogram::default();
        assert_eq!((empty.quantile(0.5), empty.min(), empty.max(), empty.mean()), (None, None, None, None));
    }

    #[test]
    fn no_value_takes_more_memory_than_the_last_bucket() {
        let histogram: Histogram = [u64::MAX, 1 << BITS].into_iter().collect();
        assert_eq!(histogram.counts.len(), BUCKETS);
        assert_eq!(histogram.max(), Some(u64::MAX));
    }

    #[test]
    fn a_histogram_survives_json() {
        let histogram: Histogram = [0, 5, 130, 131, 70_000, 70_000].into_iter().collect();
        let text = serde_json::to_string(&histogram).expect("json");
        assert_eq!(serde_json::from_str::<Histogram>(&text).expect("a histogram"), histogram);
    }
}
