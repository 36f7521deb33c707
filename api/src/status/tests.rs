use super::*;
use crate::field::{Error, Path};

#[test]
fn not_found_reads_as_kubernetes_says_it() {
    let status = Status::not_found("apps", "deployments", "a");
    let expected = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"a\" not found","reason":"NotFound","details":{"name":"a","group":"apps","kind":"deployments"},"code":404}"#;
    assert_eq!(String::from_utf8(status.to_json()).unwrap(), expected);
    assert_eq!(serde_json::from_str::<Status>(expected).unwrap(), status);
}

#[test]
fn invalid_lists_each_error_and_its_cause() {
    let spec = Path::new("spec");
    let errors = vec![Error::required(&spec.child("a"), ""), Error::invalid(&spec.child("b"), "x", "bad")];
    let status = Status::invalid("apps", "Deployment", "n", errors);
    assert_eq!(
        status.message,
        "Deployment.apps \"n\" is invalid: [spec.a: Required value, spec.b: Invalid value: \"x\": bad]"
    );
    let details = status.details.unwrap();
    assert_eq!(details.causes[1].message, "Invalid value: \"x\": bad");
    assert_eq!(details.causes[1].reason, "FieldValueInvalid");
}

#[test]
fn conflict_and_forbidden() {
    assert_eq!(
        Status::conflict("", "configmaps", "x").message,
        "Operation cannot be fulfilled on configmaps \"x\": the object has been modified; please apply your changes to the latest version and try again"
    );
    assert_eq!(Status::forbidden("", "nodes", "", "no").message, "nodes is forbidden: no");
    assert_eq!(Status::forbidden("", "", "", "no").message, "forbidden: no");
    assert_eq!(Status::timeout("x", 1).retry_after(), Some(1));
}
