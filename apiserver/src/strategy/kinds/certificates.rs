//! CertificateSigningRequests: who asks is written down by the server.

use std::collections::HashMap;

use base64::Engine as _;
use mainstay_api::field::{Error, ErrorList, go_quote};
use mainstay_api::names;
use serde_json::{Value, json};
use x509_parser::error::PEMError;

use crate::strategy::validate::{At, Errors};
use crate::strategy::{Context, Strategy, base};

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that stay once they are there.
const FINAL: [&str; 3] = ["Approved", "Denied", "Failed"];
/// Bytes of a signer's domain at the most.
const LONGEST_DOMAIN: usize = 253;
/// Bytes of a signer's name at the most: its domain, a label, a subdomain, and what is between them.
const LONGEST_SIGNER: usize = 571;

/// CertificateSigningRequests.
pub(crate) struct SigningRequest;

impl Strategy for SigningRequest {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::set(obj, "/status", json!({}));
        for field in ["username", "uid", "groups", "extra"] {
            base::remove(obj, &format!(".spec.{field}"));
        }
        if !cx.user.name.is_empty() {
            base::set(obj, "/spec/username", cx.user.name.clone().into());
        }
        if !cx.user.uid.is_empty() {
            base::set(obj, "/spec/uid", cx.user.uid.clone().into());
        }
        if !cx.user.groups.is_empty() {
            base::set(obj, "/spec/groups", json!(cx.user.groups));
        }
        if !cx.user.extra.is_empty() {
            base::set(obj, "/spec/extra", json!(cx.user.extra));
        }
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        if cx.subresource == "status" {
            // The conditions, which nobody owns here, are judged, not reset; but approvals stay as they are.
            base::keep(new, old, ".spec");
            ["Approved", "Denied"].into_iter().for_each(|kind| preserve(new, old, kind));
        } else {
            base::prepare_update(cx, new, old);
        }
        if matches!(cx.subresource, "status" | "approval") {
            stamp(new, old, &mainstay_api::time::seconds(cx.now));
        }
    }

    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        mainstay_api::names::is_path_segment(name, prefix)
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors(base::finalizer_errors(obj));
        spec(&At::spec(obj), &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
        let (status, before) = (At::root(new).get("status"), At::root(old).get("status"));
        conditions(&status, &mut errors);
        let (certificate, issued) = (status.get("certificate"), before.get("certificate"));
        let signed = cx.subresource == "status" && certificate.str() != issued.str();
        if signed {
            self::certificate(&certificate, &mut errors);
        }
        removals(&status, &before, &mut errors);
        if cx.subresource != "approval" {
            approvals(&status, &before, &mut errors);
        }
        if signed && !issued.is_empty() {
            errors.forbidden(&certificate, "updates may not modify existing certificate content");
        }
        errors.extend(base::meta_update_errors(new, old));
        errors.0
    }
}

/// Conditions of a type stay as they are, unless some come or go.
fn preserve(new: &mut Value, old: &Value, kind: &str) {
    let olds = old.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let olds: Vec<&Value> = olds.iter().filter(|condition| condition["type"] == kind).collect();
    let Some(list) = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else { return };
    let news: Vec<&mut Value> = list.iter_mut().filter(|condition| condition["type"] == kind).collect();
    if news.len() == olds.len() {
        news.into_iter().zip(olds).for_each(|(new, old)| new.clone_from(old));
    }
}

/// New conditions say when they came, all say when they changed.
fn stamp(new: &mut Value, old: &Value, now: &str) {
    let olds = old.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(list) = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else { return };
    let mut times: HashMap<(&str, &str), &Value> = HashMap::new();
    for old in olds.iter().filter(|old| !old["lastTransitionTime"].is_null()) {
        times.entry(kind_and_status(old)).or_insert(&old["lastTransitionTime"]);
    }
    for condition in list {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.into();
        }
        if condition["lastTransitionTime"].is_null() {
            let known = times.get(&kind_and_status(condition)).map(|time| (*time).clone());
            condition["lastTransitionTime"] = known.unwrap_or_else(|| now.into());
        }
    }
}

fn kind_and_status(condition: &Value) -> (&str, &str) {
    (condition["type"].as_str().unwrap_or_default(), condition["status"].as_str().unwrap_or_default())
}

fn spec(spec: &At<'_>, errors: &mut Errors) {
    request(&spec.get("request"), errors);
    let usages = spec.get("usages");
    if usages.is_empty() {
        errors.required(&usages, "");
    }
    usages.items().filter(|usage| !USAGES.contains(&usage.str())).for_each(|usage| errors.unsupported(&usage, USAGES));
    let mut seen = std::collections::HashSet::new();
    usages.items().filter(|usage| !seen.insert(usage.str())).for_each(|usage| errors.duplicate(&usage));
    signer_name(&spec.get("signerName"), errors);
    if let Some(seconds) = spec.opt("expirationSeconds")
        && seconds.int() < 600
    {
        errors.invalid(&seconds, "may not specify a duration less than 600 seconds (10 minutes)");
    }
}

fn request(at: &At<'_>, errors: &mut Errors) {
    let bytes = base64::engine::general_purpose::STANDARD.decode(at.str()).unwrap_or_default();
    if let Some(why) = crate::pki::request_fault(&bytes) {
        // No bytes at all are shown as null.
        let shown = if at.is_empty() { Value::Null } else { at.value.clone() };
        errors.0.push(Error::invalid(&at.path, shown, why));
    }
}

