//! FlowSchemas and PriorityLevelConfigurations.

use mainstay_api::field::Error;
use mainstay_api::{meta, names};
use serde_json::Value;

use crate::strategy::rules::Rules;
use crate::strategy::validate::{At, Errors};

/// PriorityLevelConfigurations.
pub(crate) const LEVEL: Rules = Rules { check: |_, obj, errors| level(obj, errors), ..Rules::PLAIN };

/// FlowSchemas.
pub(crate) const SCHEMA: Rules = Rules { check: |_, obj, errors| schema(obj, errors), ..Rules::PLAIN };

fn level(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (kind, limited) = (spec.get("type"), spec.get("limited"));
    if (meta::name(obj) == "exempt") != (kind.str() == "Exempt") && matches!(kind.str(), "Exempt" | "Limited") {
        errors.invalid(&kind, "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    match kind.str() {
        "Exempt" => {
            if !limited.is_null() {
                errors.forbidden(&limited, "must be nil if the type is not Limited");
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
        _ => errors.unsupported(&kind, &["Exempt", "Limited"]),
    }
}

fn limited(at: &At<'_>, errors: &mut Errors) {
    if at.get("nominalConcurrencyShares").int() < 0 {
        errors.invalid(&at.get("nominalConcurrencyShares"), "must be a non-negative integer");
    }
    let response = at.get("limitResponse");
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
        _ => errors.unsupported(&response.get("type"), &["Queue", "Reject"]),
    }
}

fn queuing(at: &At<'_>, errors: &mut Errors) {
    for field in ["queueLengthLimit", "queues", "handSize"] {
        let at = at.get(field);
        if at.int() <= 0 {
            errors.0.push(Error::invalid(&at.path, at.int(), "must be positive"));
        }
    }
    if at.get("handSize").int() > at.get("queues").int() && at.get("queues").int() > 0 {
        errors.invalid(&at.get("handSize"), "should not be greater than queues");
    }
}

fn schema(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let precedence = spec.get("matchingPrecedence");
    if precedence.int() <= 0 {
        errors.0.push(Error::invalid(&precedence.path, precedence.int(), "must be a positive value"));
    } else if precedence.int() > 10_000 {
        errors.invalid(&precedence, "must not be greater than 10000");
    }
    if let Some(method) = spec.opt("distinguisherMethod") {
        let kind = method.get("type");
        if !matches!(kind.str(), "ByNamespace" | "ByUser") {
            errors.unsupported(&kind, &["ByNamespace", "ByUser"]);
        }
    }
    let level = spec.get("priorityLevelConfiguration").get("name");
    if level.str().is_empty() {
        errors.required(&level, "must reference a priority level");
    } else {
        errors.each(&level, names::is_dns1123_subdomain(level.str()));
    }
}
