//! Decoders meet inputs that nobody would write. `MAINSTAY_FUZZ_SECONDS=600 cargo test -p mainstay-api --test fuzz` hunts
//! for longer; what is found goes into `crashes/<decoder>/` and is tried first from then on.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod mutate;
mod run;
mod seeds;

use std::path::PathBuf;

use mainstay_api::cel::{CALL_BUDGET, Env, Program, Scope, Type, Val, rule_errors};
use mainstay_api::schema::Structural;
use mainstay_api::selector::{FieldSelector, LabelSelector};
use mainstay_api::ssa::FieldSet;
use mainstay_api::{decode, field, patch, protobuf, quantity, schema, time, types, yaml};
use serde_json::{Value, json};

/// Where the checkout is that runs, not the one that was compiled: a target directory may be shared between several.
fn crashes() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/fuzz/crashes")
}

fn fuzz(name: &'static str, seeds: &'static [&'static [u8]], target: fn(&[u8])) {
    run::fuzz(name, &crashes(), seeds, target);
}

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

#[test]
fn json_of_every_type() {
    fuzz("json", &seeds::JSON, |data| {
        let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
        for (group, version, kind) in [("", "v1", "Pod"), ("apps", "v1", "Deployment"), ("", "v1", "Service")] {
            let of = types::type_of(group, version, kind).unwrap();
            seen(decode::strict(of, &value));
            seen(decode::canonical(of, &value));
        }
    });
}

/// What cannot be read is described in Go's words, which takes a scanner of our own.
#[test]
fn json_with_go_errors() {
    fuzz("gojson", &seeds::DOCUMENTS, |data| {
        let read = mainstay_api::json::Document::read(data).map(|document| document.value);
        assert_eq!(read.ok(), mainstay_api::json::parse(data).ok());
    });
}

#[test]
fn yaml() {
    fuzz("yaml", &seeds::YAML, |data| {
        let text = text(data);
        seen(yaml::parse_all(&text));
        if let Ok(value) = yaml::parse(&text, yaml::Duplicates::LastWins) {
            seen(yaml::parse(&yaml::to_string(&value), yaml::Duplicates::Refuse));
        }
    });
}

#[test]
fn protobuf() {
    static ENCODED: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| protobuf::encode(&pod()).unwrap());
    static SEEDS: std::sync::LazyLock<Vec<&'static [u8]>> =
        std::sync::LazyLock::new(|| vec![ENCODED.as_slice(), b"k8s\0", b"k8s\0\x0a\x00\x12\xff\xff\xff\xff\x0f"]);
    fuzz("protobuf", &SEEDS, |data| {
        if let Ok(value) = protobuf::decode(data) {
            seen(protobuf::encode(&value));
        }
        seen(protobuf::decode_as(data, "v1", "Pod"));
    });
}

#[test]
fn patches() {
    fuzz("patches", &seeds::PATCHES, |data| {
        let Ok(patch) = serde_json::from_slice::<Value>(data) else { return };
        let object = pod();
        let of = types::type_of("", "v1", "Pod").unwrap();
        seen(patch::json_patch(&object, &patch));
        seen(patch::json_patch_unvalidated(&object, &patch));
        seen(patch::merge_patch(&object, &patch));
        seen(patch::strategic::apply(&object, &patch, of));
    });
}

#[test]
fn selectors() {
    fuzz("selectors", &seeds::SELECTORS, |data| {
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
    });
}

#[test]
fn field_sets() {
    fuzz("fieldsets", &seeds::FIELD_SETS, |data| {
        if let Ok(value) = serde_json::from_slice::<Value>(data) {
            let Some(set) = FieldSet::from_json(&value) else { return };
            let again = FieldSet::from_json(&set.to_json()).map(|set| set.to_json());
            assert_eq!(again, Some(set.to_json()));
        }
    });
}

#[test]
fn quantities_and_times() {
    fuzz("quantities", &seeds::QUANTITIES, |data| {
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
    });
}

struct One(Val);

impl Scope for One {
    fn variable(&self, name: &str) -> Option<Val> {
        (name == "x").then(|| self.0.clone())
    }
}

#[test]
fn cel() {
    fuzz("cel", &seeds::CEL, |data| {
        let env = Env::new([("x".to_owned(), Type::Dyn)]).binding();
        let Ok(program) = Program::compile(&text(data), &env) else { return };
        let object = json!({"a": [1, 2, 3], "s": "text", "m": {"k": "v"}, "n": null, "f": 1.5});
        let outcome = program.eval(&One(Val::from_json(&object)), &mut CALL_BUDGET.clone());
        seen(outcome.map(|value| value.to_json()));
    });
}

#[test]
fn schemas() {
    fuzz("schemas", &seeds::SCHEMAS, |data| {
        let Ok(root) = serde_json::from_slice::<Value>(data) else { return };
        let path = field::Path::new("schema");
        seen(schema::check(&root, &path));
        seen(rule_errors(&root, &path, &Vec::new()));
        let mut object = json!({"spec": {"a": 1, "b": ["x"], "c": null}, "status": {}});
        schema::apply_defaults(&mut object, &root);
        seen(schema::prune(&mut object, &root));
        seen(Structural::new(root));
    });
}
