//! What each decoder is asked to do with an input. It may refuse; it may not panic, take long, or contradict itself.

use mainstay_api::cel::{CALL_BUDGET, Env, Program, Scope, Type, Val, rule_errors};
use mainstay_api::schema::Structural;
use mainstay_api::selector::{FieldSelector, LabelSelector};
use mainstay_api::ssa::FieldSet;
use mainstay_api::{decode, field, patch, protobuf, quantity, schema, time, types, yaml};
use serde_json::{Value, json};

use super::seeds;

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn pod() -> Value {
    serde_json::from_slice(seeds::POD).unwrap()
}

/// What is kept from an answer, so that nothing is optimised away.
fn seen<T>(value: T) {
    drop(std::hint::black_box(value));
}

/// JSON, read as types say.
pub fn json(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    for (group, version, kind) in [("", "v1", "Pod"), ("apps", "v1", "Deployment"), ("", "v1", "Service")] {
        let of = types::type_of(group, version, kind).unwrap();
        seen(decode::strict(of, &value));
        seen(decode::canonical(of, &value));
    }
}

/// JSON once more: what cannot be read is described in Go's words, which takes a scanner of our own.
pub fn gojson(data: &[u8]) {
    let read = mainstay_api::json::Document::read(data).map(|document| document.value);
    assert_eq!(read.ok(), mainstay_api::json::parse(data).ok());
}

/// YAML, there and back.
pub fn yaml(data: &[u8]) {
    let text = text(data);
    seen(yaml::parse_all(&text));
    if let Ok(value) = yaml::parse(&text, yaml::Duplicates::LastWins) {
        seen(yaml::parse(&yaml::to_string(&value), yaml::Duplicates::Refuse));
    }
}

/// Kubernetes' protobuf, there and back.
pub fn protobuf(data: &[u8]) {
    if let Ok(value) = protobuf::decode(data) {
        seen(protobuf::encode(&value));
    }
    seen(protobuf::decode_as(data, "v1", "Pod"));
}

/// Every kind of patch, on a pod.
pub fn patches(data: &[u8]) {
    let Ok(patch) = serde_json::from_slice::<Value>(data) else { return };
    let object = pod();
    let of = types::type_of("", "v1", "Pod").unwrap();
    seen(patch::json_patch(&object, &patch));
    seen(patch::json_patch_unvalidated(&object, &patch));
    seen(patch::merge_patch(&object, &patch));
    seen(patch::strategic::apply(&object, &patch, of));
}

/// Selectors of labels and fields.
pub fn selectors(data: &[u8]) {
    let text = text(data);
    if let Ok(selector) = LabelSelector::parse(&text) {
        seen(selector.matches_object(&pod()));
        assert!(LabelSelector::parse(&selector.to_string()).is_ok(), "{selector}");
    }
    if let Ok(selector) = FieldSelector::parse(&text) {
        seen(selector.matches(|_| "x"));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        seen(LabelSelector::from_object(&value));
    }
}

/// What managed fields hold.
pub fn fieldsets(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        let Some(set) = FieldSet::from_json(&value) else { return };
        let again = FieldSet::from_json(&set.to_json()).map(|set| set.to_json());
        assert_eq!(again, Some(set.to_json()));
    }
}

/// Quantities, and times.
pub fn quantities(data: &[u8]) {
    let text = text(data);
    if let Ok(found) = quantity::Quantity::parse(&text) {
        seen((found.value(), found.milli_value(), found.as_f64(), found.round_up_to_milli()));
        let shown = found.to_string();
        if !found.fits_i64() {
            return seen(quantity::Quantity::parse(&shown));
        }
        assert_eq!(quantity::Quantity::parse(&shown).map(|again| again.to_string()), Ok(shown));
    }
    seen(time::read(&text));
}

struct One(Val);

impl Scope for One {
    fn variable(&self, name: &str) -> Option<Val> {
        (name == "x").then(|| self.0.clone())
    }
}

/// CEL, compiled and run.
pub fn cel(data: &[u8]) {
    let env = Env::new([("x".to_owned(), Type::Dyn)]).binding();
    let Ok(program) = Program::compile(&text(data), &env) else { return };
    let object = json!({"a": [1, 2, 3], "s": "text", "m": {"k": "v"}, "n": null, "f": 1.5});
    let outcome = program.eval(&One(Val::from_json(&object)), &mut CALL_BUDGET.clone());
    seen(outcome.map(|value| value.to_json()));
}

/// Schemas of custom resources.
pub fn schemas(data: &[u8]) {
    let Ok(root) = serde_json::from_slice::<Value>(data) else { return };
    let path = field::Path::new("schema");
    seen(schema::check(&root, &path));
    seen(rule_errors(&root, &path, &Vec::new()));
    let mut object = json!({"spec": {"a": 1, "b": ["x"], "c": null}, "status": {}});
    schema::apply_defaults(&mut object, &root);
    seen(schema::prune(&mut object, &root));
    seen(Structural::new(root));
}