/// `example.com/signer`.
pub(crate) fn signer_name(at: &At<'_>, errors: &mut Errors) {
    let (domain, path) = match at.str().split_once('/') {
        _ if at.str().is_empty() => return errors.required(at, ""),
        Some(("kubernetes.io", "legacy-unknown")) => {
            return errors.invalid(at, "the legacy signerName is not allowed via this API version");
        }
        Some((domain, path)) if !path.contains('/') => (domain, path),
        _ => {
            let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            return errors.invalid(at, why);
        }
    };
    if domain.len() > LONGEST_DOMAIN {
        errors.0.push(Error::too_long(&at.path, LONGEST_DOMAIN as i64));
    }
    labels(at, domain, names::is_dns1123_label, errors);
    if !domain.contains('.') {
        let why = "should be a domain with at least two segments separated by dots";
        errors.0.push(Error::invalid(&at.path, domain, why));
    }
    labels(at, path, names::is_dns1123_subdomain, errors);
    if at.str().len() > LONGEST_SIGNER {
        errors.0.push(Error::too_long(&at.path, LONGEST_SIGNER as i64));
    }
}

/// Each of the parts between the dots of a part of a name follows a rule; the first that does not is told.
fn labels(at: &At<'_>, shown: &str, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    let mut judged = shown.split('.').map(|label| (label, rule(label)));
    let Some((label, texts)) = judged.find(|(_, texts)| !texts.is_empty()) else { return };
    for why in texts {
        let why = format!("validating label {}: {why}", go_quote(label));
        errors.0.push(Error::invalid(&at.path, shown, why));
    }
}

/// The conditions of a type.
fn of_type(status: &At<'_>, kind: &str) -> Vec<Value> {
    let all = status.get("conditions").items();
    all.filter(|at| at.get("type").str() == kind).map(|at| at.value.clone()).collect()
}

fn conditions(status: &At<'_>, errors: &mut Errors) {
    let list = status.get("conditions");
    let mut seen = std::collections::HashSet::new();
    for condition in list.items() {
        let (kind, state) = (condition.get("type"), condition.get("status"));
        errors.needed(&kind);
        let allowed: &[&str] = if FINAL.contains(&kind.str()) { &["True"] } else { &["False", "True", "Unknown"] };
        errors.one_of(&state, allowed);
        let other = if kind.str() == "Denied" { "Approved" } else { "Denied" };
        if matches!(kind.str(), "Approved" | "Denied") && seen.contains(other) {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.0.push(Error::invalid(&list.path, kind.str(), why));
        }
        if !seen.insert(kind.str()) {
            errors.duplicate(&kind);
        }
    }
}

/// Some conditions stay.
fn removals(status: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    for kind in FINAL {
        if of_type(status, kind).len() < of_type(before, kind).len() {
            let why = format!("updates may not remove a condition of type \"{kind}\"");
            errors.forbidden(&status.get("conditions"), why);
        }
    }
}

/// Approving and denying has an endpoint of its own.
fn approvals(status: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let list = status.get("conditions");
    for kind in ["Approved", "Denied"] {
        let (now, was) = (of_type(status, kind), of_type(before, kind));
        if now.len() > was.len() {
            errors.forbidden(&list, format!("updates may not add a condition of type \"{kind}\""));
        } else if now.len() == was.len() && now != was {
            errors.forbidden(&list, format!("updates may not modify a condition of type \"{kind}\""));
        }
    }
}

/// What is wrong with a chain of certificates. What is no block is passed over.
fn pem_error(bytes: &[u8]) -> Option<String> {
    let mut found = 0;
    for block in x509_parser::pem::Pem::iter_from_buffer(bytes) {
        let block = match block {
            Ok(block) => block,
            Err(PEMError::Base64DecodeError) if has_headers(bytes) => {
                return Some("no PEM block headers are permitted".to_owned());
            }
            Err(_) => continue,
        };
        if block.label != "CERTIFICATE" {
            return Some(format!("only CERTIFICATE PEM blocks are allowed, found \"{}\"", block.label));
        }
        if block.contents.is_empty() {
            return Some("found CERTIFICATE PEM block containing 0 certificates".to_owned());
        }
        match block.parse_x509() {
            Ok(_) => found += 1,
            Err(error) => return Some(structure_error(&block.contents).unwrap_or_else(|| error.to_string())),
        }
    }
    (found == 0).then(|| "must contain at least one CERTIFICATE PEM block".to_owned())
}

/// Whether a block begins with a header such as `Proc-Type: 4,ENCRYPTED`.
fn has_headers(pem: &[u8]) -> bool {
    let lines: Vec<_> = pem.split(|byte| *byte == b'\n').collect();
    lines.windows(2).any(|pair| pair[0].starts_with(b"-----BEGIN ") && pair[1].contains(&b':'))
}

/// What Go says of bytes in which no certificate can be: it is a sequence that begins with another.
fn structure_error(der: &[u8]) -> Option<String> {
    let why = match sequence(der) {
        None => "x509: malformed certificate",
        Some(parts) if sequence(parts).is_none() => "x509: malformed tbs certificate",
        Some(_) => return None,
    };
    Some(why.to_owned())
}

/// What is in the sequence that some DER begins with.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    let (_, rest) = der.split_first().filter(|(tag, _)| **tag == SEQUENCE)?;
    let (first, rest) = rest.split_first()?;
    let Some(count) = usize::from(*first).checked_sub(0x80) else { return rest.get(..usize::from(*first)) };
    let (length, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
    let length = length.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    rest.get(..length)
}

fn certificate(at: &At<'_>, errors: &mut Errors) {
    let bytes = base64::engine::general_purpose::STANDARD.decode(at.str()).unwrap_or_default();
    if !at.is_empty()
        && let Some(why) = pem_error(&bytes)
    {
        errors.0.push(Error::invalid(&at.path, "<certificate data>", why));
    }
}

#[cfg(test)]
mod tests;
