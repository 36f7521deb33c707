//! Annotations of pods that mean something, and must agree with the fields that have followed them.

use mainstay_api::field::Error;
use mainstay_api::names;

use super::{At, Errors, annotated, gates};

const MIRROR: &str = "kubernetes.io/config.mirror";
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// What the annotations about containers' AppArmor profiles start with.
pub(crate) const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The annotations of a pod or of a template.
pub(crate) fn annotations(list: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    if let Some(mirror) = list.opt(MIRROR)
        && spec.get("nodeName").is_empty()
    {
        let why = "must set spec.nodeName if mirror pod annotation is set";
        errors.0.push(Error::invalid(&list.path.key(MIRROR), mirror.value.clone(), why));
    }
    tolerations(list, errors);
    if let Some(cost) = list.opt(DELETION_COST)
        && !is_cost(cost.str())
    {
        errors.0.push(Error::invalid(&list.path.key(DELETION_COST), cost.str(), "must be a 32bit integer"));
    }
    let of_pod = list.opt(SECCOMP).map(|at| (SECCOMP, at));
    for (key, at) in of_pod.into_iter().chain(list.entries().filter(|(key, _)| key.starts_with(SECCOMP_CONTAINER))) {
        seccomp(&At::new(at.value, list.path.child(key)), errors);
    }
    for (key, at) in list.entries() {
        if let Some(container) = key.strip_prefix(APP_ARMOR) {
            app_armor(&at, container, spec, errors);
        }
    }
}

fn tolerations(list: &At<'_>, errors: &mut Errors) {
    let text = list.get(TOLERATIONS).str();
    if text.is_empty() {
        return;
    }
    match annotated::read(text, &annotated::TOLERATIONS) {
        Ok(read) => gates::tolerations(&At::new(&read, list.path.child(TOLERATIONS)), errors),
        Err(why) => errors.0.push(Error::invalid(&list.path, TOLERATIONS, why)),
    }
}

/// A number of 32 bits without a plus or zeros before it; what follows a minus is as good as any number.
fn is_cost(text: &str) -> bool {
    let plain = text == "0" || text.starts_with(|first: char| matches!(first, '-' | '1'..='9'));
    plain && text.parse::<i32>().is_ok()
}

fn seccomp(at: &At<'_>, errors: &mut Errors) {
    if let Some(path) = at.str().strip_prefix("localhost/") {
        let shown = serde_json::Value::from(path);
        super::paths::descending_path(&At::new(&shown, at.path.clone()), errors);
    } else if !matches!(at.str(), "runtime/default" | "docker/default" | "unconfined") {
        errors.invalid(at, "must be a valid seccomp profile");
    }
}

fn app_armor(at: &At<'_>, container: &str, spec: &At<'_>, errors: &mut Errors) {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let known = lists.iter().flat_map(|list| spec.get(list).items()).any(|at| at.get("name").str() == container);
    if !known {
        errors.0.push(Error::invalid(&at.path, container, "container not found"));
    }
    let profile = at.str();
    if !matches!(profile, "" | "runtime/default" | "unconfined") && !profile.starts_with("localhost/") {
        let why = format!("invalid AppArmor profile name: {}", mainstay_api::field::go_quote(profile));
        errors.invalid(at, why);
    }
}

/// The field that an annotation about AppArmor stands for, if it makes sense.
pub(crate) fn app_armor_profile(annotation: &str) -> Option<serde_json::Value> {
    match annotation {
        "unconfined" => Some(serde_json::json!({"type": "Unconfined"})),
        "runtime/default" => Some(serde_json::json!({"type": "RuntimeDefault"})),
        _ => {
            let local = annotation.strip_prefix("localhost/")?;
            let good = !local.is_empty() && local.trim() == local && local.len() <= 4095;
            good.then(|| serde_json::json!({"type": "Localhost", "localhostProfile": local}))
        }
    }
}

