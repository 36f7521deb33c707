//! What a run found: for people a short table, for programs JSON and JUnit XML.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::check::Violation;

/// A finished run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// Chooses victims; with it the run can be repeated.
    pub seed: u64,
    /// Each fault, in order.
    pub faults: Vec<FaultRecord>,
    /// Writes that were acknowledged.
    pub acknowledged_writes: usize,
    /// Calls on registers that the linearizability check judged.
    pub register_calls: usize,
    /// Events that the watch delivered.
    pub watch_events: usize,
    /// The longest time between two acknowledged writes, in milliseconds.
    pub longest_gap_ms: u64,
    /// Fetches of the service that were answered with 200.
    pub curls_answered: u64,
    /// Fetches that were not.
    pub curls_failed: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
}

/// One fault of a run.
#[derive(Clone, Debug, Serialize)]
pub struct FaultRecord {
    /// In words.
    pub what: String,
    /// Since the run began, in milliseconds.
    pub at_ms: u64,
    /// The longest time without an acknowledged write from the fault until all was well again, in milliseconds; `None`
    /// when no write was acknowledged any more.
    pub write_gap_ms: Option<u64>,
    /// Until all masters were members in good health, in milliseconds after the fault was undone.
    pub recovered_ms: u64,
    /// The master that led after that.
    pub leader_after: Option<String>,
}

impl Report {
    /// Whether every property held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.violations.is_empty()
    }

    /// The table on standard output.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<34} {:>12} {:>16} {:>14}  {}",
            "fault", "at", "no writes for", "recovered in", "leader then"
        )];
        for fault in &self.faults {
            let gap = fault.write_gap_ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"));
            let leader = fault.leader_after.as_deref().unwrap_or("none");
            lines.push(format!(
                "{:<34} {:>9} ms {:>16} {:>11} ms  {leader}",
                fault.what, fault.at_ms, gap, fault.recovered_ms
            ));
        }
        if let Some((median, p99)) = self.gap_quantiles() {
            lines.push(format!(
                "longest time without an acknowledged write, for each fault: median {median} ms, p99 {p99} ms"
            ));
        }
        lines.push(format!(
            "{} acknowledged writes, {} register calls, {} watch events, longest gap {} ms, seed {}",
            self.acknowledged_writes, self.register_calls, self.watch_events, self.longest_gap_ms, self.seed
        ));
        if self.curls_answered + self.curls_failed > 0 {
            lines.push(format!("curls: {} answered, {} failed", self.curls_answered, self.curls_failed));
        }
        lines.extend(self.violations.iter().map(|v| format!("VIOLATED {}: {}", v.property, v.seen)));
        lines.join("\n")
    }

    fn gap_quantiles(&self) -> Option<(u64, u64)> {
        let mut histogram = Histogram::<u64>::new(3).ok()?;
        for gap in self.faults.iter().filter_map(|fault| fault.write_gap_ms) {
            histogram.record(gap).ok()?;
        }
        (!histogram.is_empty()).then(|| (histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.99)))
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("encoding the report")?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Writes the report as JUnit XML: a test case per violation, or one that passed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_junit(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.junit()).with_context(|| format!("writing {}", path.display()))
    }

    fn junit(&self) -> String {
        let name = escape(&self.scenario);
        let cases: Vec<String> = self
            .violations
            .iter()
            .map(|v| {
                let (property, seen) = (escape(v.property), escape(&v.seen));
                format!(
                    "  <testcase classname=\"{name}\" name=\"{property}\"><failure message=\"{seen}\"/></testcase>\n"
                )
            })
            .collect();
        let passed = format!("  <testcase classname=\"{name}\" name=\"all properties\"/>\n");
        let body = if cases.is_empty() { passed } else { cases.concat() };
        format!(
            "<testsuite name=\"mainstay chaos\" tests=\"{}\" failures=\"{}\">\n{body}</testsuite>\n",
            self.violations.len().max(1),
            self.violations.len()
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A duration in whole milliseconds, as reports give it.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(violations: Vec<Violation>) -> Report {
        Report {
            scenario: "failover".into(),
            seed: 7,
            faults: vec![FaultRecord {
                what: "kill -9 m1".into(),
                at_ms: 5,
                write_gap_ms: Some(420),
                recovered_ms: 900,
                leader_after: Some("m2".into()),
            }],
            acknowledged_writes: 3,
            register_calls: 2,
            watch_events: 3,
            longest_gap_ms: 420,
            curls_answered: 0,
            curls_failed: 0,
            violations,
        }
    }

    #[test]
    fn a_violation_reaches_table_and_junit_escaped() {
        let bad = report(vec![Violation { property: "p", seen: "a < \"b\"".into() }]);
        assert!(!bad.held());
        assert!(bad.table().contains("VIOLATED p: a < \"b\""));
        assert!(bad.junit().contains("failures=\"1\"") && bad.junit().contains("a &lt; &quot;b&quot;"));
    }

    #[test]
    fn a_run_without_violations_is_one_passed_case() {
        let good = report(vec![]);
        assert!(good.held() && good.junit().contains("tests=\"1\" failures=\"0\""));
        assert!(good.table().contains("420 ms") && good.table().contains("m2"));
    }
}
