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
    conflicts.sort_by_key(Conflict::manager);
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
