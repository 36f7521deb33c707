//! RBAC rules as values that can be taken apart, compared and printed: for escalation checks and rule reviews.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde_json::Value;

use super::matching::path_matches;

/// One rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// API groups.
    pub groups: Vec<String>,
    /// Resources, "pods" or "pods/log".
    pub resources: Vec<String>,
    /// Object names; empty for all.
    pub names: Vec<String>,
    /// Paths that are no resources.
    pub urls: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
}

impl Rule {
    /// From a role's JSON.
    #[must_use]
    pub fn parse(rule: &Value) -> Self {
        let list = |field: &str| -> Vec<String> {
            rule[field]
                .as_array()
                .map(|l| l.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default()
        };
        Self {
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            urls: list("nonResourceURLs"),
            verbs: list("verbs"),
        }
    }

    /// As rules of one verb on one thing each.
    #[must_use]
    pub fn atoms(&self) -> Vec<Rule> {
        let mut atoms = Vec::new();
        let names: Vec<Vec<String>> =
            if self.names.is_empty() { vec![Vec::new()] } else { self.names.iter().map(|n| vec![n.clone()]).collect() };
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    atoms.extend(names.iter().map(|names| Rule {
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        names: names.clone(),
                        urls: Vec::new(),
                        verbs: vec![verb.clone()],
                    }));
                }
            }
        }
        for url in &self.urls {
            atoms.extend(self.verbs.iter().map(|verb| Rule {
                urls: vec![url.clone()],
                verbs: vec![verb.clone()],
                ..Rule::default()
            }));
        }
        atoms
    }

    fn count(&self) -> usize {
        let resources = [self.groups.len(), self.resources.len(), self.names.len().max(1)];
        let things = resources.into_iter().fold(1, usize::saturating_mul).saturating_add(self.urls.len());
        things.saturating_mul(self.verbs.len())
    }

    /// Whether having this rule means having that atom.
    #[must_use]
    pub fn covers(&self, atom: &Rule) -> bool {
        let verbs = covers_all(&self.verbs, &atom.verbs, |owned, verb| owned == "*" || owned == verb);
        if !atom.urls.is_empty() {
            return verbs && covers_all(&self.urls, &atom.urls, path_matches);
        }
        let names =
            self.names.is_empty() || (!atom.names.is_empty() && covers_all(&self.names, &atom.names, |a, b| a == b));
        verbs
            && names
            && covers_all(&self.groups, &atom.groups, |owned, group| owned == "*" || owned == group)
            && covers_all(&self.resources, &atom.resources, covers_resource)
    }
}

fn covers_all(owned: &[String], wanted: &[String], fits: impl Fn(&str, &str) -> bool) -> bool {
    wanted.iter().all(|want| owned.iter().any(|own| fits(own, want)))
}

fn covers_resource(owned: &str, wanted: &str) -> bool {
    let sub_star = || wanted.split_once('/').is_some_and(|(_, sub)| owned.strip_prefix("*/") == Some(sub));
    owned == "*" || owned == wanted || sub_star()
}

/// How many atoms rules have.
pub(super) fn count(rules: &[Rule]) -> usize {
    rules.iter().map(Rule::count).fold(0, usize::saturating_add)
}

/// Those atoms of `wanted` that no rule of `owned` covers, merged by resource again.
#[must_use]
pub fn missing(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let atoms = wanted.iter().flat_map(Rule::atoms);
    let lacking: Vec<Rule> = atoms.filter(|atom| !owned.iter().any(|own| own.covers(atom))).collect();
    compact(lacking)
}

/// Merges atoms that differ in their verbs only, unless they name objects or paths, and sorts.
fn compact(atoms: Vec<Rule>) -> Vec<Rule> {
    let mut merged: Vec<Rule> = Vec::new();
    let mut places = HashMap::new();
    for atom in atoms {
        if !is_simple(&atom) {
            merged.push(atom);
            continue;
        }
        match places.entry((atom.groups.clone(), atom.resources.clone())) {
            Entry::Occupied(place) => {
                let place: usize = *place.get();
                merged[place].verbs.extend(atom.verbs);
            }
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(atom);
            }
        }
    }
    merged.sort_by_cached_key(Rule::to_string);
    merged.dedup();
    merged
}

/// Whether a rule is of whole resources.
fn is_simple(rule: &Rule) -> bool {
    rule.names.is_empty() && rule.urls.is_empty()
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            ("NonResourceURLs", &self.urls),
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = fields
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| {
                format!("{name}:[{}]", list.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(" "))
            })
            .collect();
        write!(f, "{{{}}}", shown.join(", "))
    }
}
