//! What the unit tests of strategies need.

use std::sync::Arc;

use mainstay_api::resource::Resource;
use serde_json::{Value, json};

use super::validate::Errors;
use super::{Context, Reader};
use crate::user::UserInfo;

/// Reads from a list of objects: group, resource, object.
#[derive(Default)]
pub(crate) struct Objects(pub Vec<(&'static str, &'static str, Value)>);

impl Reader for Objects {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.list(group, resource, Some(namespace)).into_iter().find(|object| mainstay_api::meta::name(object) == name)
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let all = self.0.iter().filter(|(g, r, _)| *g == group && *r == resource).map(|(_, _, object)| object);
        all.filter(|object| namespace.is_none_or(|namespace| mainstay_api::meta::namespace(object) == namespace))
            .cloned()
            .map(Arc::new)
            .collect()
    }
}

/// Calls `act` with the context of a write to an object `a` in namespace `n`.
pub(crate) fn context<T>(group: &str, resource: &str, act: impl FnOnce(&Context<'_>) -> T) -> T {
    with_objects(group, resource, &Objects::default(), act)
}

/// The same with other objects to be read.
pub(crate) fn with_objects<T>(
    group: &str,
    resource: &str,
    objects: &Objects,
    act: impl FnOnce(&Context<'_>) -> T,
) -> T {
    let row = Resource {
        group: group.to_owned(),
        resource: resource.to_owned(),
        version: "v1".to_owned(),
        namespaced: true,
        ..Resource::default()
    };
    let user = UserInfo { name: "u".to_owned(), uid: String::new(), groups: Vec::new(), extra: Default::default() };
    act(&Context {
        resource: &row,
        subresource: "",
        namespace: "n",
        name: "a",
        user: &user,
        now: jiff::Timestamp::UNIX_EPOCH,
        reader: objects,
        dry_run: false,
    })
}

/// What a rule says of an object with this spec.
pub(crate) fn of_spec(rule: fn(&Value, &mut Errors), spec: Value) -> Vec<String> {
    let mut errors = Errors::default();
    rule(&json!({"spec": spec}), &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}
