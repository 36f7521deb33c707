use serde_json::json;

use super::*;
use crate::field::{ErrorList, Path};

fn texts(errors: ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn name_rule(name: &str, _prefix: bool) -> Vec<String> {
    crate::names::is_dns1123_subdomain(name)
}

#[test]
fn a_good_object_has_no_errors() {
    let object = json!({"metadata": {"name": "a", "namespace": "b", "labels": {"x.io/y": "z"}}});
    assert_eq!(texts(validate_object_meta(&object, true, &name_rule, &Path::new("metadata"))), Vec::<String>::new());
}

#[test]
fn each_fault_is_named() {
    let object = json!({"metadata": {
        "namespace": "b",
        "ownerReferences": [{"apiVersion": "a/b/c", "kind": "K", "name": "n", "uid": "u"}],
        "finalizers": ["orphan", "foregroundDeletion"]}});
    let found = texts(validate_object_meta(&object, false, &name_rule, &Path::new("metadata")));
    assert_eq!(
        found,
        [
            "metadata.name: Required value: name or generateName is required",
            "metadata.namespace: Forbidden: not allowed on this type",
            "metadata.ownerReferences.apiVersion: Invalid value: \"a/b/c\": version must not be empty",
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
        ]
    );
}

#[test]
fn updates_keep_identity() {
    let old = json!({"metadata": {"name": "a", "uid": "1", "deletionTimestamp": "2001-01-01T00:00:00Z"}});
    let new =
        json!({"metadata": {"name": "a", "uid": "other", "resourceVersion": "1", "finalizers": ["example.com/g"]}});
    assert_eq!(
        texts(validate_object_meta_update(&new, &old, &Path::new("metadata"))),
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/g\"}",
            "metadata.uid: Invalid value: \"other\": field is immutable",
            "metadata.deletionTimestamp: Invalid value: null: field is immutable",
        ]
    );
}

#[test]
fn writing() {
    let mut object = json!({});
    set(&mut object, "name", "n");
    assert!(add_finalizer(&mut object, "f"));
    assert!(!add_finalizer(&mut object, "f"));
    set_label(&mut object, "a", "b");
    assert!(remove_finalizer(&mut object, "f"));
    assert_eq!(object, json!({"metadata": {"name": "n", "labels": {"a": "b"}}}));
    assert_eq!(label(&object, "a"), Some("b"));
}

#[test]
fn generated_names_are_cut_to_length() {
    let name = generated_name(&"x".repeat(80), [0, 26, 27, 1, 2]);
    assert_eq!(name.len(), GENERATED_NAME_MAX);
    assert!(name.ends_with("b9bcd"));
}

#[test]
fn option_errors() {
    let path = Path::new("dryRun");
    assert_eq!(
        texts(validate_dry_run(&["All", "X"], &path)),
        ["dryRun: Unsupported value: [\"All\",\"X\"]: supported values: \"All\""]
    );
    assert_eq!(
        texts(validate_field_manager("a\u{7}", &Path::new("fieldManager"))),
        ["fieldManager: Invalid value: \"a\\a\": invalid character U+0007 (at position 1)"]
    );
}

#[test]
fn managers_are_named_by_user_agents() {
    assert_eq!(manager_of_user_agent("kubectl/v1.36.1 (linux)"), "kubectl");
    assert_eq!(manager_of_user_agent("a\tb\u{a0}c"), "abc");
    assert_eq!(manager_of_user_agent(""), "unknown");
    assert_eq!(manager_of_user_agent(&"ä".repeat(100)).len(), 128);
}
