//! Who may do what: the superusers, nodes by their pods, everybody else by RBAC. Asked once per request, in the filter chain.

mod attributes;
pub mod claim_status;
pub mod escalation;
mod matching;
mod node;
pub(crate) mod policy_params;
mod rbac;
pub mod reviews;
mod rule;
mod subject_rules;

pub use attributes::{AuthzAttributes, RequestInfo};
pub use rule::Rule;

use std::sync::Arc;

use mainstay_api::status::Status;

use crate::strategy::Reader;
use crate::user::UserInfo;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may go on.
    Allow,
    /// It may not; a reason may follow Kubernetes' standard words, or be empty.
    Deny(String),
}

/// A decision with the reason that access reviews show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Why, in Kubernetes' words; may be empty.
    pub reason: String,
}

/// Decides over requests from what the watch caches hold.
pub struct Authorizer {
    reader: Arc<dyn Reader>,
}

impl Authorizer {
    /// An authorizer over this state.
    #[must_use]
    pub fn new(reader: Arc<dyn Reader>) -> Self {
        Self { reader }
    }

    /// Whether this may happen.
    #[must_use]
    pub fn authorize(&self, attributes: &AuthzAttributes<'_>) -> Decision {
        let verdict = self.explain(attributes);
        if verdict.allowed { Decision::Allow } else { Decision::Deny(verdict.reason) }
    }

    /// The same with the reason, also of what is allowed.
    #[must_use]
    pub fn explain(&self, attributes: &AuthzAttributes<'_>) -> Verdict {
        if is_superuser(attributes.user) {
            return Verdict { allowed: true, reason: String::new() };
        }
        let by_node = node::authorize(self.reader.as_ref(), attributes);
        if by_node.allowed {
            return by_node;
        }
        let by_role = rbac::authorize(self.reader.as_ref(), attributes);
        if by_role.allowed {
            return by_role;
        }
        let reasons: Vec<String> = [by_node.reason, by_role.reason].into_iter().filter(|r| !r.is_empty()).collect();
        Verdict { allowed: false, reason: reasons.join("\n") }
    }

    /// `Ok`, or the 403 as Kubernetes words it.
    ///
    /// # Errors
    /// Forbidden.
    pub fn require(&self, attributes: &AuthzAttributes<'_>) -> Result<(), Status> {
        match self.authorize(attributes) {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => Err(forbidden(attributes, &reason)),
        }
    }

    pub(crate) fn reader(&self) -> &dyn Reader {
        self.reader.as_ref()
    }
}

/// Members of these groups may do everything.
#[must_use]
pub fn is_superuser(user: &UserInfo) -> bool {
    user.groups.iter().any(|group| is_superusers(group))
}

/// Whether a group's members may do everything.
pub(crate) fn is_superusers(group: &str) -> bool {
    matches!(group, "system:masters" | "system:mainstay:masters")
}

/// The refusal of a request.
#[must_use]
pub fn forbidden(attributes: &AuthzAttributes<'_>, reason: &str) -> Status {
    let mut words = attributes.sentence();
    if !reason.is_empty() {
        words.push_str(": ");
        words.push_str(reason);
    }
    if attributes.is_resource {
        Status::forbidden(attributes.group, attributes.resource, attributes.name, words)
    } else {
        Status::forbidden("", "", "", words).with_empty_details()
    }
}

#[cfg(test)]
mod tests;
