//! What a run found: for people a short table, for programs JSON and JUnit XML.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::check::Violation;
use crate::expectation::Measured;

/// A finished run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// Chooses victims; with it the run can be repeated.
    pub seed: u64,
    /// What repeats it.
    pub command: String,
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
    /// From the end of the last fault's step until everything was as wanted, in milliseconds.
    pub settled_ms: u64,
    /// Acknowledged writes in the name of a leadership.
    pub fenced_writes: usize,
    /// Lists of accounts that were added up.
    pub audits: usize,
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
    /// Its kind and target.
    pub label: String,
    /// In words.
    pub what: String,
    /// Since the run began, in milliseconds.
    pub at_ms: u64,
    /// How long it was held, in milliseconds.
    pub held_ms: u64,
    /// The longest time without an acknowledged write from the fault until all was well again, in milliseconds; `None`
    /// when no write was acknowledged any more.
    pub write_gap_ms: Option<u64>,
    /// Until all masters were members in good health, in milliseconds after the fault was undone.
    pub recovered_ms: u64,
    /// The master that led after that.
    pub leader_after: Option<String>,
    /// What the scenario expected, and when it came about.
    pub measured: Vec<Measured>,
    /// What happened to the leadership after the end of the fault although nothing should.
    pub disturbed: Option<String>,
}

impl FaultRecord {
    /// What was expected and did not come about in time.
    pub fn violations(&self) -> impl Iterator<Item = Violation> {
        let bad = self.measured.iter().filter_map(|measured| {
            let seen = format!("{}: {}", self.what, measured.failure()?);
            Some(Violation { property: "what is expected comes about in time", seen })
        });
        let disturbed = self.disturbed.iter().map(|seen| Violation {
            property: "the end of a fault disturbs nobody",
            seen: format!("{}: {seen}", self.what),
        });
        bad.chain(disturbed)
    }
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
            lines.extend(fault.measured.iter().map(measured_line));
        }
        lines.push(String::new());
        lines.extend(self.distributions().iter().map(Distribution::line));
        lines.push(format!(
            "{} acknowledged writes, {} register calls, {} watch events, longest gap {} ms, seed {}",
            self.acknowledged_writes, self.register_calls, self.watch_events, self.longest_gap_ms, self.seed
        ));
        lines.push(format!(
            "{} fenced writes, {} audits of transactions, all as wanted {} ms after the last step",
            self.fenced_writes, self.audits, self.settled_ms
        ));
        if self.curls_answered + self.curls_failed > 0 {
            lines.push(format!("curls: {} answered, {} failed", self.curls_answered, self.curls_failed));
        }
        if !self.command.is_empty() {
            lines.push(format!("to repeat it: {}", self.command));
        }
        lines.extend(self.violations.iter().map(|v| format!("VIOLATED {}: {}", v.property, v.seen)));
        lines.join("\n")
    }

    /// How long things took over all faults: pauses in writes, and all that was expected.
    #[must_use]
    pub fn distributions(&self) -> Vec<Distribution> {
        let mut samples: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for fault in &self.faults {
            let named = |what: &str| format!("{}: {what}", fault.label);
            samples.entry(named("no acknowledged write")).or_default().extend(fault.write_gap_ms);
            for measured in &fault.measured {
                samples.entry(named(&measured.state.to_string())).or_default().extend(measured.took_ms);
            }
        }
        samples.into_iter().filter_map(|(what, samples)| Distribution::of(what, &samples)).collect()
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("encoding the report")?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Writes the report as JUnit XML: a test case for each property and for each thing that was expected.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_junit(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.junit()).with_context(|| format!("writing {}", path.display()))
    }

    fn junit(&self) -> String {
        let scenario = escape(&self.scenario);
        let case = |name: &str, seen: &[&str]| {
            let failures = seen.iter().map(|seen| format!("<failure message=\"{}\"/>", escape(seen)));
            format!(
                "  <testcase classname=\"{scenario}\" name=\"{}\">{}</testcase>\n",
                escape(name),
                failures.collect::<String>()
            )
        };
        let mut cases: Vec<String> = Vec::new();
        let others = self.violations.iter().map(|violation| violation.property);
        let properties: BTreeSet<&str> = PROPERTIES.into_iter().chain(others).collect();
        for property in properties {
            let seen = self.violations.iter().filter(|violation| violation.property == property);
            cases.push(case(property, &seen.map(|violation| violation.seen.as_str()).collect::<Vec<_>>()));
        }
        for fault in &self.faults {
            let expected = fault.measured.iter().map(|one| (one, one.failure()));
            cases.extend(expected.map(|(one, failure)| {
                let name = format!("{} at {} ms: {}", fault.what, fault.at_ms, one.state);
                case(&name, &failure.as_deref().into_iter().collect::<Vec<_>>())
            }));
        }
        let failed = cases.iter().filter(|case| case.contains("<failure")).count();
        let head = format!("<testsuite name=\"mainstay chaos\" tests=\"{}\" failures=\"{failed}\">", cases.len());
        format!("{head}\n{}</testsuite>\n", cases.concat())
    }
}

