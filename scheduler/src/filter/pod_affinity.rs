//! Required affinity and anti-affinity to other pods, theirs to this one included.

use std::collections::HashSet;

use super::{Refusal, Rule};
use crate::cache::{Cache, NodeInfo};
use crate::pod::PodInfo;
use crate::terms::PodTerm;

/// Values of a node label where pods of one term are.
struct Places<'a> {
    key: &'a str,
    values: HashSet<&'a str>,
}

/// Where other pods draw this one, and where they keep it away.
pub(super) struct Others<'a> {
    wanted: Vec<Places<'a>>,
    /// No pod in the cluster is of the kind that this one wants, but it is so itself.
    first_of_its_kind: bool,
    unwanted: Vec<Places<'a>>,
    /// Label and value where a pod is that does not want this one beside it.
    repelled_from: HashSet<(&'a str, &'a str)>,
}

impl<'a> Others<'a> {
    pub(super) fn new(pod: &'a PodInfo, cache: &'a Cache) -> Self {
        let wanted: Vec<_> = pod.terms.affinity.iter().map(|term| places(term, cache)).collect();
        let nobody = wanted.iter().all(|places| places.values.is_empty());
        Self {
            first_of_its_kind: nobody && pod.terms.affinity.iter().all(|term| cache.matches(term, pod)),
            wanted,
            unwanted: pod.terms.anti_affinity.iter().map(|term| places(term, cache)).collect(),
            repelled_from: repelled_from(pod, cache),
        }
    }

    pub(super) fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let labels = node.labels();
        let in_place = |places: &Places<'_>| labels.get(places.key).is_some_and(|v| places.values.contains(v.as_str()));
        let has_keys = || self.wanted.iter().all(|places| labels.contains_key(places.key));
        if !(self.wanted.iter().all(in_place) || self.first_of_its_kind && has_keys()) {
            return Err(Refusal::final_because(Rule::PodAffinity, "node(s) didn't match pod affinity rules"));
        }
        if self.unwanted.iter().any(in_place) {
            return Err(Refusal::because(Rule::PodAffinity, "node(s) didn't match pod anti-affinity rules"));
        }
        if labels.iter().any(|(key, value)| self.repelled_from.contains(&(key.as_str(), value.as_str()))) {
            let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
            return Err(Refusal::because(Rule::PodAffinity, reason));
        }
        Ok(())
    }
}

fn places<'a>(term: &'a PodTerm, cache: &'a Cache) -> Places<'a> {
    let key = term.topology_key.as_str();
    let matching = cache.pods().filter(|(_, pod)| cache.matches(term, pod));
    Places { key, values: matching.filter_map(|(node, _)| node.labels().get(key).map(String::as_str)).collect() }
}

fn repelled_from<'a>(pod: &PodInfo, cache: &'a Cache) -> HashSet<(&'a str, &'a str)> {
    let terms = cache.pods().flat_map(|(node, other)| other.terms.anti_affinity.iter().map(move |term| (node, term)));
    terms
        .filter(|(_, term)| cache.matches(term, pod))
        .filter_map(|(node, term)| {
            let value = node.labels().get(&term.topology_key)?;
            Some((term.topology_key.as_str(), value.as_str()))
        })
        .collect()
}
