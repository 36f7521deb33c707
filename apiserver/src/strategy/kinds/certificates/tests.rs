use serde_json::json;

use super::*;
use crate::strategy::testing;

#[test]
fn metadata_is_judged_with_a_change_too() {
    let metadata = json!({"name": "a", "namespace": "n", "resourceVersion": "1", "labels": {"k": "a b"}});
    let request = json!({"metadata": metadata});
    let errors = testing::context("", "", |cx| SigningRequest.validate_update(cx, &request, &request));
    let fields: Vec<String> = errors.into_iter().map(|error| error.field).collect();
    assert_eq!(fields, ["metadata.labels", "metadata.labels"]);
}

#[test]
fn a_request_is_judged_with_its_signature() {
    let judge = |pem: &str| {
        let mut errors = Errors::default();
        let text = base64::engine::general_purpose::STANDARD.encode(pem);
        request(&At::root(&json!(text)), &mut errors);
        errors.0.iter().map(|error| error.detail.clone()).collect::<Vec<_>>()
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    assert!(judge(&made).is_empty());
    assert_eq!(judge(""), ["PEM block type must be CERTIFICATE REQUEST"]);
    let hollow = "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n";
    assert_eq!(judge(hollow), ["asn1: syntax error: sequence truncated"]);
}

#[test]
fn an_approval_stays_as_it_is() {
    let of = |reason: &str| json!({"status": {"conditions": [{"type": "Approved", "reason": reason}]}});
    let mut new = of("new");
    preserve(&mut new, &of("old"), "Denied");
    assert_eq!(new, of("new"));
    preserve(&mut new, &json!({"status": {}}), "Approved");
    assert_eq!(new, of("new"));
    preserve(&mut new, &of("old"), "Approved");
    assert_eq!(new, of("old"));
}

#[test]
fn a_condition_changes_when_its_status_does() {
    let of = |status: &str| json!({"type": "Failed", "status": status});
    let before = json!({"type": "Failed", "status": "True", "lastTransitionTime": "a", "lastUpdateTime": "a"});
    let old = json!({"status": {"conditions": [before]}});
    let mut new = json!({"status": {"conditions": [of("True"), of("False")]}});
    stamp(&mut new, &old, "b");
    let list = &new["status"]["conditions"];
    assert_eq!((&list[0]["lastTransitionTime"], &list[0]["lastUpdateTime"]), (&json!("a"), &json!("b")));
    assert_eq!(list[1]["lastTransitionTime"], "b");
}

#[test]
fn what_is_no_certificate_is_told_as_go_does() {
    let judge = |bytes: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        pem_error(format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").as_bytes())
    };
    assert_eq!(judge(b"not a certificate").unwrap(), "x509: malformed certificate");
    assert_eq!(judge(&[0x30, 0x03, 0x02, 0x01, 0x05]).unwrap(), "x509: malformed tbs certificate");
    assert_eq!(sequence(&[0x30, 0x81, 0x01, 0x07]), Some(&[0x07][..]));
    assert_eq!(sequence(&[0x30, 0x80]), None);
    assert_eq!(sequence(&[0x30, 0x05, 0x01]), None);
}

#[test]
fn the_parts_of_a_signer_are_judged_each() {
    let judge = |name: &str| {
        let mut errors = Errors::default();
        signer_name(&At::root(&json!(name)), &mut errors);
        errors.0.iter().map(|error| (error.value.clone(), error.detail.clone())).collect::<Vec<_>>()
    };
    assert!(judge("example.com/a.b").is_empty());
    assert_eq!(judge("a/b/c").len(), 1);
    let found = judge("nodots/Up");
    assert_eq!(found[0].0, mainstay_api::field::Shown::Value("nodots".into()));
    assert!(found[1].1.starts_with("validating label \"Up\": a lowercase RFC 1123 subdomain"));
    assert_eq!(judge("example.com/A.B.C").len(), 1);
    let (long, omitted) = (["a"; 300].join("."), mainstay_api::field::Shown::Omitted);
    assert_eq!(judge(&format!("example.com/{long}")), [(omitted, "may not be more than 571 bytes".to_owned())]);
}

#[test]
fn what_is_no_block_of_a_chain_is_passed_over() {
    let key = rcgen::KeyPair::generate().unwrap();
    let good = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert_eq!(pem_error(format!("{broken}{good}").as_bytes()), None);
    assert_eq!(pem_error(broken.as_bytes()).unwrap(), "must contain at least one CERTIFICATE PEM block");
    let headed = good.replacen("-----\n", "-----\nKey: value\n\n", 1);
    assert_eq!(pem_error(headed.as_bytes()).unwrap(), "no PEM block headers are permitted");
}
