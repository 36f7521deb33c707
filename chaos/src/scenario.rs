//! Scenarios are data: what runs, what breaks, and how long each thing lasts. The catalogue is built in.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::expectation::Expected;
use crate::fault::kind::Kind;
use crate::fault::peers::{Peers, Way};
use crate::fault::target::Target;

const CATALOGUE: &[(&str, &str)] = &[
    ("containers", include_str!("../scenarios/containers.yaml")),
    ("catalogue", include_str!("../scenarios/catalogue.yaml")),
    ("clocks", include_str!("../scenarios/clocks.yaml")),
    ("disks", include_str!("../scenarios/disks.yaml")),
    ("failover", include_str!("../scenarios/failover.yaml")),
    ("outage", include_str!("../scenarios/outage.yaml")),
    ("nodes", include_str!("../scenarios/nodes.yaml")),
    ("partition", include_str!("../scenarios/partition.yaml")),
    ("quorum", include_str!("../scenarios/quorum.yaml")),
    ("runtime", include_str!("../scenarios/runtime.yaml")),
    ("rolling", include_str!("../scenarios/rolling.yaml")),
    ("short", include_str!("../scenarios/short.yaml")),
    ("slow", include_str!("../scenarios/slow.yaml")),
    ("storm", include_str!("../scenarios/storm.yaml")),
    ("wipe", include_str!("../scenarios/wipe.yaml")),
];

/// A scenario of the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Scenario {
    /// By which it is run.
    #[serde(skip)]
    pub name: String,
    /// What it does and what must come of it, in a sentence.
    pub about: String,
    /// Workers of the cluster.
    #[serde(default)]
    pub workers: u32,
    /// Pods of a deployment with a service that runs all along; 0 for none.
    #[serde(default)]
    pub replicas: u32,
    /// Besides, a deployment that is scaled and rolled, a StatefulSet, and pods that come and go.
    #[serde(default)]
    pub changes: bool,
    /// Besides, a web service of real containers under load.
    #[serde(default)]
    pub web: bool,
    /// How many of a hundred fetches of it may fail.
    #[serde(default = "budget")]
    pub web_budget_percent: f64,
    /// The runtime of a cluster that is started for it, unless the command line says otherwise.
    #[serde(default)]
    pub runtime: Runtime,
    /// Every machine has a network of its own, which can be broken; wants root.
    #[serde(default)]
    pub isolate: bool,
    /// Masters are nodes too: an agent runs beside each, with a control plane's taint.
    #[serde(default)]
    pub master_agents: bool,
    /// Each master has a disk of its own, which can be broken; wants root.
    #[serde(default)]
    pub disks: bool,
    /// Masters' clocks can be set; wants a C compiler.
    #[serde(default)]
    pub clocks: bool,
    /// Instead of in their order, steps are chosen by the seed until this much time is over, in minutes.
    #[serde(default)]
    pub storm_minutes: u64,
    /// How often the steps are gone through, unless the command line says otherwise.
    #[serde(default = "one")]
    pub rounds: u32,
    /// What is broken, one after the other.
    pub steps: Vec<Step>,
}

/// What runs the pods, as in `mainstay up --runtime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// They are only said to run.
    #[default]
    Hollow,
    /// Real containers; wants root.
    Containerd,
}

impl Runtime {
    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Runtime::Hollow => "hollow",
            Runtime::Containerd => "containerd",
        }
    }
}

/// One fault and the time around it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Step {
    /// What kind of fault.
    pub fault: Kind,
    /// Whom it hits.
    #[serde(default)]
    pub target: Target,
    /// It needs this runtime; with another it is left out.
    #[serde(default)]
    pub only: Option<Runtime>,
    /// From whom a fault of the network cuts off.
    #[serde(default)]
    pub from: Peers,
    /// In which direction.
    #[serde(default)]
    pub way: Way,
    /// How many of a hundred packets are lost.
    #[serde(default)]
    pub percent: u8,
    /// How late packets are, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// How wrong clocks are.
    #[serde(default)]
    pub by_seconds: i64,
    /// So long after its end the same master must go on leading in the same term, in milliseconds.
    #[serde(default)]
    pub undisturbed_ms: u64,
    /// How long it is held before it is undone, in milliseconds.
    #[serde(default)]
    pub hold_ms: u64,
    /// How long all masters may take to be members in good health again, in milliseconds.
    #[serde(default = "recovery")]
    pub recovery_ms: u64,
    /// What must come about while the fault is in force; it is held until then.
    #[serde(default)]
    pub expect: Vec<Expected>,
    /// Further faults, one after the other, while this one is in force and what it must bring about has come.
    #[serde(default)]
    pub meanwhile: Vec<Step>,
    /// What must come about once it was undone.
    #[serde(default)]
    pub afterwards: Vec<Expected>,
}

impl Scenario {
    /// Leaves out what this runtime cannot do.
    pub fn suit(&mut self, runtime: Runtime) {
        self.runtime = runtime;
        self.steps.retain(|step| step.only.is_none_or(|only| only == runtime));
    }
}

impl Step {
    /// Its kind of fault, by which numbers of different runs can be compared.
    #[must_use]
    pub fn label(&self) -> String {
        let word = |value: serde_json::Result<serde_json::Value>| {
            value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let (fault, target) = (word(serde_json::to_value(self.fault)), word(serde_json::to_value(self.target)));
        if self.target == Target::Everything { fault } else { format!("{fault} {target}") }
    }

    /// How long the fault is held.
    #[must_use]
    pub fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
    }

    /// The bound on recovery.
    #[must_use]
    pub fn recovery(&self) -> Duration {
        Duration::from_millis(self.recovery_ms)
    }
}

fn budget() -> f64 {
    1.0
}

fn one() -> u32 {
    1
}

fn recovery() -> u64 {
    30_000
}

/// All scenarios, by name.
///
/// # Errors
/// Never with the built-in catalogue; a test reads all of it.
pub fn catalogue() -> Result<Vec<Scenario>> {
    CATALOGUE
        .iter()
        .map(|(name, text)| {
            let scenario: Scenario =
                serde_saphyr::from_str(text).with_context(|| format!("reading scenario {name}"))?;
            Ok(Scenario { name: (*name).to_owned(), ..scenario })
        })
        .collect()
}

/// The scenario of that name.
///
/// # Errors
/// When there is none; the message lists those that there are.
pub fn find(name: &str) -> Result<Scenario> {
    let all = catalogue()?;
    let names: Vec<_> = all.iter().map(|scenario| scenario.name.clone()).collect();
    let found = all.into_iter().find(|scenario| scenario.name == name);
    found.with_context(|| format!("no scenario {name:?}; there are: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_can_be_read() {
        let all = catalogue().unwrap();
        assert_eq!(all.len(), CATALOGUE.len());
        assert!(all.iter().all(|scenario| !scenario.steps.is_empty() && !scenario.about.is_empty()));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = find("nonsense").unwrap_err().to_string();
        assert!(message.contains("failover"), "{message}");
    }
}
