//! The pod security standards, as a namespace's labels ask for them.

mod baseline;
mod checks;
mod policy;
mod restricted;
mod subject;

use std::collections::HashMap;

use async_trait::async_trait;
use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use self::policy::{Level, Policy};
use self::subject::{Pod, join};
use super::{Attributes, Operation, Plugin};
use crate::audit::Notes;
use crate::strategy::validate::At;

/// Annotations of old that say the profile of a pod, and those of its containers by name.
const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// What the audit log is told: the level that has been enforced, and what another one would not have let in.
const ENFORCED: &str = "pod-security.kubernetes.io/enforce-policy";
const VIOLATIONS: &str = "pod-security.kubernetes.io/audit-violations";

/// PodSecurity.
pub(crate) struct PodSecurity;

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !matches!(request.operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        if request.is("", "namespaces") {
            return namespace(request);
        }
        if request.is("", "pods") {
            return pod(request);
        }
        template(request);
        Ok(())
    }
}

fn policy_of(request: &Attributes<'_>) -> Policy {
    let namespace = request.reader.get("", "namespaces", "", request.namespace);
    Policy::of(namespace.as_deref().unwrap_or(&Value::Null))
}

fn pod(request: &mut Attributes<'_>) -> ApiResult<()> {
    if !matches!(request.subresource, "" | "ephemeralcontainers" | "resize") {
        return Ok(());
    }
    let policy = policy_of(request);
    let Some(pod) = request.object.as_ref() else { return Ok(()) };
    if policy.is_open() {
        // Whatever version its labels name: nothing is held against it.
        request.notes.add(ENFORCED, "privileged:latest");
        return Ok(());
    }
    if request.operation == Operation::Update && !matters(request) {
        return Ok(());
    }
    request.notes.add(ENFORCED, policy.enforce_text.as_str());
    let found = checks::violations(policy.enforce, &described(pod, policy.enforce_version));
    note(&mut request.notes, pod, &policy);
    if !found.is_empty() {
        let why = format!("violates PodSecurity \"{}\": {}", policy.enforce_text, join(&found));
        return Err(request.forbidden(why));
    }
    let found = checks::violations(policy.warn, &described(pod, policy.warn_version));
    if !found.is_empty() {
        let text = format!("would violate PodSecurity \"{}\": {}", policy.warn_text, join(&found));
        request.warnings.push(text);
    }
    Ok(())
}

/// Tells the audit log what the level that it asks for does not let in.
fn note(notes: &mut Notes, subject: &Value, policy: &Policy) {
    let found = checks::violations(policy.audit, &described(subject, policy.audit_version));
    if !found.is_empty() {
        notes.add(VIOLATIONS, format!("would violate PodSecurity \"{}\": {}", policy.audit_text, join(&found)));
    }
}

/// A pod or a template, with the version that it is held against.
fn described(pod: &Value, version: u32) -> Pod<'_> {
    Pod { metadata: At::root(pod).get("metadata"), spec: At::spec(pod), version }
}

/// Whether an update of a pod changes what runs in it.
fn matters(request: &Attributes<'_>) -> bool {
    let (Some(new), Some(old)) = (&request.object, &request.old_object) else { return true };
    let profile = |pod: &Value, key: &str| meta::annotation(pod, key).unwrap_or_default().to_owned();
    let differs = |key: &str| profile(new, key) != profile(old, key);
    let changes = |own: &At<'_>, before: &At<'_>| {
        let name = own.get("name");
        own.get("image").str() != before.get("image").str() || differs(&format!("{SECCOMP_CONTAINER}{}", name.str()))
    };
    let lists = |list: &str| (At::spec(new).get(list), At::spec(old).get(list));
    let fixed = ["containers", "initContainers"].into_iter().any(|list| {
        let (own, before) = lists(list);
        own.len() != before.len() || own.items().zip(before.items()).any(|(own, before)| changes(&own, &before))
    });
    let (own, before) = lists("ephemeralContainers");
    let before: HashMap<&str, At<'_>> = before.items().map(|before| (before.get("name").str(), before)).collect();
    let added = |own: At<'_>| before.get(own.get("name").str()).is_none_or(|before| changes(&own, before));
    fixed || own.items().any(added)
}

