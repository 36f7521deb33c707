//! All rules that a user has somewhere, for rule reviews and escalation checks.

use std::ops::ControlFlow;

use super::{Authorizer, Rule, rbac};
use crate::user::UserInfo;

impl Authorizer {
    /// The user's rules in the namespace (empty: cluster-wide), and texts about roles that are bound but missing.
    #[must_use]
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let mut rules = Vec::new();
        let missing = rbac::visit(self.reader(), user, namespace, &mut |grant| {
            rules.push(Rule::parse(grant.rule));
            ControlFlow::Continue(())
        });
        (rules, missing)
    }
}
