//! How much of a device that several may have each of them may ask for (<https://kep.k8s.io/5075>).

use std::collections::HashSet;

use mainstay_api::field::{Error, Path};
use mainstay_api::quantity::Quantity;

use super::too_many;
use crate::strategy::validate::{At, Errors};

/// Amounts to choose from at the most.
const VALUES_MAX: usize = 10;

/// A capacity of a device, which `several` may have.
pub(super) fn capacity(at: &At<'_>, several: bool, errors: &mut Errors) {
    const ONE: &str =
        r#"exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#;
    let Some(policy) = at.opt("requestPolicy") else { return };
    if !several {
        return errors.forbidden(&policy, "allowMultipleAllocations must be true");
    }
    let (most, default) = (at.get("value").quantity(), policy.opt("default").map(|at| at.quantity()));
    let (values, range) = (policy.get("validValues"), policy.opt("validRange"));
    let missing = |field: &str, errors: &mut Errors| {
        errors.required(&policy.get("default"), &format!("required when {field} is defined"));
    };
    match (values.is_empty(), range, default) {
        (false, Some(_), _) => errors.forbidden(&policy, ONE),
        (false, None, Some(default)) => self::values(&values, default, most, errors),
        (false, None, None) => missing("validValues", errors),
        (true, Some(range), Some(default)) => self::range(&range, default, most, errors),
        (true, Some(_), None) => missing("validRange", errors),
        (true, None, _) => {}
    }
}

fn wrong(path: &Path, amount: Quantity, why: impl Into<String>, errors: &mut Errors) {
    errors.0.push(Error::invalid(path, amount.to_string(), why));
}

fn values(list: &At<'_>, default: Quantity, most: Quantity, errors: &mut Errors) {
    for (before, at) in list.items().zip(list.items().skip(1)) {
        if before.quantity() > at.quantity() {
            wrong(&at.path, at.quantity(), "values must be sorted in ascending order", errors);
        }
    }
    let fits = list.len() <= VALUES_MAX;
    if fits {
        distinct(list, most, errors);
    } else {
        too_many(list, VALUES_MAX, errors);
    }
    if !fits || list.items().all(|at| at.quantity() != default) {
        wrong(&list.path, default, "default value is not valid according to the requestPolicy", errors);
    }
}

fn distinct(list: &At<'_>, most: Quantity, errors: &mut Errors) {
    for at in list.items().filter(|at| at.quantity() > most) {
        wrong(&at.path, at.quantity(), format!("option is larger than capacity value: {most}"), errors);
    }
    let mut seen = HashSet::new();
    for at in list.items() {
        let whole = at.quantity().value();
        if !seen.insert(whole) {
            errors.0.push(Error::duplicate(&at.path, whole.to_string()));
        }
    }
}

fn range(at: &At<'_>, default: Quantity, most: Quantity, errors: &mut Errors) {
    let (least_at, max_at) = (at.get("min"), at.get("max"));
    if least_at.is_null() {
        return errors.required(&least_at, "required when validRange is defined");
    }
    let least = least_at.quantity();
    if least > most {
        wrong(&least_at.path, least, format!("min is larger than capacity value: {most}"), errors);
    }
    if default < least {
        wrong(&least_at.path, default, format!("default is less than min: {least}"), errors);
    }
    let max = at.opt("max").map(|at| at.quantity());
    if let Some(max) = max {
        if least > max {
            wrong(&max_at.path, least, format!("min is larger than max: {max}"), errors);
        }
        if max > most {
            wrong(&max_at.path, max, format!("max is larger than capacity value: {most}"), errors);
        }
        if default > max {
            wrong(&max_at.path, default, format!("default is more than max: {max}"), errors);
        }
    }
    if let Some(step) = at.opt("step") {
        let first = least.add(step.quantity());
        if first > most {
            let why = format!("one step {first} is larger than capacity value: {most}");
            wrong(&step.path, step.quantity(), why, errors);
        }
        std::iter::once(default).chain(max).for_each(|amount| in_steps(&step, amount, least, errors));
    }
}

fn in_steps(step: &At<'_>, amount: Quantity, least: Quantity, errors: &mut Errors) {
    let by = step.quantity();
    let above = amount.value().saturating_sub(least.value());
    if above.checked_rem(by.value()).is_some_and(|rest| rest != 0) {
        let why = format!("value is not a multiple of a given step ({by}) from ({least})");
        wrong(&step.path, amount, why, errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(policy: Value, several: bool) -> Vec<String> {
        let mut errors = Errors::default();
        capacity(&At::root(&json!({"value": "10Gi", "requestPolicy": policy})), several, &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_several_may_have_is_asked_for_by_amount() {
        let policy = json!({"default": "1Gi", "validRange": {"min": "1Gi", "step": "1Gi"}});
        assert_eq!(judge(policy.clone(), false), ["requestPolicy: Forbidden: allowMultipleAllocations must be true"]);
        assert_eq!(judge(policy, true), Vec::<String>::new());
        assert_eq!(
            judge(json!({"validValues": ["1Gi"]}), true),
            ["requestPolicy.default: Required value: required when validValues is defined"]
        );
    }

    #[test]
    fn amounts_are_sorted_and_within_the_capacity() {
        assert_eq!(
            judge(json!({"default": "3Gi", "validValues": ["2Gi", "1Gi", "20Gi"]}), true),
            [
                r#"requestPolicy.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order"#,
                r#"requestPolicy.validValues[2]: Invalid value: "20Gi": option is larger than capacity value: 10Gi"#,
                r#"requestPolicy.validValues: Invalid value: "3Gi": default value is not valid according to the requestPolicy"#,
            ]
        );
    }

    #[test]
    fn ranges_go_in_steps_from_their_beginning() {
        assert_eq!(
            judge(json!({"default": "2Gi", "validRange": {"min": "1Gi", "max": "5Gi", "step": "2Gi"}}), true),
            [
                r#"requestPolicy.validRange.step: Invalid value: "2Gi": value is not a multiple of a given step (2Gi) from (1Gi)"#
            ]
        );
        assert_eq!(
            judge(json!({"default": "1Gi", "validRange": {"max": "5Gi"}}), true),
            ["requestPolicy.validRange.min: Required value: required when validRange is defined"]
        );
    }
}
