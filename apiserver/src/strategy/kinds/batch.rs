//! Jobs and CronJobs.

mod cron;
mod indexes;
mod policies;
mod status;

use mainstay_api::field::{Error, ErrorList};
use mainstay_api::selector::LabelSelector;
use mainstay_api::{meta, names};
use serde_json::{Value, json};

use crate::engine::options::DeleteOptions;
use crate::strategy::rules::Rules;
use crate::strategy::validate::{At, Errors, selectors, template};
use crate::strategy::{Context, Strategy, base, warnings};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
/// Of a CronJob's name.
const LONGEST_NAME: usize = 52;

/// Jobs: selector and labels are made from the job's uid.
pub(crate) struct Job;

impl Strategy for Job {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        base::set(obj, "/status", json!({}));
        if obj.pointer("/spec/manualSelector").and_then(Value::as_bool) != Some(true) {
            generate(obj);
        }
    }

    /// A job without labels of its own carries those of its pods.
    fn complete(&self, obj: &mut Value) {
        if meta::labels(obj).is_none_or(serde_json::Map::is_empty)
            && let Some(labels) = obj.pointer("/spec/template/metadata/labels").cloned()
        {
            meta::set(obj, "labels", labels);
        }
    }

    fn delete_warnings(&self, options: &DeleteOptions) -> Vec<String> {
        if options.propagation.is_some() {
            return Vec::new();
        }
        let text = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";
        vec![text.to_owned()]
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors(base::finalizer_errors(obj));
        whole(obj, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors::default();
        if cx.subresource == "status" {
            errors.extend(base::meta_update_errors(new, old));
            status::validate(new, old, &mut errors);
            return errors.0;
        }
        // Kubernetes judges the job as such, and then its spec once more as part of the comparison.
        errors.extend(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
        whole(new, &mut errors);
        errors.extend(base::meta_update_errors(new, old));
        job(&At::spec(new), &mut errors);
        changes(new, old, &mut errors);
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, old: Option<&Value>) -> Vec<String> {
        if cx.subresource.is_empty() { warnings::workload("spec.template", new, old) } else { Vec::new() }
    }
}

fn generate(obj: &mut Value) {
    let (uid, name) = (meta::uid(obj).to_owned(), meta::name(obj).to_owned());
    for (key, value) in [("controller-uid", &uid), (UID_LABEL, &uid), ("job-name", &name), (NAME_LABEL, &name)] {
        let Some(template) = obj.pointer_mut("/spec/template") else { break };
        if meta::label(template, key).is_none() {
            meta::set_label(template, key, value);
        }
    }
    if !obj.pointer("/spec/selector").is_some_and(Value::is_object) {
        base::set(obj, "/spec/selector", json!({}));
    }
    if let Some(selector) = obj.pointer_mut("/spec/selector") {
        if !selector.get("matchLabels").is_some_and(Value::is_object) {
            selector["matchLabels"] = json!({});
        }
        if selector["matchLabels"].get(UID_LABEL).is_none() {
            selector["matchLabels"][UID_LABEL] = uid.into();
        }
    }
}

/// Everything but the metadata.
fn whole(obj: &Value, errors: &mut Errors) {
    generated_errors(obj, errors);
    job(&At::spec(obj), errors);
    index_names(obj, errors);
}

/// A selector that was to be generated chooses the job's own pods by what was generated.
fn generated_errors(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let selector = spec.get("selector");
    if spec.get("manualSelector").bool() || selector.is_null() {
        return;
    }
    let labels = spec.get("template").get("metadata").get("labels");
    let (uid, name) = (meta::uid(obj), meta::name(obj));
    let wanted = [("controller-uid", uid), ("job-name", name), (UID_LABEL, uid), (NAME_LABEL, name)];
    for (key, wanted) in wanted {
        let (path, why) = (labels.path.key(key), format!("must be '{wanted}'"));
        match labels.opt(key) {
            None => errors.0.push(Error::required(&path, why)),
            Some(label) if label.str() == wanted => {}
            Some(_) => errors.0.push(Error::invalid(&path, labels.value.clone(), why)),
        }
    }
    let own = json!({"metadata": {"labels": wanted.into_iter().collect::<std::collections::BTreeMap<_, _>>()}});
    if LabelSelector::from_object(selector.value).is_ok_and(|parsed| !parsed.matches_object(&own)) {
        errors.invalid(&selector, "`selector` not auto-generated");
    }
}

/// The pods of an indexed job are named by their indexes, of which the last makes the longest name.
fn index_names(obj: &Value, errors: &mut Errors) {
    let (spec, name) = (At::spec(obj), meta::name(obj));
    let completions = spec.get("completions").int();
    if spec.get("completionMode").str() != "Indexed" || completions <= 0 {
        return;
    }
    let last = format!("{name}-{}", completions - 1);
    if !names::is_dns1123_label(&last).is_empty() {
        let why = format!("will not able to create pod with invalid DNS label: {last}");
        errors.invalid(&At::root(obj).get("metadata").get("name"), why);
    }
}

fn job(spec: &At<'_>, errors: &mut Errors) {
    numbers(spec, errors);
    if spec.opt("selector").is_none() {
        errors.required(&spec.get("selector"), "");
    } else {
        selectors::label_selector(&spec.get("selector"), errors);
    }
    template_labels(spec, errors);
}

/// The parts that a job has in common with a CronJob's template.
fn numbers(spec: &At<'_>, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        errors.non_negative(&spec.get(field));
    }
    if spec.opt("maxFailedIndexes").is_some() && spec.opt("backoffLimitPerIndex").is_none() {
        errors.required(&spec.get("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(manager) = spec.opt("managedBy") {
        prefixed_path(&manager, errors);
        if manager.str().len() > 63 {
            errors.0.push(Error::too_long(&manager.path, 63));
        }
    }
    policies::completion(spec, errors);
    policies::failure_policy(spec, errors);
    policies::success_policy(spec, errors);
    let replacement = spec.get("podReplacementPolicy");
    if spec.opt("podFailurePolicy").is_some() {
        errors.one_of_if_set(&replacement, &["Failed"]);
    } else {
        errors.one_of_if_set(&replacement, &["Failed", "TerminatingOrFailed"]);
    }
    pods(&spec.get("template"), errors);
    let restarts = spec.get("template").get("spec").get("restartPolicy");
    if spec.opt("podFailurePolicy").is_some() && matches!(restarts.str(), "OnFailure") {
        errors.invalid(&restarts, "only \"Never\" is supported when podFailurePolicy is specified");
    }
}

fn pods(pods: &At<'_>, errors: &mut Errors) {
    template::template(pods, errors);
    let policy = pods.get("spec").get("restartPolicy");
    match policy.str() {
        "OnFailure" | "Never" => {}
        "" | "Always" => errors.required(&policy, "valid values: \"OnFailure\", \"Never\""),
        _ => errors.unsupported(&policy, &["OnFailure", "Never"]),
    }
}

fn template_labels(spec: &At<'_>, errors: &mut Errors) {
    if let Ok(selector) = LabelSelector::from_object(spec.get("selector").value)
        && !selector.matches_object(spec.get("template").value)
    {
        errors.invalid(
            &spec.get("template").get("metadata").get("labels"),
            "`selector` does not match template `labels`",
        );
    }
}

/// `example.com/path`.
pub(crate) fn prefixed_path(at: &At<'_>, errors: &mut Errors) {
    const SHAPE: &str = "must be a domain-prefixed path (such as \"acme.io/foo\")";
    const PATH: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
    match at.str().split_once('/') {
        _ if at.str().is_empty() => errors.required(at, ""),
        Some((host, path)) if !host.is_empty() && !path.is_empty() => {
            for why in names::is_dns1123_subdomain(host) {
                errors.0.push(Error::invalid(&at.path, host, why));
            }
            if !path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c)) {
                errors.0.push(Error::invalid(&at.path, path, names::regex_error("Invalid path", PATH, &[])));
            }
        }
        _ => errors.invalid(at, SHAPE),
    }
}

