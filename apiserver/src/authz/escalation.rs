//! Nobody grants what he does not have: checks on writes of roles and bindings.

use super::rbac::{GROUP, role_rules};
use super::rule::missing;
use super::{Authorizer, AuthzAttributes, Decision, Rule, is_superuser};
use crate::user::UserInfo;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

/// A write of an RBAC object.
pub struct Write<'a> {
    /// Who writes.
    pub user: &'a UserInfo,
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`; others pass.
    pub resource: &'a str,
    /// Namespace, empty for cluster-wide objects.
    pub namespace: &'a str,
    /// The object as it will be.
    pub object: &'a Value,
    /// The object as it is, on update.
    pub old: Option<&'a Value>,
}

/// Checks one write; called after validation, before storing.
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
    let unchanged = |field: &str| write.old.is_some_and(|old| old[field] == write.object[field]);
    if unchanged("rules") && unchanged("aggregationRule") {
        return Ok(());
    }
    let name = write.object["metadata"]["name"].as_str().unwrap_or_default();
    if may(authorizer, write.user, "escalate", write.resource, write.namespace, name) {
        return Ok(());
    }
    if !write.object["aggregationRule"].is_null() && !unchanged("aggregationRule") {
        check_aggregation(authorizer, write)?;
    }
    let rules = write.object["rules"].as_array().map(|list| list.iter().map(Rule::parse).collect()).unwrap_or_default();
    check_rules(authorizer, write, rules)
}

/// An aggregation may gather anything, so whoever writes one must have everything.
fn check_aggregation(authorizer: &Authorizer, write: &Write<'_>) -> ApiResult<()> {
    let all = vec!["*".to_owned()];
    let everything = [
        Rule { groups: all.clone(), resources: all.clone(), verbs: all.clone(), ..Rule::default() },
        Rule { urls: all.clone(), verbs: all, ..Rule::default() },
    ];
    let (owned, _) = authorizer.rules_for(write.user, "");
    if missing(&owned, &everything).is_empty() {
        return Ok(());
    }
    Err(refuse(write, "must have cluster-admin privileges to use an aggregationRule"))
}

fn check_binding(authorizer: &Authorizer, write: &Write<'_>) -> ApiResult<()> {
    let unchanged = |field: &str| write.old.is_some_and(|old| old[field] == write.object[field]);
    if unchanged("roleRef") && unchanged("subjects") {
        return Ok(());
    }
    let role = &write.object["roleRef"];
    let name = role["name"].as_str().unwrap_or_default();
    let (resource, namespace) = if role["kind"] == "Role" { ("roles", write.namespace) } else { ("clusterroles", "") };
    if may(authorizer, write.user, "bind", resource, namespace, name) {
        return Ok(());
    }
    let rules = role_rules(authorizer.reader(), role, write.namespace)
        .map_err(|_| Status::not_found(GROUP, write.resource, name))?;
    let rules = rules.iter().map(Rule::parse).collect();
    check_rules(authorizer, write, rules)
}

fn check_rules(authorizer: &Authorizer, write: &Write<'_>, wanted: Vec<Rule>) -> ApiResult<()> {
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
        why.push_str(&format!("; resolution errors: [{}]", problems.join(", ")));
    }
    Err(refuse(write, &why))
}

fn refuse(write: &Write<'_>, why: &str) -> Status {
    let name = write.object["metadata"]["name"].as_str().unwrap_or_default();
    Status::forbidden(GROUP, write.resource, name, why)
}

fn may(authorizer: &Authorizer, user: &UserInfo, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let attributes = AuthzAttributes::resource(user, verb, GROUP, resource, namespace, name);
    authorizer.authorize(&attributes) == Decision::Allow
}
