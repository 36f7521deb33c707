//! What is served where: the places of resources, and their verbs.

use http::{Method, Response};
use mainstay_api::status::{ApiResult, Status};
use tonic::body::Body;

use super::admitted::Admitted;
use super::negotiate::Form;
use super::path::{OldWatch, RequestInfo};
use super::{Rest, respond};
use crate::registry::Row;

/// The answer where nothing is served.
pub(super) fn nothing_here(rest: &Rest, request: &Admitted, form: Form) -> Response<Body> {
    if rest.engine.registry().has_builtin_group(&request.info.group) {
        return respond::error(form, &Status::path_not_found());
    }
    respond::text(404, "404 page not found\n")
}

/// Whether custom objects are where a path looks for them: across all namespaces they can be listed and watched, no more.
pub(super) fn is_there(info: &RequestInfo, row: &Row) -> bool {
    let namespaced = row.resource.namespaced;
    namespaced == info.in_namespace || namespaced && matches!(info.verb, "list" | "watch")
}

/// Whether a path names a place where the resource is.
pub(super) fn check_place(request: &Admitted, row: &Row) -> ApiResult<()> {
    let info = &request.info;
    let named = !info.name.is_empty() && !matches!(info.verb, "list" | "watch" | "deletecollection");
    // What is only ever created, as a review, has no place of its own.
    if named && info.subresource.is_empty() && row.resource.verbs == ["create"] {
        return Err(Status::path_not_found());
    }
    let old_watch = if row.custom { OldWatch::None } else { info.old_watch };
    if old_watch != OldWatch::None && (!info.subresource.is_empty() || !row.has_verb("watch")) {
        return Err(Status::path_not_found());
    }
    if row.resource.namespaced == info.in_namespace {
        return Ok(());
    }
    // All namespaces are a place for lists alone, and only what can be listed has it. Who watches one object names its own.
    let named = named || old_watch == OldWatch::Object;
    if info.in_namespace || named || !info.subresource.is_empty() || !row.has_verb("list") {
        return Err(Status::path_not_found());
    }
    if matches!(info.verb, "list" | "watch") { Ok(()) } else { Err(Status::method_not_allowed()) }
}

/// Whether a path goes on to something that objects of the resource have.
pub(super) fn check_subresource(info: &RequestInfo, row: &Row) -> ApiResult<()> {
    if !info.subresource.is_empty() && !row.resource.subresources.iter().any(|sub| sub.name == info.subresource) {
        return Err(if row.custom {
            Status::not_found(&info.group, &info.resource, &info.name)
        } else {
            Status::path_not_found()
        });
    }
    // Only proxies go on below a subresource.
    if !row.custom && info.subresource != "proxy" && !info.rest.is_empty() {
        return Err(Status::path_not_found());
    }
    Ok(())
}

/// The 405 of a verb that a row does not serve.
pub(super) fn unsupported(info: &RequestInfo, row: &Row) -> Status {
    if row.custom {
        return Status::method_not_supported(&info.group, &info.resource, info.verb);
    }
    Status::method_not_allowed()
}

