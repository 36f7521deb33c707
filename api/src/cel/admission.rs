//! What expressions about a request to the API may use.

use super::{Env, Type};

/// The type of `authorizer`.
#[must_use]
pub fn authorizer() -> Type {
    Type::Named("kubernetes.authorization.Authorizer".into())
}

/// What every expression about a request may use. `object` is the type of the object and of its old state; there are
/// `params` only if they have a type.
#[must_use]
pub fn request_environment(object: &Type, params: Option<Type>) -> Env {
    let env = Env::new([
        ("object".to_owned(), object.clone()),
        ("oldObject".to_owned(), object.clone()),
        ("request".to_owned(), request()),
        ("authorizer".to_owned(), authorizer()),
    ]);
    match params {
        Some(of) => env.with("params", of),
        None => env,
    }
}

fn texts(names: &[&str]) -> Vec<(String, Type)> {
    names.iter().map(|name| ((*name).to_owned(), Type::Text)).collect()
}

/// `request`.
fn request() -> Type {
    let kind = Type::object("kubernetes.GroupVersionKind", texts(&["group", "version", "kind"]));
    let resource = Type::object("kubernetes.GroupVersionResource", texts(&["group", "version", "resource"]));
    let mut user = texts(&["username", "uid"]);
    user.push(("groups".into(), Type::list(Type::Text)));
    user.push(("extra".into(), Type::map(Type::list(Type::Text))));
    let mut fields = texts(&["subResource", "requestSubResource", "name", "namespace", "operation"]);
    fields.push(("kind".into(), kind.clone()));
    fields.push(("requestKind".into(), kind));
    fields.push(("resource".into(), resource.clone()));
    fields.push(("requestResource".into(), resource));
    fields.push(("userInfo".into(), Type::object("kubernetes.UserInfo", user)));
    fields.push(("dryRun".into(), Type::Bool));
    fields.push(("options".into(), Type::Dyn));
    Type::object("kubernetes.AdmissionRequest", fields)
}

/// `namespaceObject`: a namespace without what only controllers look at.
#[must_use]
pub fn namespace() -> Type {
    let mut metadata = texts(&["name", "generateName", "namespace", "UID", "resourceVersion"]);
    metadata.extend(["labels", "annotations"].map(|name| (name.to_owned(), Type::map(Type::Text))));
    metadata.extend(["creationTimestamp", "deletionTimestamp"].map(|name| (name.to_owned(), Type::Time)));
    metadata.extend(["deletionGracePeriodSeconds", "generation"].map(|name| (name.to_owned(), Type::Int)));
    metadata.push(("finalizers".into(), Type::list(Type::Text)));
    let spec = [("finalizers".to_owned(), Type::list(Type::Text))];
    let mut condition = texts(&["status", "type", "message", "reason"]);
    condition.push(("lastTransitionTime".into(), Type::Time));
    let conditions = Type::list(Type::object("kubernetes.NamespaceCondition", condition));
    let status = [("conditions".to_owned(), conditions), ("phase".to_owned(), Type::Text)];
    let fields = [
        ("metadata".to_owned(), Type::object("kubernetes.NamespaceMetadata", metadata)),
        ("spec".to_owned(), Type::object("kubernetes.NamespaceSpec", spec)),
        ("status".to_owned(), Type::object("kubernetes.NamespaceStatus", status)),
    ];
    Type::object("kubernetes.Namespace", fields)
}
