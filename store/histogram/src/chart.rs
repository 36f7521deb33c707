use std::fmt;

use crate::{Histogram, PercentileStats};

/// Several histograms below each other, a line each.
#[derive(Debug, Clone, Default)]
pub struct AsciiChart {
    lines: Vec<(String, PercentileStats)>,
}

impl AsciiChart {
    /// A chart without lines.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// The chart with a line more.
    #[must_use]
    pub fn add<T>(mut self, name: impl ToString, histogram: Histogram<T>) -> Self {
        self.lines.push((name.to_string(), histogram.percentile_stats()));
        self
    }

    /// What prints the chart.
    #[must_use]
    pub const fn detailed(&self) -> &Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(name, stats)| writeln!(f, "{name}: {stats}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_a_line_each() {
        let mut sizes = Histogram::<()>::new();
        sizes.record(5);
        let chart = AsciiChart::new().add("one", sizes).add("two", Histogram::<()>::new());
        let text = "one: 1 samples, p50 4, p90 4, p99 4, p99.9 4\ntwo: 0 samples, p50 0, p90 0, p99 0, p99.9 0\n";
        assert_eq!(chart.detailed().to_string(), text);
    }
}
