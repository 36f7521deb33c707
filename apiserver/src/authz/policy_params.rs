//! Admission policies read their parameters for everybody. So who writes a policy that takes some, or a binding that names
//! them, has to be allowed to read them.

use mainstay_api::field::{Error, Path};
use mainstay_api::meta;
use serde_json::Value;

use super::{Authorizer, AuthzAttributes, Decision, is_superuser};
use crate::registry::Registry;
use crate::user::UserInfo;

/// The group of policies and bindings.
pub const GROUP: &str = "admissionregistration.k8s.io";
const VALIDATING: &str = "validatingadmissionpolicies";
const MUTATING: &str = "mutatingadmissionpolicies";
const ANY: &str = "*";

/// A write in this group.
pub struct Write<'a> {
    /// Who writes.
    pub user: &'a UserInfo,
    /// The resource written; others than policies and bindings pass.
    pub resource: &'a str,
    /// The object as it will be.
    pub new: &'a Value,
    /// The object as it is, on update.
    pub old: Option<&'a Value>,
}

/// The refusal of a write, valid otherwise, whose writer may not read its parameters.
#[must_use]
pub fn error(authorizer: &Authorizer, registry: &Registry, write: &Write<'_>) -> Option<Error> {
    if is_superuser(write.user) {
        return None;
    }
    match write.resource {
        VALIDATING | MUTATING => of_policy(authorizer, registry, write),
        "validatingadmissionpolicybindings" => of_binding(authorizer, registry, write, VALIDATING),
        "mutatingadmissionpolicybindings" => of_binding(authorizer, registry, write, MUTATING),
        _ => None,
    }
}

/// A policy may be bound to any parameters of its kind.
fn of_policy(authorizer: &Authorizer, registry: &Registry, write: &Write<'_>) -> Option<Error> {
    let kind = kind_of(write.new)?;
    if write.old.and_then(kind_of) == Some(kind) {
        return None;
    }
    let (group, resource) = place(registry, Some(kind));
    let asked = AuthzAttributes::resource(write.user, "get", &group, &resource, ANY, ANY);
    if authorizer.authorize(&asked) == Decision::Allow {
        return None;
    }
    let why = format!(
        "user {} must have \"get\" permission on all objects of the referenced paramKind (kind={}, apiVersion={})",
        shown(write.user),
        text(kind, "kind"),
        text(kind, "apiVersion"),
    );
    Some(Error::forbidden(&Path::new("spec").child("paramKind"), why))
}

/// A change is judged even if it leaves the reference as it is: Kubernetes compares pointers there, which always differ.
fn of_binding(authorizer: &Authorizer, registry: &Registry, write: &Write<'_>, policies: &str) -> Option<Error> {
    let spec = write.new.get("spec")?;
    let reference = spec.get("paramRef").filter(|reference| reference.is_object())?;
    let policy = authorizer.reader().get(GROUP, policies, "", text(spec, "policyName"));
    let (group, resource) = place(registry, policy.as_deref().and_then(kind_of));
    let name = text(reference, "name");
    let verb = if name.is_empty() { "list" } else { "get" };
    let asked = AuthzAttributes::resource(write.user, verb, &group, &resource, text(reference, "namespace"), name);
    if authorizer.authorize(&asked) == Decision::Allow {
        return None;
    }
    let user = shown(write.user);
    let why = if policies == MUTATING {
        // Kubernetes has the two the wrong way round.
        lack(verb, &user)
    } else if let Some(what) = unknown(text(spec, "policyName"), policy.as_deref(), &group, &resource) {
        format!(
            "unable to {what} to determine minimum required permissions and user {user} does not have \"{verb}\" permission for all groups, versions and resources"
        )
    } else {
        lack(&user, verb)
    };
    Some(Error::forbidden(&Path::new("spec").child("paramRef"), why))
}

fn lack(user: &str, verb: &str) -> String {
    format!("user {user} does not have \"{verb}\" permission on the object referenced by paramRef")
}

/// What failed, if more than what is referred to had to be allowed for it.
fn unknown(name: &str, policy: Option<&Value>, group: &str, resource: &str) -> Option<String> {
    let Some(policy) = policy else { return Some(format!("get policy {name}")) };
    let kind = kind_of(policy).filter(|_| resource == ANY)?;
    let failed = if group == ANY { "parse" } else { "resolve" };
    Some(format!("{failed} paramKind &{{{} {}}}", text(kind, "apiVersion"), text(kind, "kind")))
}

fn kind_of(policy: &Value) -> Option<&Value> {
    policy.pointer("/spec/paramKind").filter(|kind| kind.is_object())
}

