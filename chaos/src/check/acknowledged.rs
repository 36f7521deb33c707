//! Property: what was acknowledged as created is there at the end.

use std::collections::BTreeSet;

use super::Violation;

/// Names every acknowledged object that is missing.
#[must_use]
pub fn check(acknowledged: &BTreeSet<String>, found: &BTreeSet<String>) -> Vec<Violation> {
    acknowledged
        .difference(found)
        .map(|name| Violation {
            property: "no acknowledged write lost",
            seen: format!("{name} was acknowledged and is gone"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_is_named_and_a_surplus_one_is_fine() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let violations = check(&names(&["a", "b"]), &names(&["b", "c"]));
        assert_eq!(violations.len(), 1);
        assert!(violations[0].seen.starts_with("a "));
    }
}
