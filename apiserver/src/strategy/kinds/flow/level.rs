//! PriorityLevelConfigurations.

use mainstay_api::field::Error;
use mainstay_api::{meta, types};
use serde_json::{Value, json};

use super::conditions::conditions;
use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, Errors, dumped};

const MOST_QUEUES: i64 = 10_000_000;
/// So many bits of a flow's hash deal its hand.
const HASH_BITS: i32 = 60;

/// PriorityLevelConfigurations.
pub(crate) const LEVEL: Rules = Rules {
    check: |_, obj, errors| level(obj, errors),
    status: |_, new, _, errors| conditions(new, errors),
    parts: &[Part::Meta, Part::Check],
    ..Rules::PLAIN
};

fn level(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (kind, limited) = (spec.get("type"), spec.get("limited"));
    if (meta::name(obj) == "exempt") != (kind.str() == "Exempt") {
        errors.0.push(Error::invalid(&kind.path, kind.str(), "must be 'Exempt' if and only if `name` is 'exempt'"));
    }
    match kind.str() {
        "Exempt" => {
            if !limited.is_null() {
                errors.forbidden(&limited, "must be nil if the type is not Limited");
            }
            if let Some(exempt) = spec.opt("exempt") {
                shares(&exempt, errors);
                lendable(&exempt, errors);
            }
        }
        "Limited" => {
            if spec.opt("exempt").is_some() {
                errors.forbidden(&spec.get("exempt"), "must be nil if the type is Limited");
            }
            if limited.is_null() {
                errors.required(&limited, "must not be empty when type is Limited");
            } else {
                self::limited(&limited, errors);
            }
        }
        other => errors.0.push(Error::not_supported(&kind.path, other, &["Exempt", "Limited"])),
    }
    fixed_level(obj, errors);
}

/// Two levels are what every cluster counts on; how much the exempt one lends may change.
fn fixed_level(obj: &Value, errors: &mut Errors) {
    let (spec, name) = (At::spec(obj), meta::name(obj));
    let (wanted, why) = match name {
        "exempt" => (json!({"type": "Exempt"}), "except the 'spec.exempt' field must equal the fixed value"),
        "catch-all" => {
            let limited =
                json!({"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}});
            (json!({"type": "Limited", "limited": limited}), "must equal the fixed value")
        }
        _ => return,
    };
    let mut found = spec.value.clone();
    if let Some(found) = found.as_object_mut().filter(|_| name == "exempt") {
        found.remove("exempt");
    }
    if found != wanted
        && let Some(of) = types::by_name("io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec")
    {
        errors.0.push(dumped(of, &spec, format!("spec of '{name}' {why}")));
    }
}

fn shares(at: &At<'_>, errors: &mut Errors) {
    let shares = at.get("nominalConcurrencyShares");
    if shares.int() < 0 {
        errors.invalid(&shares, "must be a non-negative integer");
    }
}

fn lendable(at: &At<'_>, errors: &mut Errors) {
    let lendable = at.get("lendablePercent");
    if !(0..=100).contains(&lendable.int()) {
        errors.invalid(&lendable, "must be between 0 and 100, inclusive");
    }
}

fn limited(at: &At<'_>, errors: &mut Errors) {
    shares(at, errors);
    limit_response(&at.get("limitResponse"), errors);
    lendable(at, errors);
    let borrowing = at.get("borrowingLimitPercent");
    if borrowing.int() < 0 {
        errors.invalid(&borrowing, "if specified, must be a non-negative integer");
    }
}

fn limit_response(response: &At<'_>, errors: &mut Errors) {
    let queuing = response.get("queuing");
    match response.get("type").str() {
        "Reject" => {
            if !queuing.is_null() {
                errors.forbidden(&queuing, "must be nil if limited.limitResponse.type is not Limited");
            }
        }
        "Queue" if queuing.is_null() => {
            errors.required(&queuing, "must not be empty if limited.limitResponse.type is Limited")
        }
        "Queue" => self::queuing(&queuing, errors),
        other => errors.0.push(Error::not_supported(&response.get("type").path, other, &["Queue", "Reject"])),
    }
}

fn queuing(at: &At<'_>, errors: &mut Errors) {
    let (length, queues, hand) = (at.get("queueLengthLimit"), at.get("queues"), at.get("handSize"));
    positive(&length, errors);
    if positive(&queues, errors) && queues.int() > MOST_QUEUES {
        errors.invalid(&queues, format!("must not be greater than {MOST_QUEUES}"));
    }
    if !positive(&hand, errors) {
        return;
    }
    let (deck, size) = (queues.int(), hand.int());
    if size > deck {
        errors.invalid(&hand, format!("should not be greater than queues ({deck})"));
    } else if entropy(deck, size) > f64::from(HASH_BITS) {
        let why = format!(
            "required entropy bits of deckSize {deck} and handSize {size} should not be greater than {HASH_BITS}"
        );
        errors.invalid(&hand, why);
    }
}

fn positive(at: &At<'_>, errors: &mut Errors) -> bool {
    if at.int() <= 0 {
        errors.0.push(Error::invalid(&at.path, at.int(), "must be positive"));
    }
    at.int() > 0
}

/// Bits that it takes to deal a hand from this many queues, at the most.
fn entropy(queues: i64, hand: i64) -> f64 {
    let number = |of: i64| f64::from(i32::try_from(of).unwrap_or(i32::MAX));
    (number(queues).log2() * number(hand)).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_is_dealt_from_the_bits_of_a_hash() {
        assert!(entropy(64, 8) <= f64::from(HASH_BITS));
        assert!(entropy(64, 20) > f64::from(HASH_BITS));
        assert!(entropy(1, 1) <= 0.0);
    }

    #[test]
    fn two_levels_are_fixed() {
        let judge = |name: &str, spec: Value| {
            let mut errors = Errors::default();
            level(&json!({"metadata": {"name": name}, "spec": spec}), &mut errors);
            errors.0
        };
        assert!(judge("exempt", json!({"type": "Exempt", "exempt": {"lendablePercent": 7}})).is_empty());
        let found = judge(
            "catch-all",
            json!({"type": "Limited", "limited": {
                "nominalConcurrencyShares": 5, "lendablePercent": 101, "limitResponse": {"type": "Reject"},
            }}),
        );
        assert_eq!(found[0].detail, "must be between 0 and 100, inclusive");
        assert_eq!(found[1].detail, "spec of 'catch-all' must equal the fixed value");
        assert!(found[1].body().contains(r#"{"Type":"Limited","Limited":{"#));
    }

    #[test]
    fn what_is_borrowed_may_be_left_out() {
        let spec = json!({"borrowingLimitPercent": -1, "limitResponse": {"type": "Reject"}});
        let mut errors = Errors::default();
        limited(&At::root(&spec), &mut errors);
        let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer"]);
    }
}
