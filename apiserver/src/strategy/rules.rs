//! A strategy as a row: the rules of a kind that needs no steps of its own.

use mainstay_api::field::ErrorList;
use mainstay_api::names;
use serde_json::Value;

use super::validate::{At, Errors};
use super::{Context, Strategy, base};

/// Judges an object.
pub(crate) type Check = fn(&Context<'_>, &Value, &mut Errors);
/// Judges a change; the new object comes first.
pub(crate) type Compare = fn(&Context<'_>, &Value, &Value, &mut Errors);

/// What is particular to a kind, with defaults for what is not.
pub(crate) struct Rules {
    /// The rules of an object, new or changed.
    pub check: Check,
    /// The rules of a change in addition; they come after those of the object.
    pub change: Compare,
    /// The rules of a change of the status, instead of both.
    pub status: Compare,
    /// Whether the metadata is judged once more beside a change of the status.
    pub status_meta: bool,
    /// What a name looks like.
    pub names: fn(&str, bool) -> Vec<String>,
    /// Whether a name of which only the beginning is given is made unlike all others.
    pub draws_names: bool,
    /// What the server itself fills in or tidies up in a written object.
    pub tidy: fn(&Context<'_>, &mut Value),
    /// What the server keeps in a written object beside its old state; the last step of the preparation.
    pub settle: fn(&mut Value, Option<&Value>),
    /// Texts for Warning headers.
    pub warn: fn(&Value, Option<&Value>) -> Vec<String>,
    /// The same for a change of the status: of the rest the writer says nothing.
    pub warn_status: fn(&Value) -> Vec<String>,
    /// What judges a change, in the order in which Kubernetes does; its errors are told as often as it finds them.
    pub parts: &'static [Part],
    /// Whether the names of finalizers are judged. Kubernetes does not where it judges metadata as any API server
    /// would, or not at all.
    pub finalizers: bool,
}

/// A part of judging a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The metadata for itself.
    Meta,
    /// The metadata beside the old.
    MetaUpdate,
    /// [`Rules::check`].
    Check,
    /// [`Rules::change`].
    Change,
}

/// Kinds that judge the object before they compare it with the old.
pub(crate) const CHECK_FIRST: &[Part] = &[Part::Meta, Part::Check, Part::MetaUpdate, Part::Change];
/// Kinds that compare first, and judge the object whole at the end.
pub(crate) const CHANGE_FIRST: &[Part] = &[Part::MetaUpdate, Part::Change, Part::Meta, Part::Check];

impl Rules {
    /// No rules.
    pub const PLAIN: Self = Self {
        check: |_, _, _| {},
        change: |_, _, _, _| {},
        status: |_, _, _, _| {},
        status_meta: true,
        names: subdomain,
        draws_names: true,
        tidy: |_, _| {},
        settle: |_, _| {},
        warn: |_, _| Vec::new(),
        warn_status: |_| Vec::new(),
        parts: &[Part::MetaUpdate, Part::Check, Part::Change],
        finalizers: true,
    };

    fn finalizer_errors(&self, obj: &Value) -> ErrorList {
        if self.finalizers { base::finalizer_errors(obj) } else { ErrorList::new() }
    }

    fn meta_errors(&self, cx: &Context<'_>, obj: &Value, errors: &mut Errors) {
        errors.extend(base::object_meta_errors(cx, obj, &|name, prefix| (self.names)(name, prefix)));
        errors.extend(self.finalizer_errors(obj));
    }

    fn meta_update_errors(&self, new: &Value, old: &Value, errors: &mut Errors) {
        errors.extend(base::object_meta_update_errors(new, old));
        errors.extend(self.finalizer_errors(new));
    }
}

/// A DNS subdomain, or what may become one.
pub(crate) fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    dns(name, prefix, names::is_dns1123_subdomain)
}

/// A segment of a path: the names of kinds that have no rule of their own.
pub(crate) fn segment(name: &str, prefix: bool) -> Vec<String> {
    names::is_path_segment(name, prefix)
}

/// A DNS label, or what may become one.
pub(crate) fn label(name: &str, prefix: bool) -> Vec<String> {
    dns(name, prefix, names::is_dns1123_label)
}

fn dns(name: &str, prefix: bool, rule: fn(&str) -> Vec<String>) -> Vec<String> {
    if prefix { rule(&names::mask_trailing_dash(name)) } else { rule(name) }
}

impl Strategy for Rules {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        (self.tidy)(cx, obj);
        (self.settle)(obj, None);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        if cx.subresource.is_empty() {
            (self.tidy)(cx, new);
        }
        base::prepare_update(cx, new, old);
        (self.settle)(new, Some(old));
    }

    fn validate_create(&self, cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors::default();
        if !cx.resource.type_name.is_empty() {
            errors.extend(self.finalizer_errors(obj));
        }
        (self.check)(cx, obj, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors::default();
        if cx.subresource == "status" {
            if self.status_meta {
                self.meta_update_errors(new, old, &mut errors);
            }
            (self.status)(cx, new, old, &mut errors);
            return errors.0;
        }
        for part in self.parts {
            match part {
                Part::Meta => self.meta_errors(cx, new, &mut errors),
                Part::MetaUpdate => self.meta_update_errors(new, old, &mut errors),
                Part::Check => (self.check)(cx, new, &mut errors),
                Part::Change => (self.change)(cx, new, old, &mut errors),
            }
        }
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, old: Option<&Value>) -> Vec<String> {
        if cx.subresource == "status" { (self.warn_status)(new) } else { (self.warn)(new, old) }
    }

    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        (self.names)(name, prefix)
    }

    fn draws_names(&self) -> bool {
        self.draws_names
    }
}

