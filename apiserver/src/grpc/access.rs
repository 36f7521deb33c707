//! Who calls, what the call is about, and whether that is allowed.

use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1::{ResourceRef, WriteOptions as WireOptions};
use mainstay_store::Term;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response};

use crate::authz::AuthzAttributes;
use crate::engine::{Call, RawOptions, Target, WriteOptions};
use crate::gate::Identity;
use crate::rest::Rest;
use crate::user::UserInfo;

/// The authenticated caller of a gRPC request.
pub(crate) fn user(extensions: &Extensions) -> ApiResult<UserInfo> {
    extensions.get::<Identity>().map(|identity| identity.0.clone()).ok_or_else(Status::unauthorized)
}

/// The row that a reference names. Controllers take a kind that is not there for one without objects, so a master that has
/// not heard of it yet must not say that.
pub(crate) async fn target(rest: &Rest, reference: Option<ResourceRef>) -> ApiResult<Target> {
    let ResourceRef { group, version, resource, namespace, name, subresource } =
        reference.ok_or_else(|| Status::bad_request("the request names no resource"))?;
    let row = match rest.engine.registry().find(&group, &version, &resource) {
        Some(row) => row,
        None => rest.engine.late_row(&group, &version, &resource).await?.ok_or_else(Status::path_not_found)?,
    };
    if !subresource.is_empty() && row.resource.subresource(&subresource).is_none() {
        return Err(Status::path_not_found());
    }
    let namespace = if row.resource.namespaced { namespace } else { String::new() };
    Ok(Target { row, namespace, name, subresource })
}

/// The collection that a list, its deletion or a creation is about. It is answered without a name, so a name that comes with it
/// must not count when it is judged.
pub(crate) fn collection(target: Target) -> Target {
    if target.subresource.is_empty() { Target { name: String::new(), ..target } } else { target }
}

/// What a call is about.
pub(crate) fn attributes<'a>(
    user: &'a UserInfo,
    verb: &'a str,
    target: &'a Target,
    field_selector: &'a str,
) -> AuthzAttributes<'a> {
    let whole = &target.row.resource;
    let namespace =
        if whole.resource == "namespaces" && whole.group.is_empty() { &target.name } else { &target.namespace };
    AuthzAttributes {
        user,
        verb,
        group: &whole.group,
        version: &whole.version,
        resource: &whole.resource,
        subresource: &target.subresource,
        namespace,
        name: &target.name,
        path: "",
        is_resource: true,
        field_selector,
    }
}

/// Whether the resource has the verb; asked after the authorizer, so that nobody without rights learns it.
pub(crate) fn check_served(verb: &str, target: &Target) -> ApiResult<()> {
    let served = match target.row.resource.subresource(&target.subresource) {
        Some(sub) => sub.verbs.iter().any(|own| own == verb),
        None => target.row.has_verb(verb),
    };
    if served { Ok(()) } else { Err(Status::method_not_allowed()) }
}

/// A call and its options.
pub(crate) fn call(user: UserInfo, metadata: &MetadataMap, options: Option<&WireOptions>) -> Call {
    let agent = metadata.get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let term = options.map(|options| options.term).filter(|term| *term != 0).map(Term);
    Call::new(user, agent, term)
}

/// The options of a write, checked.
pub(crate) fn options(options: Option<WireOptions>, kind: &str, force: Option<bool>) -> ApiResult<WriteOptions> {
    let options = options.unwrap_or_default();
    let raw = RawOptions {
        dry_run: if options.dry_run { vec!["All".into()] } else { Vec::new() },
        field_manager: options.field_manager,
        field_validation: options.field_validation,
        force,
    };
    raw.validate(kind, force.is_some())
}

/// A response with the warnings of its call.
pub(crate) fn respond<T>(message: T, call: &Call) -> Response<T> {
    let mut response = Response::new(message);
    for warning in crate::warnings::shown(&call.warnings) {
        let printable: String =
            warning.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect();
        if let Ok(value) = printable.parse() {
            response.metadata_mut().append("warning", value);
        }
    }
    response
}