/// Whether a resource, or what its objects have, serves the verb of a request.
pub(super) fn check_verb(request: &Admitted, row: &Row) -> ApiResult<()> {
    let info = &request.info;
    if row.custom && info.subresource.is_empty() {
        return match info.verb {
            "update" | "patch" if info.name.is_empty() => Err(Status::bad_request("name must be provided")),
            _ => Ok(()),
        };
    }
    let served = match row.resource.subresource(&info.subresource) {
        // Proxies pass on what has no verb here.
        Some(sub) if sub.name == "proxy" && request.parts.method == Method::OPTIONS => true,
        Some(sub) => sub.verbs.iter().any(|verb| verb == info.verb),
        // A watch is asked for where lists are, and told there if it cannot be had.
        None if info.verb == "watch" => row.has_verb("list"),
        None => row.has_verb(info.verb) && (info.verb != "create" || info.name.is_empty()),
    };
    let unnamed = info.name.is_empty() && matches!(info.verb, "update" | "patch");
    if served && !unnamed { Ok(()) } else { Err(unsupported(info, row)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::rest::query::Query;
    use crate::user::UserInfo;

    #[test]
    fn only_proxies_are_asked_for_options() {
        let served = |path: &str, resource: &str| {
            let (parts, ()) = http::Request::options(path).body(()).unwrap().into_parts();
            let info = RequestInfo::parse(&parts.method, path, false, None);
            let row = Registry::builtin().find("", "v1", resource).unwrap();
            let (query, user) = (Query::default(), UserInfo::default());
            check_verb(&Admitted { parts, body: Body::empty(), info, query, user }, &row).is_ok()
        };
        assert!(served("/api/v1/namespaces/d/pods/p/proxy/x", "pods") && served("/api/v1/nodes/n/proxy", "nodes"));
        assert!(!served("/api/v1/namespaces/d/pods/p", "pods") && !served("/api/v1/namespaces/d/pods/p/exec", "pods"));
    }

    #[test]
    fn one_object_is_watched_in_its_namespace() {
        let there = |path: &str, resource: &str| {
            let (parts, ()) = http::Request::get(path).body(()).unwrap().into_parts();
            let info = RequestInfo::parse(&parts.method, path, false, Some("a").filter(|_| resource == "secrets"));
            let row = Registry::builtin().find("", "v1", resource).unwrap();
            let (query, user) = (Query::default(), UserInfo::default());
            check_place(&Admitted { parts, body: Body::empty(), info, query, user }, &row).is_ok()
        };
        assert!(there("/api/v1/watch/namespaces/d/pods/p", "pods") && there("/api/v1/watch/nodes/n", "nodes"));
        assert!(there("/api/v1/watch/pods", "pods") && there("/api/v1/watch/secrets", "secrets"));
        assert!(!there("/api/v1/watch/pods/p", "pods"));
    }

    #[test]
    fn custom_objects_of_all_namespaces_can_be_listed_but_not_made() {
        let row = crate::registry::testing::custom_row(&serde_json::Value::Null);
        let there = |method: Method, path: &str| is_there(&RequestInfo::parse(&method, path, false, None), &row);
        assert!(there(Method::GET, "/apis/g.io/v1/as"));
        assert!(there(Method::POST, "/apis/g.io/v1/namespaces/n/as"));
        assert!(!there(Method::POST, "/apis/g.io/v1/as"));
        assert!(!there(Method::DELETE, "/apis/g.io/v1/as"));
        assert!(!there(Method::GET, "/apis/g.io/v1/as/a"));
        let info = RequestInfo::parse(&Method::DELETE, "/apis/g.io/v1/namespaces/n/as/a/status", false, None);
        assert_eq!(unsupported(&info, &row).message, "delete is not supported on resources of kind \"as.g.io\"");
    }

    #[test]
    fn what_objects_do_not_have_is_told_by_their_kind() {
        let told = |row: &Row, path: &str| check_subresource(&RequestInfo::parse(&Method::GET, path, false, None), row);
        let pods = Registry::builtin().find("", "v1", "pods").unwrap();
        assert!(told(&pods, "/api/v1/namespaces/d/pods/p/log").is_ok());
        assert!(told(&pods, "/api/v1/namespaces/d/pods/p/proxy/x").is_ok());
        for path in ["/api/v1/namespaces/d/pods/p/scale", "/api/v1/namespaces/d/pods/p/log/x"] {
            assert_eq!(told(&pods, path).unwrap_err(), Status::path_not_found(), "{path}");
        }
        let custom = crate::registry::testing::custom_row(&serde_json::Value::Null);
        let missing = told(&custom, "/apis/g.io/v1/namespaces/n/as/a/log").unwrap_err();
        assert_eq!(missing, Status::not_found("g.io", "as", "a"));
    }
}