/// These fields of the spec have not changed.
pub(crate) fn frozen_spec(new: &Value, old: &Value, fields: &[&str], errors: &mut Errors) {
    let (new, old) = (At::spec(new), At::spec(old));
    fields.iter().for_each(|field| errors.immutable(&new.get(field), &old.get(field)));
}

#[cfg(test)]
mod tests {
    use mainstay_api::resource::Resource;
    use serde_json::json;

    use super::*;
    use crate::strategy::registry::for_resource;
    use crate::strategy::testing;

    /// How often a creation and a change are told of a finalizer without a domain, and of a name with a capital.
    fn told(group: &str, resource: &str) -> [usize; 3] {
        testing::context(group, resource, |cx| {
            let row = Resource { type_name: "T".to_owned(), ..cx.resource.clone() };
            let cx = Context {
                resource: &row,
                subresource: "",
                namespace: cx.namespace,
                name: cx.name,
                user: cx.user,
                now: cx.now,
                reader: cx.reader,
                dry_run: false,
            };
            let strategy = for_resource(&row);
            let old = json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"}, "spec": {}});
            let mut new = old.clone();
            new["metadata"]["finalizers"] = json!(["plain"]);
            let count =
                |errors: ErrorList| errors.iter().filter(|error| error.field == "metadata.finalizers[0]").count();
            [
                count(strategy.validate_create(&cx, &new)),
                count(strategy.validate_update(&cx, &new, &old)),
                strategy.name_errors("A", false).len(),
            ]
        })
    }

    #[test]
    fn some_judge_no_metadata_beside_a_status() {
        let told = |rules: &Rules| {
            testing::context("", "pods", |cx| {
                let cx = Context { subresource: "status", ..*cx };
                let object = json!({"metadata": {"name": "a", "labels": {"k": "a b"}}});
                rules.validate_update(&cx, &object, &object).len()
            })
        };
        assert!(told(&Rules::PLAIN) > 0);
        assert_eq!(told(&Rules { status_meta: false, ..Rules::PLAIN }), 0);
    }

    #[test]
    fn who_writes_a_status_is_warned_of_the_status_alone() {
        let told = |group: &str, resource: &str, subresource: &'static str, object: &Value| {
            testing::context(group, resource, |cx| {
                let cx = Context { subresource, ..*cx };
                for_resource(cx.resource).warnings(&cx, object, Some(object))
            })
        };
        let set = json!({"metadata": {"name": "a", "generation": 1}, "spec": {"revisionHistoryLimit": -1}});
        assert_eq!(told("apps", "statefulsets", "", &set).len(), 1);
        assert_eq!(told("apps", "statefulsets", "status", &set), Vec::<String>::new());
        let ingress = json!({"status": {"loadBalancer": {"ingress": [{"ip": "2001:DB8::1"}]}}});
        let told = told("networking.k8s.io", "ingresses", "status", &ingress);
        assert_eq!(
            told,
            [
                "status.loadBalancer.ingress[0]: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")"
            ]
        );
    }

    #[test]
    fn finalizers_and_names_are_judged_where_kubernetes_does() {
        assert_eq!(told("", "pods"), [1, 2, 1]);
        assert_eq!(told("", "configmaps"), [1, 2, 1]);
        assert_eq!(told("apps", "deployments"), [1, 1, 1]);
        assert_eq!(told("policy", "poddisruptionbudgets"), [0, 0, 0]);
        assert_eq!(told("", "events"), [0, 0, 0]);
        assert_eq!(told("events.k8s.io", "events"), [1, 1, 1]);
        assert_eq!(told("coordination.k8s.io", "leases"), [0, 0, 1]);
        assert_eq!(told("admissionregistration.k8s.io", "validatingwebhookconfigurations"), [0, 0, 1]);
        assert_eq!(told("admissionregistration.k8s.io", "validatingadmissionpolicies"), [0, 0, 1]);
        assert_eq!(told("apiregistration.k8s.io", "apiservices"), [0, 0, 0]);
    }

    #[test]
    fn some_kinds_do_not_compare_the_metadata_once_more() {
        let told = |group: &str, resource: &str| {
            testing::context(group, resource, |cx| {
                let of = |uid: &str| json!({"metadata": {"name": "a", "namespace": "n", "uid": uid}, "spec": {}});
                let errors = for_resource(cx.resource).validate_update(cx, &of("x"), &of("y"));
                errors.iter().filter(|error| error.field == "metadata.uid").count()
            })
        };
        assert_eq!(told("coordination.k8s.io", "leases"), 1);
        assert_eq!(told("policy", "poddisruptionbudgets"), 0);
        assert_eq!(told("flowcontrol.apiserver.k8s.io", "flowschemas"), 0);
        assert_eq!(told("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"), 0);
        assert_eq!(told("admissionregistration.k8s.io", "mutatingwebhookconfigurations"), 0);
    }
}
