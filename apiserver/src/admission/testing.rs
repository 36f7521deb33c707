//! What tests of plugins ask with.

use jiff::Timestamp;
use mainstay_api::resource::Resource;
use serde_json::Value;

use super::{Attributes, Operation, Rounds};
use crate::strategy::testing::Objects;
use crate::user::UserInfo;

/// The creation of something in namespace `n`; each test says what.
pub(crate) fn creation<'a>(resource: &'a Resource, user: &'a UserInfo, objects: &'a Objects) -> Attributes<'a> {
    Attributes {
        operation: Operation::Create,
        resource,
        subresource: "",
        namespace: "n",
        name: "",
        user,
        object: None,
        old_object: None,
        options: Value::Null,
        dry_run: false,
        side: Vec::new(),
        warnings: Vec::new(),
        notes: Default::default(),
        rounds: Rounds::default(),
        reader: objects,
        now: Timestamp::UNIX_EPOCH,
    }
}
