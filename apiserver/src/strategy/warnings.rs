//! Texts for Warning headers: what is taken, but will not do what it looks like.

mod address;
mod labels;
pub(crate) mod objects;
mod spec;
#[cfg(test)]
mod tests;
mod volumes;

use mainstay_api::field::go_quote;
use mainstay_api::{meta, names};
use serde_json::Value;

use super::validate::{At, pod_annotations};

/// Warnings of a new pod; people rarely change pods, so no change is looked at.
pub(crate) fn pod(new: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let texts = names::is_dns1123_label(meta::name(new));
    if !texts.is_empty() && !meta::name(new).is_empty() {
        warnings.push(format!("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]", texts.join(" ")));
    }
    app_armor(new, &mut warnings);
    spec::spec(&At::spec(new), &At::root(new).get("metadata"), false, &mut warnings);
    warnings
}

/// Warnings of the addresses in a pod's status.
pub(crate) fn pod_status(new: &Value) -> Vec<String> {
    let status = At::root(new).get("status");
    let lists = ["podIPs", "hostIPs"].into_iter().flat_map(|list| status.get(list).items());
    lists.filter_map(|at| address::ip(&at.get("ip"))).collect()
}

/// Annotations of a pod about AppArmor: they have become a field of the container, or cannot.
fn app_armor(pod: &Value, out: &mut Vec<String>) {
    let annotations = At::root(pod).get("metadata").get("annotations");
    let whole = At::spec(pod).get("securityContext").get("appArmorProfile");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for at in At::spec(pod).get(list).items() {
            let key = format!("{}{}", spec::APP_ARMOR, at.get("name").str());
            let own = at.get("securityContext").get("appArmorProfile");
            let Some(said) = annotations.opt(&key) else { continue };
            let became = match pod_annotations::app_armor_profile(said.str()) {
                None => own.is_null(),
                Some(profile) => *own.value == profile && profile != *whole.value,
            };
            if became {
                out.push(format!("{}: {}", annotations.path.key(&key), spec::APP_ARMOR_TEXT));
            }
        }
    }
}

/// Warnings of the template at `path`, if anything that is wanted has changed.
pub(crate) fn template(path: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    if !has_moved(path, new, old) {
        return Vec::new();
    }
    let mut at = At::root(new);
    for step in path.split('.') {
        at = at.get(step);
    }
    let mut warnings = Vec::new();
    spec::spec(&at.get("spec"), &at.get("metadata"), true, &mut warnings);
    warnings
}

/// Whether anything that is wanted has changed; without a generation, whether the template at `path` has.
fn has_moved(path: &str, new: &Value, old: Option<&Value>) -> bool {
    let pointer = format!("/{}", path.replace('.', "/"));
    old.is_none_or(|old| match meta::generation(new) {
        0 => old.pointer(&pointer) != new.pointer(&pointer),
        now => now != meta::generation(old),
    })
}

/// Warnings of a workload of which the name becomes part of the names of its pods, and of its template.
pub(crate) fn workload(path: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() {
        let texts = names::is_dns1123_label(meta::name(new));
        if !texts.is_empty() {
            warnings.push(format!("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]", texts.join(" ")));
        }
    }
    warnings.extend(indexes(path, new).filter(|_| has_moved(path, new, old)));
    warnings.extend(template(path, new, old));
    warnings
}

/// A job of very many pods with an index each.
fn indexes(path: &str, new: &Value) -> Option<String> {
    let job = path.strip_suffix(".template")?;
    let at = job.split('.').fold(At::root(new), |at, step| at.get(step));
    let many = at.get("completionMode").str() == "Indexed"
        && at.get("completions").int() > 100_000
        && at.get("parallelism").int() > 10_000;
    many.then(|| format!("{job}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"))
}

/// Warnings of a StatefulSet.
pub(crate) fn stateful_set(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = template("spec.template", new, old);
    let spec = At::spec(new);
    for claim in spec.get("volumeClaimTemplates").items() {
        // Kubernetes names one place for a claim of a new set and another for one of a changed set; neither is right.
        let path = if old.is_none() { claim.path.clone() } else { claim.path.child("Spec") };
        volumes::claim(&At::new(claim.get("spec").value, path), &mut warnings);
    }
    if spec.get("revisionHistoryLimit").int() < 0 {
        warnings.push(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
                .to_owned(),
        );
    }
    warnings
}

/// An amount of bytes that is no whole number.
fn quantity(list: &At<'_>, resource: &str, out: &mut Vec<String>) {
    let at = list.get(resource);
    // Kubernetes counts thousandths in 64 bits, in which amounts beyond them look broken as well.
    if !at.is_null() && (!at.quantity().is_integer() || !at.quantity().fits_i64()) {
        out.push(format!(
            "{}: fractional byte value {} is invalid, must be an integer",
            list.path.key(resource),
            go_quote(&at.quantity().to_string())
        ));
    }
}
