//! Which tokens a node's agent may ask for: those of its own pods, for whom their volumes name.

use std::sync::Arc;

use mainstay_api::meta;
use serde_json::Value;

use super::{Refusal, Verdict, check, pod_named, text};
use crate::admission::{Attributes, Operation};
use crate::authz::{Authorizer, AuthzAttributes, Decision};

/// Lets an agent ask for an audience (the resource) that no volume of the pod names.
const ANY_VOLUME: &str = "request-serviceaccounts-token-audience";

/// A token is for a pod that runs here.
pub(super) fn judge(request: &Attributes<'_>, node: &str, authorizer: &Authorizer) -> Verdict {
    let (Operation::Create, Some(asked)) = (request.operation, &request.object) else { return Ok(()) };
    let bound = asked.pointer("/spec/boundObjectRef").unwrap_or(&Value::Null);
    let is_pod = bound["apiVersion"] == "v1" && bound["kind"] == "Pod" && !text(bound, "/name").is_empty();
    check(is_pod, || "node requested token not bound to a pod".to_owned())?;
    check(!text(bound, "/uid").is_empty(), || "node requested token with a pod binding without a uid".to_owned())?;
    let pod = pod_named(request, text(bound, "/name"))?;
    check(meta::uid(&pod) == text(bound, "/uid"), || {
        format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
            text(bound, "/uid")
        )
    })?;
    check(text(&pod, "/spec/nodeName") == node, || {
        "node requested token bound to a pod scheduled on a different node".to_owned()
    })?;
    audience(request, asked, &pod, authorizer)
}

/// At most one audience, and one that a volume of the pod is for, or that the agent was granted.
fn audience(request: &Attributes<'_>, asked: &Value, pod: &Value, authorizer: &Authorizer) -> Verdict {
    let audiences = list(asked, "/spec/audiences");
    check(audiences.len() <= 1, || "node may only request 0 or 1 audiences".to_owned())?;
    let audience = audiences.first().and_then(Value::as_str).unwrap_or_default();
    let is_named = names(request, pod, audience)
        .map_err(|missing| Refusal::Forbidden(format!("error validating audience {audience:?}: {missing}")))?;
    if is_named {
        return Ok(());
    }
    let (user, account) = (request.user, request.name);
    let attributes = AuthzAttributes::resource(user, ANY_VOLUME, "", audience, request.namespace, account);
    check(authorizer.authorize(&attributes) == Decision::Allow, || {
        let name = &user.name;
        format!(
            "audience {audience:?} not found in pod spec volume, {name} is not authorized to request tokens for this audience"
        )
    })
}

/// Whether a volume of the pod is for the audience; if none is, what could not be found to tell.
fn names(request: &Attributes<'_>, pod: &Value, audience: &str) -> Result<bool, String> {
    let mut missing = Vec::new();
    for volume in list(pod, "/spec/volumes") {
        match is_for(request, pod, volume, audience) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(what) if missing.contains(&what) => {}
            Err(what) => missing.push(what),
        }
    }
    match missing.as_slice() {
        [] => Ok(false),
        [what] => Err(what.clone()),
        all => Err(format!("[{}]", all.join(", "))),
    }
}

/// Whether a volume has a token for the audience in it, or its driver is given one.
fn is_for(request: &Attributes<'_>, pod: &Value, volume: &Value, audience: &str) -> Result<bool, String> {
    let mut tokens = list(volume, "/projected/sources").iter().filter_map(|source| source.get("serviceAccountToken"));
    if tokens.any(|token| text(token, "/audience") == audience) {
        return Ok(true);
    }
    let driver = driver_of(request, pod, volume)?;
    if driver.is_empty() {
        return Ok(false);
    }
    let driver = found(request, ("storage.k8s.io", "csidrivers", "csidriver.storage.k8s.io"), "", &driver)?;
    Ok(list(&driver, "/spec/tokenRequests").iter().any(|given| text(given, "/audience") == audience))
}

/// The CSI driver of a volume; empty if it has none.
fn driver_of(request: &Attributes<'_>, pod: &Value, volume: &Value) -> Result<String, String> {
    let claim = match volume.pointer("/ephemeral/volumeClaimTemplate") {
        Some(_) => format!("{}-{}", meta::name(pod), text(volume, "/name")),
        None => text(volume, "/persistentVolumeClaim/claimName").to_owned(),
    };
    if claim.is_empty() {
        return Ok(text(volume, "/csi/driver").to_owned());
    }
    let claims = ("", "persistentvolumeclaims", "persistentvolumeclaim");
    let claim = found(request, claims, request.namespace, &claim)?;
    let bound = text(&claim, "/spec/volumeName");
    if bound.is_empty() {
        return Ok(String::new());
    }
    let volume = found(request, ("", "persistentvolumes", "persistentvolume"), "", bound)?;
    Ok(text(&volume, "/spec/csi/driver").to_owned())
}

