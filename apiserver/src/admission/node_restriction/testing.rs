//! What the tests of this plugin need.

use std::sync::Arc;

use mainstay_api::resource::Resource;
use serde_json::Value;

use super::{Verdict, judge};
use crate::admission::testing::creation;
use crate::admission::{Attributes, Operation};
use crate::authz::Authorizer;
use crate::strategy::testing::Objects;
use crate::user::UserInfo;

/// A request of the agent of node `n`, in namespace `d`.
pub(super) struct Asking {
    /// Group, resource and subresource.
    pub place: (&'static str, &'static str, &'static str),
    pub operation: Operation,
    pub name: &'static str,
    pub object: Value,
    /// What there is.
    pub objects: Objects,
}

/// What becomes of it.
pub(super) fn judged(asking: &Asking) -> Verdict {
    let (group, resource, subresource) = asking.place;
    let row = Resource { group: group.into(), resource: resource.into(), namespaced: true, ..Resource::default() };
    let user = UserInfo { name: "system:node:n".to_owned(), ..UserInfo::default() };
    let request = Attributes {
        operation: asking.operation,
        subresource,
        namespace: "d",
        name: asking.name,
        object: Some(asking.object.clone()),
        ..creation(&row, &user, &asking.objects)
    };
    let known = Objects(asking.objects.0.clone());
    judge(&request, "n", &Authorizer::new(Arc::new(known)))
}
