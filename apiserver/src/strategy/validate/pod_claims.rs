//! Claims of devices: which a pod has, and which of them its containers use.

use std::collections::{BTreeSet, HashSet};

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use super::{At, Errors};

/// `resourceClaims` of a pod.
pub(crate) fn claims(list: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for claim in list.items() {
        let name = claim.get("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if !seen.insert(name.str()) {
            errors.duplicate(&name);
        } else {
            errors.each(&name, names::is_dns1123_label(name.str()));
        }
        source(&claim, errors);
    }
}

fn source(claim: &At<'_>, errors: &mut Errors) {
    const NAMES: [&str; 2] = ["resourceClaimName", "resourceClaimTemplateName"];
    let why = match claim.present(&NAMES).len() {
        2 => "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        0 => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        _ => "",
    };
    if !why.is_empty() {
        let shown = format!(
            "{{\"Name\":{},\"ResourceClaimName\":{},\"ResourceClaimTemplateName\":{}}}",
            Value::from(claim.get("name").str()),
            claim.get(NAMES[0]).value,
            claim.get(NAMES[1]).value,
        );
        errors.0.push(Error::invalid_text(&claim.path, shown, why));
    }
    for name in NAMES.iter().filter_map(|field| claim.opt(field)) {
        errors.each(&name, names::is_dns1123_subdomain(name.str()));
    }
}

/// `resources.claims` of a container, beside those that the pod has.
pub(crate) fn used(list: &At<'_>, pod: &At<'_>, errors: &mut Errors) {
    if list.is_empty() {
        return;
    }
    let known: HashSet<&str> =
        pod.items().map(|claim| claim.get("name").str()).filter(|name| !name.is_empty()).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for claim in list.items() {
        let (name, request) = (claim.get("name"), claim.get("request"));
        if name.str().is_empty() {
            errors.required(&claim, "");
            continue;
        }
        // Who uses all of a claim uses each of its requests.
        if seen.contains(name.str()) {
            errors.0.push(Error::duplicate(&claim.path, name.str()));
        } else {
            errors.name_if_set(&request, names::is_dns1123_label);
            let all = format!("{}/", name.str());
            let key = if request.str().is_empty() { name.str().to_owned() } else { format!("{all}{}", request.str()) };
            let overlaps = if request.str().is_empty() {
                seen.range(all.clone()..).take_while(|other| other.starts_with(&all)).count()
            } else {
                usize::from(seen.contains(&key))
            };
            errors.0.extend((0..overlaps).map(|_| Error::duplicate(&claim.path, key.clone())));
            seen.insert(key);
        }
        if !known.contains(name.str()) {
            let detail = unknown(&known, !errors.are_many());
            errors.0.push(Error::not_found(&claim.path, name.str()).with_detail(detail));
        }
    }
}

/// What is said of a claim that is none of these.
fn unknown(known: &HashSet<&str>, listed: bool) -> String {
    const WHY: &str = "must be one of the names in pod.spec.resourceClaims";
    if known.is_empty() {
        return format!("{WHY} which is empty");
    }
    if !listed {
        return WHY.to_owned();
    }
    let mut names: Vec<&str> = known.iter().copied().collect();
    names.sort_unstable();
    format!("{WHY}: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(list: &Value, pod: &Value) -> Vec<String> {
        let mut errors = Errors::default();
        used(&At::root(list), &At::root(pod), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn who_uses_all_of_a_claim_uses_each_of_its_requests() {
        let of = |name: &str, request: &str| json!({"name": name, "request": request});
        let pod = json!([{"name": "a"}, {"name": "b"}]);
        assert_eq!(judge(&json!([of("a", "x"), of("a", "y"), of("b", "x")]), &pod), Vec::<String>::new());
        assert_eq!(
            judge(&json!([of("a", "x"), of("a", "x"), of("a", ""), of("a", "z")]), &pod),
            ["[1]: Duplicate value: \"a/x\"", "[2]: Duplicate value: \"a\"", "[3]: Duplicate value: \"a\"",]
        );
    }

    #[test]
    fn claims_are_listed_for_whom_errors_can_be_read() {
        let names: Vec<Value> = (0..50).map(|n| json!({"name": format!("c{n}")})).collect();
        let told = judge(&Value::Array(names), &json!([{"name": "b"}, {"name": "a"}]));
        assert_eq!(told.len(), 50);
        assert!(told[0].ends_with("pod.spec.resourceClaims: a, b"), "{}", told[0]);
        assert!(told[49].ends_with("pod.spec.resourceClaims"), "{}", told[49]);
        assert!(judge(&json!([{"name": "c"}]), &Value::Null)[0].ends_with("resourceClaims which is empty"));
    }
}
