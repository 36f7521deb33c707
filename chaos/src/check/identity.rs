//! Property: of a StatefulSet's pod, which has an identity, never two live at once. What lives is told by the processes of
//! containers, not by what the cluster believes of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;

/// At one moment, the pods (by uid) with living processes, by their name.
pub type Living = BTreeMap<String, BTreeSet<String>>;

/// The names that two pods had at once.
#[must_use]
pub fn check(moments: &[Living]) -> Vec<Violation> {
    let twice = moments.iter().flat_map(|living| living.iter().filter(|(_, pods)| pods.len() > 1));
    let names: BTreeSet<&String> = twice.map(|(name, _)| name).collect();
    let seen = |name: &String| format!("two pods {name} lived at once");
    names.into_iter().map(|name| Violation { property: "one pod an identity", seen: seen(name) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_at_once_are_seen_and_one_after_the_other_is_fine() {
        let living = |uids: &[&str]| Living::from([("db-0".into(), uids.iter().map(|uid| (*uid).into()).collect())]);
        assert_eq!(check(&[living(&["a"]), living(&["b"])]), []);
        assert_eq!(check(&[living(&["a"]), living(&["a", "b"]), living(&["a", "b"])]).len(), 1);
    }
}
