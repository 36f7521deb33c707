//! Containers, init containers and ephemeral containers.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use super::volume_mounts::{self, Volumes};
use super::{At, Errors, env, pod_claims, probes, resources, security};

const NO_POLICY: &str = "must specify restartPolicy when restart rules are used";
const NOT_INIT: &str = "may not be set for init containers without restartPolicy=Always";

/// The containers of a pod, of all three kinds.
pub(crate) fn all(spec: &At<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let grace = spec.get("terminationGracePeriodSeconds").int();
    regular(spec, volumes, grace, errors);
    init(spec, volumes, grace, errors);
    ephemeral(spec, volumes, errors);
}

/// The containers of all kinds, in the order in which Kubernetes visits them.
pub(crate) fn every<'a>(spec: &At<'a>) -> impl Iterator<Item = At<'a>> + use<'a> {
    let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| spec.get(list));
    lists.into_iter().flat_map(|list| list.items())
}

/// What an image's name may be in a pod, and still be anything in a template.
pub(crate) fn trimmed_image(container: &At<'_>, errors: &mut Errors) {
    let image = container.get("image");
    if image.str().trim() != image.str() {
        errors.invalid(&image, "must not have leading or trailing whitespace");
    }
}

fn regular(spec: &At<'_>, volumes: &Volumes<'_>, grace: i64, errors: &mut Errors) {
    let list = spec.get("containers");
    if list.is_empty() {
        errors.required(&list, "");
        return;
    }
    let mut seen = HashSet::new();
    for at in list.items() {
        container(&at, spec, volumes, errors);
        unique_name(&at, &mut seen, errors);
        if let Some(lifecycle) = at.opt("lifecycle") {
            probes::lifecycle(&lifecycle, grace, spec, errors);
        }
        probes::probes(&at, errors);
        restart_policy(&at, errors);
    }
    let ports = list.items().flat_map(|container| container.get("ports").items().collect::<Vec<_>>());
    host_port_conflicts(ports, errors);
}

fn init(spec: &At<'_>, volumes: &Volumes<'_>, grace: i64, errors: &mut Errors) {
    let mut seen: HashSet<&str> = spec.get("containers").items().map(|at| at.get("name").str()).collect();
    for at in spec.get("initContainers").items() {
        container(&at, spec, volumes, errors);
        if !at.get("restartPolicy").is_null() {
            restart_policy(&at, errors);
        } else if !at.get("restartPolicyRules").is_empty() {
            errors.required(&at.get("restartPolicy"), NO_POLICY);
        }
        if seen.contains("") || !at.get("name").is_empty() {
            unique_name(&at, &mut seen, errors);
        }
        // They run one by one; errors call each of them the first.
        let first = spec.get("initContainers").path.index(0).child("ports");
        host_port_conflicts(At::new(at.get("ports").value, first).items(), errors);
        if at.get("restartPolicy").str() == "Always" {
            if let Some(lifecycle) = at.opt("lifecycle") {
                probes::lifecycle(&lifecycle, grace, spec, errors);
            }
            probes::probes(&at, errors);
        } else {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if let Some(field) = at.opt(field) {
                    errors.forbidden(&field, NOT_INIT);
                }
            }
            no_restart_on_resize(&at.get("resizePolicy"), errors);
        }
    }
}

/// A container that has ended is not started again for the sake of its resources.
fn no_restart_on_resize(list: &At<'_>, errors: &mut Errors) {
    for policy in list.items().map(|at| at.get("restartPolicy")).filter(|at| at.str() == "RestartContainer") {
        errors.invalid(&policy, "must not be set to 'RestartContainer' for non-sidecar initContainers");
    }
}

fn known_restart(at: &At<'_>) -> bool {
    matches!(at.get("restartPolicy").str(), "Always" | "Never" | "OnFailure")
}

fn restart_policy(at: &At<'_>, errors: &mut Errors) {
    let (policy, rules) = (at.get("restartPolicy"), at.get("restartPolicyRules"));
    if policy.is_null() && !rules.is_empty() {
        errors.required(&policy, NO_POLICY);
    }
    if !policy.is_null() && !known_restart(at) {
        errors.unsupported(&policy, &["Always", "Never", "OnFailure"]);
    }
    at_most(&rules, 20, errors);
    rules.items().for_each(|rule| restart_rule(&rule, errors));
}

/// What happens to a container that ends with certain codes.
fn restart_rule(rule: &At<'_>, errors: &mut Errors) {
    const ACTIONS: &[&str] = &["Restart", "RestartAllContainers"];
    let action = rule.get("action");
    if !ACTIONS.contains(&action.str()) {
        errors.unsupported(&At::new(&Value::from(action.str()), action.path), ACTIONS);
    }
    let Some(codes) = rule.opt("exitCodes") else {
        errors.required(&rule.get("exitCodes"), "must be specified");
        return;
    };
    let operator = codes.get("operator");
    if !matches!(operator.str(), "In" | "NotIn") {
        errors.unsupported(&At::new(&Value::from(operator.str()), operator.path), &["In", "NotIn"]);
    }
    at_most(&codes.get("values"), 255, errors);
}

