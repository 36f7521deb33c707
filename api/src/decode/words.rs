//! What Go calls values and types.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value};

use crate::types::{Element, Field, Shape};

/// Go accepts trailing bits but wants the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Fields of a named string type, which Go's messages name.
const NAMED: &[(&str, &str, &str)] = &[
    ("Container", "imagePullPolicy", "v1.PullPolicy"),
    ("Container", "terminationMessagePolicy", "v1.TerminationMessagePolicy"),
    ("ContainerPort", "protocol", "v1.Protocol"),
    ("EmptyDirVolumeSource", "medium", "v1.StorageMedium"),
    ("HTTPGetAction", "scheme", "v1.URIScheme"),
    ("JobSpec", "completionMode", "v1.CompletionMode"),
    ("NetworkPolicySpec", "policyTypes", "v1.PolicyType"),
    ("DeploymentStrategy", "type", "v1.DeploymentStrategyType"),
    ("DaemonSetUpdateStrategy", "type", "v1.DaemonSetUpdateStrategyType"),
    ("StatefulSetUpdateStrategy", "type", "v1.StatefulSetUpdateStrategyType"),
    ("StatefulSetSpec", "podManagementPolicy", "v1.PodManagementPolicyType"),
    ("CronJobSpec", "concurrencyPolicy", "v1.ConcurrencyPolicy"),
    ("NamespaceStatus", "phase", "v1.NamespacePhase"),
    ("ObjectMeta", "uid", "types.UID"),
    ("ObjectReference", "uid", "types.UID"),
    ("OwnerReference", "uid", "types.UID"),
    ("PersistentVolumeClaimSpec", "accessModes", "v1.PersistentVolumeAccessMode"),
    ("PersistentVolumeSpec", "accessModes", "v1.PersistentVolumeAccessMode"),
    ("PodSpec", "dnsPolicy", "v1.DNSPolicy"),
    ("PodSpec", "preemptionPolicy", "v1.PreemptionPolicy"),
    ("PodSpec", "restartPolicy", "v1.RestartPolicy"),
    ("PodStatus", "phase", "v1.PodPhase"),
    ("Secret", "type", "v1.SecretType"),
    ("ServicePort", "protocol", "v1.Protocol"),
    ("ServiceSpec", "externalTrafficPolicy", "v1.ServiceExternalTrafficPolicy"),
    ("ServiceSpec", "ipFamilies", "v1.IPFamily"),
    ("ServiceSpec", "ipFamilyPolicy", "v1.IPFamilyPolicy"),
    ("ServiceSpec", "sessionAffinity", "v1.ServiceAffinity"),
    ("ServiceSpec", "type", "v1.ServiceType"),
    ("Taint", "effect", "v1.TaintEffect"),
    ("Toleration", "effect", "v1.TaintEffect"),
    ("Toleration", "operator", "v1.TolerationOperator"),
];

/// What Go calls a JSON value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The kind of the Go value that a JSON value is held in.
pub(super) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// The Go type of one value of a field.
pub(super) fn element_type(owner: &str, field: &Field) -> String {
    let plain = match field.element {
        Element::String => "string",
        Element::Int32 => "int32",
        Element::Int64 => "int64",
        Element::Bool => "bool",
        Element::Double => "float64",
        Element::Bytes => "[]uint8",
        Element::Any => "interface {}",
        Element::Object(id) => id.get().go_name(),
    };
    let named = NAMED.iter().find(|(o, f, _)| *o == owner && *f == field.json);
    named.map_or(plain, |(_, _, name)| name).to_owned()
}

/// The Go type of a whole field.
pub(super) fn field_type(owner: &str, field: &Field) -> String {
    let element = element_type(owner, field);
    match field.shape {
        Shape::Single => element,
        Shape::List => format!("[]{element}"),
        Shape::Map if element == "resource.Quantity" => "v1.ResourceList".to_owned(),
        Shape::Map => format!("map[string]{element}"),
    }
}

/// A float as Go writes it: whole numbers without a point.
pub(super) fn float(number: &Number) -> Value {
    match number.as_f64() {
        #[allow(clippy::cast_possible_truncation, reason = "whole and far below 2^53")]
        Some(f) if f.fract() == 0.0 && f.abs() < 1e15 => Value::from(f as i64),
        _ => Value::Number(number.clone()),
    }
}

/// Canonical base64, or Go's complaint.
pub(super) fn base64(text: &str) -> Result<String, String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = BASE64.decode(&text).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            _ => text.len() - text.len() % 4,
        };
        format!("illegal base64 data at input byte {at}")
    })?;
    Ok(BASE64.encode(bytes))
}