/// Annotations that say what a field says too must say the same.
pub(crate) fn agree_with_fields(list: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let context = spec.get("securityContext");
    if let Some(annotation) = list.opt(SECCOMP) {
        same(annotation.str(), &context.get("seccompProfile"), "seccomp", errors);
    }
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers: Vec<At<'_>> = lists.iter().flat_map(|list| spec.get(list).items()).collect();
    for container in &containers {
        let own = container.get("securityContext");
        if let Some(annotation) = list.opt(&format!("{SECCOMP_CONTAINER}{}", container.get("name").str())) {
            same(annotation.str(), &own.get("seccompProfile"), "seccomp", errors);
        }
    }
    if spec.get("os").get("name").str() == "windows" {
        return;
    }
    for container in &containers {
        let own = container.get("securityContext").get("appArmorProfile");
        let profile = if own.is_null() { At::new(context.get("appArmorProfile").value, own.path) } else { own };
        if let Some(annotation) = list.opt(&format!("{APP_ARMOR}{}", container.get("name").str())) {
            same(annotation.str(), &profile, "apparmor", errors);
        }
    }
}

fn same(annotation: &str, profile: &At<'_>, what: &str, errors: &mut Errors) {
    let local = annotation.strip_prefix("localhost/");
    let agrees = match profile.get("type").str() {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => annotation == "runtime/default" || (what == "seccomp" && annotation == "docker/default"),
        "Localhost" => local.is_some(),
        _ => true,
    };
    if !agrees {
        let why = format!("{what} type in annotation and field must match");
        errors.forbidden(&profile.get("type"), why);
    } else if profile.get("type").str() == "Localhost" && local != profile.get("localhostProfile").value.as_str() {
        let why = format!("{what} profile in annotation and field must match");
        errors.forbidden(&profile.get("localhostProfile"), why);
    }
}

/// What of them an update may not change.
pub(crate) fn changes(new: &At<'_>, old: &At<'_>, errors: &mut Errors) {
    let fixed = |key: &str| key.starts_with(APP_ARMOR) || key == MIRROR;
    let what = |key: &str| if key == MIRROR { "mirror pod annotation" } else { "AppArmor annotations" };
    for (key, was) in old.entries().filter(|(key, _)| fixed(key)) {
        if new.get(key).value != was.value {
            let at = At::new(new.value, new.path.key(key));
            errors.forbidden(&at, format!("may not remove or update {}", what(key)));
        }
    }
    for (key, _) in new.entries().filter(|(key, _)| fixed(key)) {
        if old.opt(key).is_none() {
            errors.forbidden(&At::new(new.value, new.path.key(key)), format!("may not add {}", what(key)));
        }
    }
}

/// Conditions of a pod that are not the system's have qualified names.
pub(crate) fn conditions(list: &At<'_>, errors: &mut Errors) {
    for condition in list.items() {
        let (kind, generation) = (condition.get("type").str(), condition.get("observedGeneration"));
        if generation.int() < 0 {
            errors.invalid(&generation, "must be a non-negative integer");
        }
        if matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            continue;
        }
        for text in names::is_qualified_name(kind) {
            errors.0.push(Error::invalid(&condition.path.child("Type"), kind, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cost_has_no_plus_and_no_zeros_before_it() {
        for good in ["0", "10", "-1", "-0", "-05", "-2147483648"] {
            assert!(is_cost(good), "{good}");
        }
        for bad in ["", "-", "+1", "05", "1.0", "2147483648"] {
            assert!(!is_cost(bad), "{bad}");
        }
    }

    #[test]
    fn tolerations_of_old_are_judged_as_those_of_the_field() {
        let told = |text: &str| -> Vec<String> {
            let (list, spec) = (json!({TOLERATIONS: text}), json!({}));
            let list = At::new(&list, mainstay_api::field::Path::new("metadata").child("annotations"));
            let mut errors = Errors::default();
            annotations(&list, &At::root(&spec), &mut errors);
            errors.0.iter().map(ToString::to_string).collect()
        };
        assert!(told("").is_empty());
        assert!(told(r#"[{"key": "a", "operator": "Exists"}]"#).is_empty());
        assert_eq!(
            told("x"),
            [
                "metadata.annotations: Invalid value: \"scheduler.alpha.kubernetes.io/tolerations\": invalid character 'x' \
                 looking for beginning of value"
            ]
        );
        let told = told(r#"[{"key": "a", "operator": "Odd"}]"#);
        let place =
            "metadata.annotations.scheduler.alpha.kubernetes.io/tolerations[0].operator: Unsupported value: \"Odd\"";
        assert!(told.len() == 1 && told[0].starts_with(place), "{told:?}");
    }
}