/// Group and resource of parameters; whoever reads what is not known has to be allowed to read all.
fn place(registry: &Registry, kind: Option<&Value>) -> (String, String) {
    let any = || ANY.to_owned();
    let named = kind.and_then(|kind| Some((meta::split_api_version(text(kind, "apiVersion"))?, text(kind, "kind"))));
    let Some(((group, version), kind)) = named else { return (any(), any()) };
    let row = registry.by_kind(group, version, kind);
    (group.to_owned(), row.map_or_else(any, |row| row.resource.resource.clone()))
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A user as Go prints one.
fn shown(user: &UserInfo) -> String {
    let extra: Vec<String> = user.extra.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" "))).collect();
    format!("&{{{} {} [{}] map[{}]}}", user.name, user.uid, user.groups.join(" "), extra.join(" "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::strategy::testing::Objects;

    fn user(name: &str) -> UserInfo {
        UserInfo { name: name.to_owned(), groups: vec!["g".to_owned(), "h".to_owned()], ..UserInfo::default() }
    }

    fn refused(who: &str, resource: &str, new: &Value, old: Option<&Value>) -> Option<String> {
        let rbac = "rbac.authorization.k8s.io";
        let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]});
        let objects = vec![
            (rbac, "clusterroles", json!({"metadata": {"name": "reader"}, "rules": [rule]})),
            (
                rbac,
                "clusterrolebindings",
                json!({
                    "metadata": {"name": "b"},
                    "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "reader"},
                    "subjects": [{"apiGroup": rbac, "kind": "User", "name": "reader"}],
                }),
            ),
            (GROUP, VALIDATING, policy("p", "ConfigMap")),
            (GROUP, VALIDATING, policy("odd", "Odd")),
        ];
        let authorizer = Authorizer::new(Arc::new(Objects(objects)));
        let user = user(who);
        let write = Write { user: &user, resource, new, old };
        error(&authorizer, &Registry::builtin(), &write).map(|error| error.to_string())
    }

    fn policy(name: &str, kind: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"paramKind": {"apiVersion": "v1", "kind": kind}}})
    }

    fn binding(policy: &str, reference: Value) -> Value {
        json!({"spec": {"policyName": policy, "paramRef": reference}})
    }

    #[test]
    fn who_writes_a_policy_reads_its_parameters() {
        let policy = policy("p", "ConfigMap");
        let told = |who: &str, old: Option<&Value>| refused(who, VALIDATING, &policy, old);
        assert_eq!(
            told("nobody", None).unwrap(),
            "spec.paramKind: Forbidden: user &{nobody  [g h] map[]} must have \"get\" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)"
        );
        assert_eq!(told("reader", None), None);
        assert_eq!(told("nobody", Some(&policy)), None);
        assert_eq!(refused("nobody", VALIDATING, &json!({"spec": {}}), None), None);
    }

    #[test]
    fn who_binds_parameters_reads_them() {
        let bindings = "validatingadmissionpolicybindings";
        let told = |who: &str, reference: Value| refused(who, bindings, &binding("p", reference), None);
        let named = || json!({"name": "c", "namespace": "n"});
        assert_eq!(
            told("nobody", named()).unwrap(),
            "spec.paramRef: Forbidden: user &{nobody  [g h] map[]} does not have \"get\" permission on the object referenced by paramRef"
        );
        assert_eq!(told("reader", named()), None);
        assert!(told("reader", json!({"selector": {}})).is_some_and(|why| why.contains("\"list\" permission on the")));
        assert_eq!(told("nobody", Value::Null), None);
        let unchanged = binding("p", named());
        assert!(refused("nobody", bindings, &unchanged, Some(&unchanged)).is_some());
    }

    #[test]
    fn what_keeps_a_binding_from_being_judged_is_told() {
        let told = |bindings: &str, policy: &str| {
            refused("reader", bindings, &binding(policy, json!({"name": "c"})), None).unwrap()
        };
        let all = "to determine minimum required permissions and user &{reader  [g h] map[]} does not have \"get\" \
                   permission for all groups, versions and resources";
        let validating = |policy: &str| told("validatingadmissionpolicybindings", policy);
        assert_eq!(validating("none"), format!("spec.paramRef: Forbidden: unable to get policy none {all}"));
        assert_eq!(
            validating("odd"),
            format!("spec.paramRef: Forbidden: unable to resolve paramKind &{{v1 Odd}} {all}")
        );
        assert_eq!(
            told("mutatingadmissionpolicybindings", "none"),
            "spec.paramRef: Forbidden: user get does not have \"&{reader  [g h] map[]}\" permission on the object referenced by paramRef"
        );
    }
}
