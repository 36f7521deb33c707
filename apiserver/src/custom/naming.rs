//! Which names a definition gets: pure, from the definitions of its group.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use mainstay_api::{field, meta};
use serde_json::{Value, json};

use super::approval::{Approval, approval};

const APPROVAL: &str = "KubernetesAPIApprovalPolicyConformant";

/// The status that a definition should have, given all others; `None` if it has it.
pub(super) fn settled(definition: &Value, others: &[std::sync::Arc<Value>], now: Timestamp) -> Option<Value> {
    let mut status = definition.get("status").cloned().unwrap_or_else(|| json!({}));
    // Names that are as they were accepted are not looked at: a conflict that was there in between stays told of.
    if !same_names(&definition["spec"]["names"], &status["acceptedNames"]) {
        name(definition, others, &mut status, now);
    }
    approve(definition, &mut status, now);
    (Some(&status) != definition.get("status")).then_some(status)
}

/// Whether two sets of names are the same; nothing and what is empty are.
fn same_names(asked: &Value, accepted: &Value) -> bool {
    const FIELDS: [&str; 6] = ["plural", "singular", "shortNames", "kind", "listKind", "categories"];
    let own = |names: &Value, field: &str| {
        let found = names.get(field).filter(|found| **found != json!("") && **found != json!([]));
        found.filter(|found| !found.is_null()).cloned()
    };
    FIELDS.into_iter().all(|field| own(asked, field) == own(accepted, field))
}

/// Accepts the names that are free, and says so.
fn name(definition: &Value, others: &[std::sync::Arc<Value>], status: &mut Value, now: Timestamp) {
    let conflict = accept(definition, others, status);
    let (accepted, reason, message) = match &conflict {
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
        Some((reason, why)) => ("False", *reason, why.clone()),
    };
    set_condition(status, ("NamesAccepted", accepted, reason, &message), now);
    if super::condition(definition, "Established") != "True" {
        let established = match accepted {
            "True" => ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"),
            _ => ("Established", "False", "NotAccepted", "not all names are accepted"),
        };
        set_condition(status, established, now);
    }
}

fn approve(definition: &Value, status: &mut Value, now: Timestamp) {
    let Some(found) = approval(definition) else { return };
    let (state, reason, message) = match found {
        Approval::Approved(url) => ("True", "ApprovedAnnotation", format!("approved in {url}")),
        Approval::Bypassed(text) => ("False", "UnapprovedAnnotation", format!("not approved: \"{text}\"")),
        Approval::Invalid(why) => ("False", "InvalidAnnotation", why),
        Approval::Missing(why) => ("False", "MissingAnnotation", why),
    };
    set_condition(status, (APPROVAL, state, reason, &message), now);
}

/// Sets a condition; the time moves with its status.
pub(super) fn set_condition(status: &mut Value, new: (&str, &str, &str, &str), now: Timestamp) {
    let (kind, state, reason, message) = new;
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else { return };
    let time = mainstay_api::time::seconds(now);
    let made = json!({"type": kind, "status": state, "lastTransitionTime": time, "reason": reason, "message": message});
    match list.iter_mut().find(|condition| condition["type"] == kind) {
        Some(found) => {
            let kept = if found["status"] == state { found["lastTransitionTime"].clone() } else { time.into() };
            *found = made;
            found["lastTransitionTime"] = kept;
        }
        None => list.push(made),
    }
}

/// The names that the definitions of a group have: also its own, which none of its other names may take.
#[derive(Default)]
struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    fn by(definition: &Value, others: &[std::sync::Arc<Value>]) -> Self {
        let mut taken = Self::default();
        let group = definition.pointer("/spec/group");
        let others = others.iter().map(|other| &**other).filter(|other| meta::name(other) != meta::name(definition));
        let same = others.filter(|other| other.pointer("/spec/group") == group).chain([definition]);
        for other in same {
            let names = other.pointer("/status/acceptedNames").cloned().unwrap_or_default();
            taken.resources.extend(["plural", "singular"].iter().filter_map(|field| own(&names, field)));
            let short = names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
            taken.resources.extend(short.map(str::to_owned));
            taken.kinds.extend(["kind", "listKind"].iter().filter_map(|field| own(&names, field)));
        }
        taken
    }
}

