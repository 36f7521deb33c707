//! Fields that another manager owns with another value.

use super::managed::{Identity, Operation};
use super::set::FieldSet;
use crate::field::go_quote;
use crate::status::{Cause, Details, Status, reason};

/// The conflicts with one manager.
#[derive(Debug)]
pub(super) struct Conflict {
    pub identity: Identity,
    pub api_version: String,
    pub set: FieldSet,
}

impl Conflict {
    /// Sorts managers as Kubernetes does, by the JSON of their entries: whoever writes a subresource comes first there.
    fn order(&self) -> (String, Operation, String, bool, String) {
        let Identity { manager, operation, api_version, subresource } = self.identity.clone();
        (format!("{manager}\""), operation, api_version, subresource.is_empty(), subresource)
    }

    /// The manager as the message names it.
    fn manager(&self) -> String {
        let mut text = go_quote(&self.identity.manager);
        if !self.identity.subresource.is_empty() {
            text.push_str(" with subresource ");
            text.push_str(&go_quote(&self.identity.subresource));
        }
        if self.identity.operation == Operation::Update {
            text.push_str(" using ");
            text.push_str(&self.api_version);
        }
        text
    }
}

/// The 409 that lists all conflicts.
pub(super) fn refuse(mut conflicts: Vec<Conflict>) -> Status {
    conflicts.sort_by_cached_key(Conflict::order);
    let mut causes = Vec::new();
    let mut groups = Vec::new();
    for conflict in &conflicts {
        let manager = conflict.manager();
        groups.push(format!("conflicts with {manager}:"));
        for path in conflict.set.paths() {
            groups.push(format!("- {path}"));
            let message = format!("conflict with {manager}");
            causes.push(Cause { reason: "FieldManagerConflict".to_owned(), message, field: path });
        }
    }
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        several => format!("Apply failed with {} conflicts: {}", several.len(), groups.join("\n")),
    };
    let mut status = Status::failure(409, reason::CONFLICT, message);
    status.details = Some(Box::new(Details { causes, ..Details::default() }));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_a_subresource_comes_first() {
        let conflict = |manager: &str, subresource: &str| Conflict {
            identity: Identity {
                manager: manager.to_owned(),
                operation: Operation::Update,
                api_version: "v1".to_owned(),
                subresource: subresource.to_owned(),
            },
            api_version: "v1".to_owned(),
            set: FieldSet::of_fields(&[&["data"]]),
        };
        let status = refuse(vec![conflict("ab", ""), conflict("a", ""), conflict("a", "status")]);
        let details = status.details.unwrap();
        let told: Vec<&str> = details.causes.iter().map(|cause| cause.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "conflict with \"a\" with subresource \"status\" using v1",
                "conflict with \"a\" using v1",
                "conflict with \"ab\" using v1"
            ]
        );
    }
}