/// Where a workload's template is.
fn template_pointer(request: &Attributes<'_>) -> Option<&'static str> {
    Some(match (&*request.resource.group, &*request.resource.resource) {
        ("", "podtemplates") => "/template",
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => "/spec/template",
        ("batch", "cronjobs") => "/spec/jobTemplate/spec/template",
        _ => return None,
    })
}

fn template(request: &mut Attributes<'_>) {
    let Some(pointer) = template_pointer(request).filter(|_| request.subresource.is_empty()) else { return };
    let policy = policy_of(request);
    let Some(template) = request.object.as_ref().and_then(|object| object.pointer(pointer)) else { return };
    note(&mut request.notes, template, &policy);
    let found = checks::violations(policy.warn, &described(template, policy.warn_version));
    if !found.is_empty() {
        let text = format!("would violate PodSecurity \"{}\": {}", policy.warn_text, join(&found));
        request.warnings.push(text);
    }
}

fn namespace(request: &mut Attributes<'_>) -> ApiResult<()> {
    let Some(object) = request.object.as_ref().filter(|_| request.subresource.is_empty()) else { return Ok(()) };
    let errors = label_errors(object);
    if !errors.is_empty() && request.old_object.as_ref().is_none_or(|old| label_errors(old) != errors) {
        return Err(Status::invalid("", "Namespace", meta::name(object), errors));
    }
    let policy = Policy::of(object);
    let old = request.old_object.as_ref().map(Policy::of).unwrap_or_default();
    let relaxed = policy.enforce_version == old.enforce_version && policy.enforce <= old.enforce;
    if request.operation == Operation::Update && policy.enforce != Level::Privileged && !relaxed {
        let warnings = existing(request, meta::name(object), &policy);
        request.warnings.extend(warnings);
    }
    Ok(())
}

/// Pods that the new level would not have let in, grouped by what is wrong.
fn existing(request: &Attributes<'_>, namespace: &str, policy: &Policy) -> Vec<String> {
    let mut pods = request.reader.list("", "pods", Some(namespace));
    pods.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for pod in &pods {
        let found = checks::violations(policy.enforce, &described(pod, policy.enforce_version));
        if found.is_empty() {
            continue;
        }
        let reasons = found.iter().map(|violation| violation.reason.clone()).collect::<Vec<_>>().join(", ");
        match groups.iter_mut().find(|(text, _)| *text == reasons) {
            Some((_, names)) => names.push(meta::name(pod).to_owned()),
            None => groups.push((reasons, vec![meta::name(pod).to_owned()])),
        }
    }
    if groups.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<String> = groups
        .iter()
        .map(|(reasons, names)| match names.as_slice() {
            [one] => format!("{one}: {reasons}"),
            [first, second] => {
                debug_assert!(first <= second);
                format!("{first} (and 1 other pod): {reasons}")
            }
            many => format!("{} (and {} other pods): {reasons}", many[0], many.len() - 1),
        })
        .collect();
    lines.sort();
    let head = format!(
        "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{}\"",
        policy.enforce_text
    );
    std::iter::once(head).chain(lines).collect()
}

/// What is wrong with the labels of a namespace, mode by mode.
fn label_errors(namespace: &Value) -> ErrorList {
    let path = Path::new("metadata").child("labels");
    let mut errors = ErrorList::new();
    for mode in ["enforce", "audit", "warn"] {
        let level = format!("pod-security.kubernetes.io/{mode}");
        let version = format!("{level}-version");
        let bad_level = meta::label(namespace, &level).filter(|text| Level::parse(text).is_none());
        errors
            .extend(bad_level.map(|text| {
                Error::invalid(&path.key(&level), text, "must be one of privileged, baseline, restricted")
            }));
        let bad_version = meta::label(namespace, &version).filter(|text| !policy::is_version(text));
        errors.extend(
            bad_version.map(|text| Error::invalid(&path.key(&version), text, "must be \"latest\" or \"v1.x\"")),
        );
    }
    errors
}