fn changes(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    completions(&now, &was, errors);
    errors.immutable(&now.get("selector"), &was.get("selector"));
    template_change(&now.get("template"), &was.get("template"), rests(old), errors);
    errors.immutable(&now.get("completionMode"), &was.get("completionMode"));
    let policy = "podFailurePolicy";
    errors.immutable_struct(&now.get(policy), &was.get(policy), "io.k8s.api.batch.v1.PodFailurePolicy");
    for field in ["backoffLimitPerIndex", "managedBy"] {
        errors.immutable(&now.get(field), &was.get(field));
    }
    let policy = "successPolicy";
    errors.immutable_struct(&now.get(policy), &was.get(policy), "io.k8s.api.batch.v1.SuccessPolicy");
}

/// An indexed job may grow and shrink as long as all of its pods run at once.
fn completions(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let (count, before) = (now.get("completions"), was.get("completions"));
    if now.get("completionMode").str() != "Indexed" {
        errors.immutable(&count, &before);
    } else if !count.is_null() && count.value != before.value && count.value != now.get("parallelism").value {
        errors.invalid(&count, "can only be modified in tandem with spec.parallelism");
    }
}

/// Whether nothing of a suspended job runs: it has not begun, or is known to be suspended.
fn rests(job: &Value) -> bool {
    let status = At::root(job).get("status");
    At::spec(job).get("suspend").bool()
        && status.get("active").int() == 0
        && (status.get("startTime").is_null() || status::has(&status, "Suspended"))
}

/// The template stays as it is, but for where the pods of a job that rests run, and what they need there.
fn template_change(now: &At<'_>, was: &At<'_>, rests: bool, errors: &mut Errors) {
    if rests {
        let before = with_directives(was.value, now.value);
        let before = At::root(&before).get("spec");
        errors.immutable_struct(&now.get("spec"), &before, "io.k8s.api.core.v1.PodSpec");
    } else {
        errors.immutable_struct(now, was, "io.k8s.api.core.v1.PodTemplateSpec");
    }
}

