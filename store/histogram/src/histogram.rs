use std::marker::PhantomData;

use crate::PercentileStats;

/// One bucket for zero and one for each bit length of a `u64`.
const BUCKETS: usize = u64::BITS as usize + 1;

/// Counts values by their order of magnitude. `T` is what the original labels its slots with; there are no slots here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    slots: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// A histogram with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; BUCKETS], slots: PhantomData }
    }

    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        let bucket = &mut self.counts[bit_length(value)];
        *bucket = bucket.saturating_add(count);
    }

    /// How many values were recorded.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The least value of the bucket in which `permille` thousandths of all values are reached; 0 if there are none.
    #[must_use]
    fn at(&self, permille: u128) -> u64 {
        let wanted = (u128::from(self.total()) * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (length, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= wanted {
                return least_of_length(length);
            }
        }
        0
    }

    /// How the values are spread.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.at(1),
            p1: self.at(10),
            p5: self.at(50),
            p10: self.at(100),
            p50: self.at(500),
            p90: self.at(900),
            p99: self.at(990),
            p99_9: self.at(999),
        }
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

const fn bit_length(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()) as usize
}

const fn least_of_length(length: usize) -> u64 {
    match length {
        0 => 0,
        length => 1 << (length - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_powers_of_two() {
        let mut sizes = Histogram::<()>::new();
        assert_eq!(sizes.percentile_stats().p50, 0);
        for value in [0, 1, 2, 3, 4, 7, 8, 9, 15] {
            sizes.record(value);
        }
        sizes.record_n(u64::MAX, 1);
        let spread = sizes.percentile_stats();
        assert_eq!((spread.samples, sizes.total()), (10, 10));
        assert_eq!((spread.p0_1, spread.p10, spread.p50, spread.p90, spread.p99_9), (0, 0, 4, 8, 1 << 63));
    }

    #[test]
    fn counts_without_an_overflow() {
        let mut sizes = Histogram::<()>::new();
        sizes.record_n(1, u64::MAX);
        sizes.record_n(1, 1);
        sizes.record_n(2, u64::MAX);
        assert_eq!((sizes.total(), sizes.percentile_stats().p99), (u64::MAX, 1));
    }
}