/// What is judged in every run, besides what its steps expect.
const PROPERTIES: [&str; 9] = [
    "all is as wanted after the last fault",
    "each event once",
    "events in order",
    "linearizable",
    "no acknowledged write lost",
    "no event missed",
    "nothing is left over",
    "one acting leader",
    "transactions are whole",
];

impl Measured {
    /// Why it is not as expected, if so.
    fn failure(&self) -> Option<String> {
        match (self.took_ms, self.wrong) {
            (None, _) => Some(format!("not {} within {} ms", self.state, self.within_ms)),
            (_, Some(wrong)) => Some(format!("{}, but {wrong}", self.state)),
            _ => None,
        }
    }
}

/// One line about something that was expected.
pub(crate) fn measured_line(measured: &Measured) -> String {
    let took = measured.took_ms.map_or_else(|| "not in time".to_owned(), |ms| format!("after {ms} ms"));
    let wrong = measured.wrong.map(|wrong| format!(", but {wrong}")).unwrap_or_default();
    format!("    {:<30} {took} (within {} ms){wrong}", measured.state.to_string(), measured.within_ms)
}

/// How long one sort of thing took, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// What took so long.
    pub what: String,
    /// How often it was measured.
    pub count: u64,
    /// Half of them took no longer.
    pub median_ms: u64,
    /// 99 of 100 took no longer.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl Distribution {
    fn of(what: String, samples: &[u64]) -> Option<Self> {
        let mut histogram = Histogram::<u64>::new(3).ok()?;
        for sample in samples {
            histogram.record(*sample).ok()?;
        }
        let (median_ms, p99_ms) = (histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.99));
        let max_ms = histogram.max();
        (!histogram.is_empty()).then_some(Self { what, count: histogram.len(), median_ms, p99_ms, max_ms })
    }

    fn line(&self) -> String {
        format!(
            "{:<48} {:>4} times: median {} ms, p99 {} ms, longest {} ms",
            self.what, self.count, self.median_ms, self.p99_ms, self.max_ms
        )
    }
}

/// For XML and HTML.
pub(crate) fn escape(text: &str) -> String {
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
    use crate::expectation::State;

    fn report(violations: Vec<Violation>) -> Report {
        Report {
            scenario: "failover".into(),
            seed: 7,
            faults: vec![FaultRecord {
                label: "kill leader".into(),
                what: "kill -9 m1".into(),
                at_ms: 5,
                held_ms: 0,
                write_gap_ms: Some(420),
                recovered_ms: 900,
                leader_after: Some("m2".into()),
                measured: vec![Measured { state: State::PodScheduled, within_ms: 700, took_ms: None, wrong: None }],
                disturbed: None,
            }],
            acknowledged_writes: 3,
            register_calls: 2,
            watch_events: 3,
            longest_gap_ms: 420,
            violations,
            ..Report::default()
        }
    }

    #[test]
    fn a_violation_reaches_table_and_junit_escaped() {
        let bad = report(vec![Violation { property: "p", seen: "a < \"b\"".into() }]);
        assert!(!bad.held());
        assert!(bad.table().contains("VIOLATED p: a < \"b\""));
        // The property, and what came too late.
        assert!(bad.junit().contains("failures=\"2\"") && bad.junit().contains("a &lt; &quot;b&quot;"));
    }

    #[test]
    fn what_came_too_late_is_a_violation_and_the_rest_a_distribution() {
        let report = report(vec![]);
        let late: Vec<_> = report.faults[0].violations().collect();
        assert_eq!(late[0].seen, "kill -9 m1: not new pod scheduled within 700 ms");
        let only = Distribution {
            what: "kill leader: no acknowledged write".into(),
            count: 1,
            median_ms: 420,
            p99_ms: 420,
            max_ms: 420,
        };
        assert_eq!(report.distributions(), [only]);
    }

    #[test]
    fn each_property_and_each_expectation_is_a_case() {
        let mut good = report(vec![]);
        good.faults[0].measured[0].took_ms = Some(600);
        assert!(good.held() && good.junit().contains("tests=\"10\" failures=\"0\""), "{}", good.junit());
        assert!(good.table().contains("420 ms") && good.table().contains("m2"));
    }
}
