//! Nobody grants what they do not have: checks on writes of roles and bindings.

use super::rbac::{GROUP, role_rules};
use super::rule::{count, missing};
use super::{Authorizer, AuthzAttributes, Decision, Rule, is_superuser};
use crate::user::UserInfo;
use mainstay_api::field::aggregate;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

/// How many permissions, of one verb on one thing each, are compared with those of a user: lists of a thousand verbs, groups and
/// resources come to more than memory holds.
const MOST_COMPARED: usize = 100_000;

/// A write of an RBAC object.
pub struct Write<'a> {
    /// Who writes.
    pub user: &'a UserInfo,
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`; others pass.
    pub resource: &'a str,
    /// Namespace, empty for cluster-wide objects.
    pub namespace: &'a str,
    /// The name in the request's path: nobody may escalate by name what they make in a collection.
    pub named: &'a str,
    /// The object as it will be.
    pub object: &'a Value,
    /// The object as it is, on update.
    pub old: Option<&'a Value>,
}

/// Checks one write; called after mutating admission, before validation.
///
/// # Errors
/// Forbidden with the rules that the user lacks; not found when a bound role is missing.
pub fn check(authorizer: &Authorizer, write: &Write<'_>) -> ApiResult<()> {
    if is_superuser(write.user) {
        return Ok(());
    }
    match write.resource {
        "roles" | "clusterroles" => check_role(authorizer, write),
        "rolebindings" | "clusterrolebindings" => check_binding(authorizer, write),
        _ => Ok(()),
    }
}

fn check_role(authorizer: &Authorizer, write: &Write<'_>) -> ApiResult<()> {
    let escalate =
        AuthzAttributes::resource(write.user, "escalate", GROUP, write.resource, write.namespace, write.named);
    if authorizer.authorize(&escalate) == Decision::Allow {
        return Ok(());
    }
    let rules = write.object["rules"].as_array().map(|list| list.iter().map(Rule::parse).collect()).unwrap_or_default();
    check_rules(authorizer, write, rules)?;
    let aggregates = |role: &Value| {
        role["aggregationRule"]["clusterRoleSelectors"].as_array().is_some_and(|selectors| !selectors.is_empty())
    };
    if aggregates(write.object) || write.old.is_some_and(aggregates) {
        check_aggregation(authorizer, write)?;
    }
    Ok(())
}

/// An aggregation may gather anything, so whoever writes one must have everything.
fn check_aggregation(authorizer: &Authorizer, write: &Write<'_>) -> ApiResult<()> {
    let all = vec!["*".to_owned()];
    let everything = [
        Rule { groups: all.clone(), resources: all.clone(), verbs: all.clone(), ..Rule::default() },
        Rule { urls: all.clone(), verbs: all, ..Rule::default() },
    ];
    let (owned, _) = authorizer.rules_for(write.user, write.namespace);
    if missing(&owned, &everything).is_empty() {
        return Ok(());
    }
    Err(refuse(write, "must have cluster-admin privileges to use the aggregationRule"))
}

fn check_binding(authorizer: &Authorizer, write: &Write<'_>) -> ApiResult<()> {
    let role = &write.object["roleRef"];
    let text = |field: &str| role[field].as_str().unwrap_or_default();
    let (kind, group, name) = (text("kind"), text("apiGroup"), text("name"));
    let resource = match kind {
        "Role" => "roles",
        "ClusterRole" => "clusterroles",
        _ => return Err(Status::plain(format!("unsupported role reference kind: {kind:?}"))),
    };
    // Who may bind a ClusterRole in a namespace need not be allowed to everywhere.
    let bind = AuthzAttributes::resource(write.user, "bind", group, resource, write.namespace, name);
    if authorizer.authorize(&bind) == Decision::Allow {
        return Ok(());
    }
    let rules = role_rules(authorizer.reader(), role, write.namespace)
        .map_err(|_| Status::not_found(GROUP, write.resource, name))?;
    let rules = rules.iter().map(Rule::parse).collect();
    check_rules(authorizer, write, rules)
}

fn check_rules(authorizer: &Authorizer, write: &Write<'_>, wanted: Vec<Rule>) -> ApiResult<()> {
    if count(&wanted) > MOST_COMPARED {
        let why = format!("more than {MOST_COMPARED} permissions cannot be compared with those currently held");
        return Err(refuse(write, &why));
    }
    let (owned, problems) = authorizer.rules_for(write.user, write.namespace);
    let lacking = missing(&owned, &wanted);
    if lacking.is_empty() {
        return Ok(());
    }
    let groups: Vec<String> = write.user.groups.iter().map(|group| format!("{group:?}")).collect();
    let lines: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    let mut why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        write.user.name,
        groups.join(" "),
        lines.join("\n"),
    );
    if !problems.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", aggregate(&problems)));
    }
    Err(refuse(write, &why))
}

fn refuse(write: &Write<'_>, why: &str) -> Status {
    let name = write.object["metadata"]["name"].as_str().unwrap_or_default();
    Status::forbidden(GROUP, write.resource, name, why)
}