fn at_most(list: &At<'_>, max: i64, errors: &mut Errors) {
    let found = i64::try_from(list.len()).unwrap_or(i64::MAX);
    if found > max {
        errors.0.push(Error::too_many(&list.path, found, max));
    }
}

/// Fields of an ephemeral container that are not for it, in the order of the struct.
const NOT_EPHEMERAL: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

fn ephemeral(spec: &At<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    const WHY: &str = "cannot be set for an Ephemeral Container";
    let others: HashSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| spec.get(list).items())
        .map(|at| at.get("name").str())
        .collect();
    let mut seen = others.clone();
    for at in spec.get("ephemeralContainers").items() {
        container(&at, spec, volumes, errors);
        trimmed_image(&at, errors);
        unique_name(&at, &mut seen, errors);
        let target = at.get("targetContainerName");
        if !target.str().is_empty() && !others.contains(target.str()) {
            errors.0.push(Error::not_found(&target.path, target.str()));
        }
        for field in NOT_EPHEMERAL {
            // A lifecycle is there even if there is nothing in it.
            if let Some(found) = at.opt(field).filter(|found| *field == "lifecycle" || !found.is_empty()) {
                errors.forbidden(&found, WHY);
            }
        }
        for mount in at.get("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.get(field).str().is_empty() {
                    errors.forbidden(&mount.get(field), WHY);
                }
            }
        }
    }
}

fn unique_name<'a>(at: &At<'a>, seen: &mut HashSet<&'a str>, errors: &mut Errors) {
    let name = at.get("name");
    if !seen.insert(name.str()) {
        errors.0.push(Error::duplicate(&name.path, name.str()));
    }
}

/// What containers of all kinds have in common.
fn container(at: &At<'_>, spec: &At<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    errors.name(&at.get("name"), names::is_dns1123_label);
    let image = at.get("image");
    errors.needed(&image);
    errors.one_of(&at.get("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"]);
    ports(&at.get("ports"), errors);
    env::variables(&at.get("env"), errors);
    env::sources(&at.get("envFrom"), errors);
    volume_mounts::mounts(at, volumes, errors);
    volume_mounts::devices(at, volumes, errors);
    errors.one_of(&at.get("imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    resources::container_resources(&at.get("resources"), errors);
    pod_claims::used(&at.get("resources").get("claims"), &spec.get("resourceClaims"), errors);
    resize_policy(&at.get("resizePolicy"), spec, errors);
    let host_users = spec.opt("hostUsers").is_none_or(|at| at.bool());
    security::container(&at.get("securityContext"), host_users, errors);
}

fn ports(list: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for at in list.items() {
        let (name, port, host, protocol) =
            (at.get("name"), at.get("containerPort"), at.get("hostPort"), at.get("protocol"));
        if !name.str().is_empty() {
            let texts = names::is_port_name(name.str());
            if texts.is_empty() && !seen.insert(name.str()) {
                errors.duplicate(&name);
            }
            errors.each(&name, texts);
        }
        if port.int() == 0 {
            errors.required(&port, "");
        } else {
            errors.in_range_port(&port);
        }
        if host.int() != 0 {
            errors.in_range_port(&host);
        }
        errors.one_of(&protocol, &["SCTP", "TCP", "UDP"]);
    }
}

fn host_port_conflicts<'a>(ports: impl Iterator<Item = At<'a>>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for port in ports {
        let host = port.get("hostPort");
        if host.int() == 0 {
            continue;
        }
        let taken = format!("{}/{}/{}", port.get("protocol").str(), port.get("hostIP").str(), host.int());
        if !seen.insert(taken.clone()) {
            errors.0.push(Error::duplicate(&host.path, taken));
        }
    }
}

fn resize_policy(list: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for at in list.items() {
        let (resource, policy) = (at.get("resourceName"), at.get("restartPolicy"));
        if !seen.insert(resource.str()) {
            errors.0.push(Error::duplicate(&at.path, resource.str()));
        }
        let here = |value: &At<'_>| value.value.clone();
        match resource.str() {
            "cpu" | "memory" => {}
            "" => errors.required(list, ""),
            _ => errors.0.push(Error::not_supported(&list.path, here(&resource), &["cpu", "memory"])),
        }
        match policy.str() {
            "NotRequired" | "RestartContainer" => {}
            "" => errors.required(list, ""),
            _ => errors.0.push(Error::not_supported(&list.path, here(&policy), &["NotRequired", "RestartContainer"])),
        }
        if spec.get("restartPolicy").str() == "Never" && policy.str() != "NotRequired" {
            errors.0.push(Error::invalid(
                &list.path,
                policy.str(),
                "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
            ));
        }
    }
}
