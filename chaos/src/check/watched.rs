//! Property: a watch shows every acknowledged creation once, and its revisions never go back.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;

/// An event as the watching client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The object.
    pub name: String,
    /// Its revision.
    pub revision: u64,
}

/// Repeats, steps back, and acknowledged objects that the watch never showed.
#[must_use]
pub fn check(acknowledged: &BTreeSet<String>, events: &[Seen]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for event in events {
        *times.entry(&event.name).or_default() += 1;
    }
    for (name, times) in times.iter().filter(|(_, times)| **times > 1) {
        violations.push(violation("each event once", format!("{name} was shown {times} times")));
    }
    for pair in events.windows(2).filter(|pair| pair[1].revision < pair[0].revision) {
        let seen =
            format!("{} at {} came after {} at {}", pair[1].name, pair[1].revision, pair[0].name, pair[0].revision);
        violations.push(violation("events in order", seen));
    }
    for name in acknowledged.iter().filter(|name| !times.contains_key(name.as_str())) {
        violations.push(violation("no event missed", format!("{name} was acknowledged and never shown")));
    }
    violations
}

fn violation(property: &'static str, seen: String) -> Violation {
    Violation { property, seen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, revision: u64) -> Seen {
        Seen { name: name.to_owned(), revision }
    }

    #[test]
    fn a_good_watch_passes() {
        let acknowledged = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        assert_eq!(check(&acknowledged, &[seen("a", 3), seen("x", 4), seen("b", 9)]), []);
    }

    #[test]
    fn repeats_steps_back_and_gaps_are_named() {
        let acknowledged = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let violations = check(&acknowledged, &[seen("a", 3), seen("c", 2), seen("a", 3)]);
        let properties: Vec<_> = violations.iter().map(|violation| violation.property).collect();
        assert_eq!(properties, ["each event once", "events in order", "no event missed"]);
    }
}
