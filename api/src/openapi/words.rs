//! Words that fit every kind: what the members are for that all objects have, and what lists and their members are.
//!
//! Source: the published schemas of custom kinds and of their lists. The bindings say nothing of the lists of built-in kinds,
//! so these are told of in the same words, also where Kubernetes puts it a little otherwise.

use crate::resource::Resource;

pub(super) const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
pub(super) const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
pub(super) const OBJECT_META: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
pub(super) const LIST_META: &str = "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
pub(super) const EMBEDDED_API_VERSION: &str = "apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
pub(super) const EMBEDDED_KIND: &str = "kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// What a list of a resource's objects is.
pub(super) fn of_list(row: &Resource) -> String {
    format!("{} is a list of {}", row.list_kind, row.kind)
}

/// What the objects in such a list are.
pub(super) fn of_items(row: &Resource) -> String {
    format!("List of {}. More info: {CONVENTIONS}", row.resource)
}

/// What a member of such a list is for.
pub(super) fn of_list_field(row: &Resource, field: &str) -> Option<String> {
    match field {
        "apiVersion" => Some(API_VERSION.to_owned()),
        "kind" => Some(KIND.to_owned()),
        "metadata" => Some(LIST_META.to_owned()),
        "items" => Some(of_items(row)),
        _ => None,
    }
}