fn own(names: &Value, field: &str) -> Option<String> {
    names[field].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Takes the names that are free; the last conflict, if there is one.
fn accept(definition: &Value, others: &[std::sync::Arc<Value>], status: &mut Value) -> Option<(&'static str, String)> {
    let taken = Taken::by(definition, others);
    let asked = definition.pointer("/spec/names").cloned().unwrap_or_default();
    let before = status["acceptedNames"].clone();
    let mut accepted = before.clone();
    let mut conflict = None;
    let plain = [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ];
    for (field, reason, used) in plain {
        match clash(&asked[field], &before[field], used) {
            Some(why) => conflict = Some((reason, why)),
            None if asked[field].is_null() => drop(accepted.as_object_mut().and_then(|map| map.remove(field))),
            None => accepted[field] = asked[field].clone(),
        }
    }
    match asked.get("categories") {
        Some(categories) => accepted["categories"] = categories.clone(),
        None => drop(accepted.as_object_mut().and_then(|map| map.remove("categories"))),
    }
    status["acceptedNames"] = accepted;
    conflict
}

/// What is said of the names in `asked` that others use and that were not accepted before.
fn clash(asked: &Value, before: &Value, used: &BTreeSet<String>) -> Option<String> {
    if asked == before {
        return None;
    }
    let old: HashSet<&Value> = before.as_array().into_iter().flatten().collect();
    let names: Vec<&Value> = asked.as_array().map_or_else(|| vec![asked], |list| list.iter().collect());
    let fresh = names.into_iter().filter(|name| !old.contains(name)).filter_map(Value::as_str);
    let taken = fresh.filter(|name| used.contains(*name));
    let texts: Vec<String> = taken.map(|name| format!("\"{name}\" is already in use")).collect();
    (!texts.is_empty()).then(|| field::aggregate(&texts))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn definition(name: &str, kind: &str, accepted: bool) -> Value {
        let names =
            json!({"plural": name, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")});
        let taken = if accepted { names.clone() } else { json!({"plural": "", "kind": ""}) };
        json!({"metadata": {"name": format!("{name}.g.io")}, "spec": {"group": "g.io", "names": names},
               "status": {"conditions": null, "acceptedNames": taken, "storedVersions": ["v1"]}})
    }

    #[test]
    fn a_taken_kind_is_a_conflict() {
        let first = Arc::new(definition("widgets", "Widget", true));
        let status = settled(&definition("wodgets", "Widget", false), &[first], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status["acceptedNames"], json!({"plural": "wodgets", "kind": ""}));
        assert_eq!(status["conditions"][0]["reason"], "ListKindConflict");
        assert_eq!(status["conditions"][1]["reason"], "NotAccepted");
    }

    #[test]
    fn free_names_are_accepted_once() {
        let mut definition = definition("widgets", "Widget", false);
        let status = settled(&definition, &[], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status["conditions"][1]["status"], "True");
        definition["status"] = status;
        assert!(settled(&definition, &[], Timestamp::UNIX_EPOCH).is_none());
    }

    #[test]
    fn a_name_of_its_own_is_taken_too() {
        let mut own = definition("widgets", "Widget", true);
        own["spec"]["names"]["shortNames"] = json!(["widget"]);
        let status = settled(&own, &[], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status["conditions"][0]["message"], "\"widget\" is already in use");
    }

    #[test]
    fn a_conflict_stays_told_of_when_the_names_become_what_was_accepted() {
        let mut other = definition("widgets", "Widget", true);
        other["status"]["acceptedNames"]["shortNames"] = json!(["w"]);
        let others = [Arc::new(other)];
        let mut own = definition("wodgets", "Wodget", false);
        own["status"] = settled(&own, &others, Timestamp::UNIX_EPOCH).unwrap();
        own["spec"]["names"]["shortNames"] = json!(["w"]);
        own["status"] = settled(&own, &others, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(own["status"]["conditions"][0]["reason"], "ShortNamesConflict");
        assert_eq!(own["status"]["conditions"][1]["status"], "True");
        own["spec"]["names"]["shortNames"] = json!([]);
        assert!(settled(&own, &others, Timestamp::UNIX_EPOCH).is_none());
    }
}