/// An object of a group and resource, or that there is none, by what Kubernetes' listers call it.
fn found(
    request: &Attributes<'_>,
    (group, resource, called): (&str, &str, &str),
    namespace: &str,
    name: &str,
) -> Result<Arc<Value>, String> {
    request.reader.get(group, resource, namespace, name).ok_or_else(|| format!("{called} {name:?} not found"))
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::node_restriction::testing::{Asking, judged};
    use crate::strategy::testing::Objects;

    /// What becomes of a request for a token of a pod with one volume, while there are other objects.
    fn asked(audiences: Value, volume: Value, more: Vec<(&'static str, &'static str, Value)>) -> Verdict {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "d", "uid": "1"},
            "spec": {"nodeName": "n", "volumes": [volume]},
        });
        let mut objects = vec![("", "pods", pod)];
        objects.extend(more);
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"});
        judged(&Asking {
            place: ("", "serviceaccounts", "token"),
            operation: Operation::Create,
            name: "default",
            object: json!({"spec": {"boundObjectRef": bound, "audiences": audiences}}),
            objects: Objects(objects),
        })
    }

    fn forbidden(why: &str) -> Verdict {
        Err(Refusal::Forbidden(why.to_owned()))
    }

    #[test]
    fn a_token_is_for_one_audience_of_the_pod() {
        let volume = json!({"projected": {"sources": [{"serviceAccountToken": {"audience": "a"}}]}});
        assert_eq!(asked(json!(["a"]), volume.clone(), Vec::new()), Ok(()));
        let two = asked(json!(["", "a"]), volume.clone(), Vec::new());
        assert_eq!(two, forbidden("node may only request 0 or 1 audiences"));
        let other = "audience \"b\" not found in pod spec volume, system:node:n is not authorized to request tokens for this audience";
        assert_eq!(asked(json!(["b"]), volume, Vec::new()), forbidden(other));
        let plain = json!({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}});
        assert_eq!(asked(json!([]), plain, Vec::new()), Ok(()));
    }

    #[test]
    fn what_the_drivers_of_volumes_are_given_may_be_asked_for() {
        let driver = json!({"metadata": {"name": "c.io"}, "spec": {"tokenRequests": [{"audience": "a"}]}});
        let volume = json!({"metadata": {"name": "v"}, "spec": {"csi": {"driver": "c.io"}}});
        let claim = |name: &str| json!({"metadata": {"name": name, "namespace": "d"}, "spec": {"volumeName": "v"}});
        let world = || {
            vec![
                ("storage.k8s.io", "csidrivers", driver.clone()),
                ("", "persistentvolumes", volume.clone()),
                ("", "persistentvolumeclaims", claim("c")),
                ("", "persistentvolumeclaims", claim("p-e")),
            ]
        };
        for used in [
            json!({"csi": {"driver": "c.io"}}),
            json!({"persistentVolumeClaim": {"claimName": "c"}}),
            json!({"name": "e", "ephemeral": {"volumeClaimTemplate": {}}}),
        ] {
            assert_eq!(asked(json!(["a"]), used.clone(), world()), Ok(()), "{used}");
        }
        let lost = asked(json!(["a"]), json!({"csi": {"driver": "x.io"}}), world());
        let why = "error validating audience \"a\": csidriver.storage.k8s.io \"x.io\" not found";
        assert_eq!(lost, forbidden(why));
    }

    #[test]
    fn a_role_may_grant_other_audiences() {
        let role = json!({"metadata": {"name": "r"}, "rules": [
            {"apiGroups": [""], "resources": ["b"], "verbs": ["request-serviceaccounts-token-audience"]},
        ]});
        let binding = json!({
            "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "User", "name": "system:node:n"}],
        });
        let group = "rbac.authorization.k8s.io";
        let world = || vec![(group, "clusterroles", role.clone()), (group, "clusterrolebindings", binding.clone())];
        assert_eq!(asked(json!(["b"]), json!({}), world()), Ok(()));
        assert!(asked(json!(["c"]), json!({}), world()).is_err());
    }
}
