//! How much of a device a request takes (<https://kep.k8s.io/5075>).

use std::collections::BTreeMap;

use k8s_openapi::api::resource::v1::{CapacityRequestPolicy, CapacityRequestPolicyRange, Device, DeviceCapacity};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;
use mainstay_api::quantity::Quantity;

/// Amounts by the name of a capacity.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// An amount; one that cannot be read is none.
pub(super) fn read(amount: &WireQuantity) -> Quantity {
    Quantity::parse(&amount.0).unwrap_or_default()
}

/// What a request takes of each capacity of a device; `None` if that much is not left beside what is `used`, or the device
/// does not have what is asked for.
pub(super) fn taken(
    asked: Option<&BTreeMap<String, WireQuantity>>,
    device: &Device,
    used: &Amounts,
) -> Option<Amounts> {
    let has = |name: &String| device.capacity.as_ref().is_some_and(|all| all.contains_key(name));
    if !asked.into_iter().flatten().all(|(name, _)| has(name)) {
        return None;
    }
    let mut amounts = Amounts::new();
    for (name, capacity) in device.capacity.iter().flatten() {
        let wanted = asked.and_then(|asked| asked.get(name)).map(read);
        let amount = amount(wanted, capacity)?;
        let before = used.get(name).copied().unwrap_or_default();
        if before.add(amount) > read(&capacity.value) {
            return None;
        }
        amounts.insert(name.clone(), amount);
    }
    Some(amounts)
}

/// What is taken of a capacity for what is wanted; `None` if the policy does not allow that.
fn amount(wanted: Option<Quantity>, capacity: &DeviceCapacity) -> Option<Quantity> {
    let policy = capacity.request_policy.as_ref();
    let default = policy.and_then(|policy| policy.default.as_ref()).map(read);
    let Some(wanted) = wanted else { return Some(default.unwrap_or_else(|| read(&capacity.value))) };
    let Some(policy) = policy else { return Some(wanted) };
    let amount = rounded(wanted, policy);
    (default == Some(amount) || is_allowed(amount, policy)).then_some(amount)
}

/// The next amount that the policy knows.
fn rounded(wanted: Quantity, policy: &CapacityRequestPolicy) -> Quantity {
    if let Some(range) = &policy.valid_range {
        return in_range(wanted, range);
    }
    let mut values = policy.valid_values.iter().flatten().map(read);
    values.find(|value| *value >= wanted).unwrap_or(wanted)
}

fn in_range(wanted: Quantity, range: &CapacityRequestPolicyRange) -> Quantity {
    let least = read(&range.min);
    if wanted < least {
        return least;
    }
    let Some(step) = range.step.as_ref().map(read).filter(|step| step.value() > 0) else { return wanted };
    let above = wanted.value().saturating_sub(least.value());
    let steps = above / step.value() + i64::from(above % step.value() != 0);
    let whole = least.value().saturating_add(steps.saturating_mul(step.value()));
    Quantity::new(whole, step.format())
}

fn is_allowed(amount: Quantity, policy: &CapacityRequestPolicy) -> bool {
    if let Some(range) = &policy.valid_range {
        return range.max.as_ref().is_none_or(|max| amount <= read(max));
    }
    let values = policy.valid_values.as_deref().unwrap_or_default();
    values.is_empty() || values.iter().any(|value| read(value) == amount)
}

/// Amounts as results tell them.
pub(super) fn written(amounts: &Amounts) -> BTreeMap<String, WireQuantity> {
    amounts.iter().map(|(name, amount)| (name.clone(), WireQuantity(amount.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(policy: Value, asked: Option<&str>, used: &str) -> Option<String> {
        let memory = json!({"value": "10Gi", "requestPolicy": policy});
        let device: Device = serde_json::from_value(json!({"name": "a", "capacity": {"memory": memory}})).unwrap();
        let asked = asked.map(|asked| BTreeMap::from([("memory".to_owned(), WireQuantity(asked.to_owned()))]));
        let used = Amounts::from([("memory".to_owned(), read(&WireQuantity(used.to_owned())))]);
        let found = taken(asked.as_ref(), &device, &used)?;
        Some(found["memory"].to_string())
    }

    #[test]
    fn amounts_are_rounded_up_to_what_the_policy_knows() {
        let range = json!({"default": "2Gi", "validRange": {"min": "1Gi", "max": "6Gi", "step": "1Gi"}});
        assert_eq!(of(range.clone(), None, "0").as_deref(), Some("2Gi"));
        assert_eq!(of(range.clone(), Some("100Mi"), "0").as_deref(), Some("1Gi"));
        assert_eq!(of(range.clone(), Some("2500Mi"), "0").as_deref(), Some("3Gi"));
        assert_eq!(of(range.clone(), Some("7Gi"), "0"), None);
        assert_eq!(of(range, Some("5Gi"), "6Gi"), None);
        let values = json!({"default": "1Gi", "validValues": ["1Gi", "4Gi"]});
        assert_eq!(of(values.clone(), Some("2Gi"), "0").as_deref(), Some("4Gi"));
        assert_eq!(of(values, Some("5Gi"), "0"), None);
    }

    #[test]
    fn without_a_policy_everything_is_taken_unless_less_is_asked_for() {
        assert_eq!(of(Value::Null, None, "0").as_deref(), Some("10Gi"));
        assert_eq!(of(Value::Null, Some("3Gi"), "0").as_deref(), Some("3Gi"));
        let bare: Device = serde_json::from_value(json!({"name": "a"})).unwrap();
        let asked = BTreeMap::from([("memory".to_owned(), WireQuantity("1".to_owned()))]);
        assert!(taken(Some(&asked), &bare, &Amounts::new()).is_none());
    }
}