/// The old template with what may change of it. Containers have other resources only if they are the same containers.
fn with_directives(old: &Value, new: &Value) -> Value {
    let mut kept = old.clone();
    for path in [".spec.nodeSelector", ".spec.tolerations", ".spec.schedulingGates", ".spec.affinity.nodeAffinity"] {
        base::keep(&mut kept, new, path);
    }
    if new.pointer("/spec/affinity").is_none() && kept.pointer("/spec/affinity") == Some(&json!({})) {
        base::remove(&mut kept, ".spec.affinity");
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        let olds = kept.pointer_mut(list).and_then(Value::as_array_mut);
        let news = new.pointer(list).and_then(Value::as_array);
        if let (Some(olds), Some(news)) = (olds, news)
            && olds.len() == news.len()
        {
            let same = olds.iter_mut().zip(news).filter(|(old, new)| old["name"] == new["name"]);
            same.for_each(|(old, new)| base::keep(old, new, ".resources"));
        }
    }
    kept
}

/// CronJobs.
pub(crate) const CRON_JOB: Rules = Rules {
    check: |_, obj, errors| cron_job(obj, errors),
    status_meta: false,
    warn: |new, old| warnings::workload("spec.jobTemplate.spec.template", new, old),
    ..Rules::PLAIN
};

fn cron_job(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    cron::schedule(&spec.get("schedule"), errors);
    errors.non_negative(&spec.get("startingDeadlineSeconds"));
    if let Some(zone) = spec.opt("timeZone") {
        cron::time_zone(&zone, errors);
    }
    errors.one_of(&spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"]);
    let job = spec.get("jobTemplate").get("spec");
    numbers(&job, errors);
    if let Some(selector) = job.opt("selector") {
        errors.invalid(&selector, "`selector` will be auto-generated");
    }
    let manual = job.get("manualSelector");
    if manual.bool() {
        errors.unsupported(&manual, &["nil", "false"]);
    }
    errors.non_negative(&spec.get("successfulJobsHistoryLimit"));
    errors.non_negative(&spec.get("failedJobsHistoryLimit"));
    // A job's name is that of its CronJob with the minute, and the job's pods are labeled with it.
    let name = At::root(obj).get("metadata").get("name");
    if name.str().len() > LONGEST_NAME {
        errors.invalid(&name, names::max_length_error(LONGEST_NAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(now: &Value, was: &Value, status: &Value) -> Vec<String> {
        let job = |pod: &Value| json!({"spec": {"suspend": true, "template": {"spec": pod}}, "status": status});
        let mut errors = Errors::default();
        changes(&job(now), &job(was), &mut errors);
        errors.0.iter().map(|error| error.field.clone()).collect()
    }

    #[test]
    fn a_job_gets_the_labels_of_its_pods_when_it_is_complete() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"metadata": {}}}});
        crate::strategy::testing::context("batch", "jobs", |cx| Job.prepare_create(cx, &mut job));
        assert!(meta::labels(&job).is_none());
        Job.complete(&mut job);
        assert_eq!(job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]);
        assert_eq!(job["metadata"]["labels"]["job-name"], "j");
    }

    #[test]
    fn a_path_after_a_domain_is_one_of_http() {
        let judge = |text: &str| {
            let mut errors = Errors::default();
            prefixed_path(&At::root(&json!(text)), &mut errors);
            errors.0.iter().map(Error::body).collect::<Vec<_>>()
        };
        assert!(judge("example.com/a.b/c").is_empty());
        assert_eq!(
            judge("example.com/a b"),
            [r#"Invalid value: "a b": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"#]
        );
    }

    #[test]
    fn a_job_that_rests_may_get_other_resources_and_nodes() {
        let pod = |name: &str, cpu: &str, image: &str| {
            json!({"nodeSelector": {"cpu": cpu}, "containers": [
                {"name": name, "image": image, "resources": {"requests": {"cpu": cpu}}},
            ]})
        };
        let was = pod("c", "1", "i");
        assert!(judge(&pod("c", "2", "i"), &was, &json!({})).is_empty());
        assert_eq!(judge(&pod("c", "1", "j"), &was, &json!({})), ["spec.template.spec"]);
        assert_eq!(judge(&pod("d", "2", "i"), &was, &json!({})), ["spec.template.spec"]);
        let began = json!({"startTime": "2026-01-01T00:00:00Z"});
        assert_eq!(judge(&pod("c", "2", "i"), &was, &began), ["spec.template"]);
        let known = json!({"startTime": began["startTime"], "conditions": [{"type": "Suspended", "status": "True"}]});
        assert!(judge(&pod("c", "2", "i"), &was, &known).is_empty());
        assert_eq!(judge(&pod("c", "2", "i"), &was, &json!({"active": 1})), ["spec.template"]);
    }
}
