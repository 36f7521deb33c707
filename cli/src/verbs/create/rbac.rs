//! Roles and who has them, in a few words.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::super::kinds;
use super::super::session::Session;

const GROUP: &str = "rbac.authorization.k8s.io";
const VERSION: &str = "rbac.authorization.k8s.io/v1";

#[derive(Args)]
pub(super) struct RoleArgs {
    /// Its name
    name: String,
    /// What is allowed: get, list, …, or *
    #[arg(long, value_delimiter = ',')]
    verb: Vec<String>,
    /// On what: pods, deployments.apps, pods/log
    #[arg(long, value_delimiter = ',')]
    resource: Vec<String>,
    /// Only on objects of this name
    #[arg(long)]
    resource_name: Vec<String>,
    /// On which paths, of a role for the whole cluster
    #[arg(long = "non-resource-url", value_delimiter = ',', value_name = "PATH")]
    paths: Vec<String>,
}

#[derive(Args)]
pub(super) struct BindingArgs {
    /// Its name
    name: String,
    /// The role of the namespace
    #[arg(long)]
    role: Option<String>,
    /// The role for the whole cluster
    #[arg(long = "clusterrole", value_name = "ROLE")]
    cluster_role: Option<String>,
    /// A user who has it
    #[arg(long)]
    user: Vec<String>,
    /// A group that has it
    #[arg(long)]
    group: Vec<String>,
    /// A service account that has it: NAMESPACE:NAME
    #[arg(long = "serviceaccount", value_name = "ACCOUNT")]
    service_account: Vec<String>,
}

impl RoleArgs {
    /// The role.
    pub(super) async fn object(&self, session: &Session, kind: &str) -> Result<Value> {
        if self.verb.is_empty() {
            bail!("at least one verb must be specified");
        }
        if self.resource.is_empty() && (self.paths.is_empty() || kind == "Role") {
            bail!("at least one resource must be specified");
        }
        let mut resources = Vec::new();
        for word in &self.resource {
            resources.push(resource(session, word).await?);
        }
        let metadata = json!({"name": self.name});
        Ok(json!({"apiVersion": VERSION, "kind": kind, "metadata": metadata, "rules": self.rules(resources)}))
    }

    /// A rule for each group, and one for the paths.
    fn rules(&self, resources: Vec<(String, String)>) -> Vec<Value> {
        let mut verbs: Vec<&str> = Vec::new();
        for verb in self.verb.iter().map(String::as_str) {
            if !verbs.contains(&verb) {
                verbs.push(verb);
            }
        }
        if verbs.contains(&"*") {
            verbs = vec!["*"];
        }
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, resource) in resources {
            let known = groups.entry(group).or_default();
            if !known.contains(&resource) {
                known.push(resource);
            }
        }
        let mut rules = Vec::new();
        for (group, resources) in groups {
            let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
            if !self.resource_name.is_empty() {
                rule["resourceNames"] = json!(self.resource_name);
            }
            rules.push(rule);
        }
        if !self.paths.is_empty() {
            rules.push(json!({"nonResourceURLs": self.paths, "verbs": verbs}));
        }
        rules
    }
}

/// Group and name, with the subresource, of what a word means.
async fn resource(session: &Session, word: &str) -> Result<(String, String)> {
    if word == "*" {
        return Ok((String::new(), "*".to_owned()));
    }
    let (kind, subresource) = word.split_once('/').map_or((word, None), |(kind, below)| (kind, Some(below)));
    let row = kinds::find(session, kind).await?;
    Ok((row.group, subresource.map_or(row.resource.clone(), |below| format!("{}/{below}", row.resource))))
}

impl BindingArgs {
    /// The binding.
    pub(super) fn object(&self, kind: &str) -> Result<Value> {
        let (role_kind, role) = match (&self.role, &self.cluster_role) {
            (Some(role), None) if kind == "RoleBinding" => ("Role", role),
            (None, Some(role)) => ("ClusterRole", role),
            _ if kind == "RoleBinding" => bail!("exactly one of clusterrole or role must be specified"),
            _ => bail!("required flag(s) \"clusterrole\" not set"),
        };
        let mut object = json!({"apiVersion": VERSION, "kind": kind, "metadata": {"name": self.name},
            "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role}});
        let subjects = self.subjects()?;
        if !subjects.is_empty() {
            object["subjects"] = subjects.into();
        }
        Ok(object)
    }

    fn subjects(&self) -> Result<Vec<Value>> {
        let of = |kind: &'static str| move |name: &String| json!({"apiGroup": GROUP, "kind": kind, "name": name});
        let mut subjects: Vec<Value> = self.user.iter().map(of("User")).collect();
        subjects.extend(self.group.iter().map(of("Group")));
        for account in &self.service_account {
            let pair = account.split_once(':').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
            let (namespace, name) = pair.context("serviceaccount must be <namespace>:<name>")?;
            subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
        }
        Ok(subjects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_role_has_a_rule_for_each_group() {
        let args = RoleArgs {
            name: "r".to_owned(),
            verb: texts(&["get", "get"]),
            resource: Vec::new(),
            resource_name: texts(&["a"]),
            paths: texts(&["/x"]),
        };
        let pairs = [("", "pods"), ("apps", "deployments"), ("", "pods/log")];
        let rules = args.rules(pairs.map(|(group, name)| (group.to_owned(), name.to_owned())).to_vec());
        let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "resourceNames": ["a"], "verbs": ["get"]});
        let paths = json!({"nonResourceURLs": ["/x"], "verbs": ["get"]});
        assert_eq!(rules, [rule("", &["pods", "pods/log"]), rule("apps", &["deployments"]), paths]);
    }

    #[test]
    fn a_binding_is_of_one_role() {
        let mut args = BindingArgs {
            name: "b".to_owned(),
            role: Some("r".to_owned()),
            cluster_role: None,
            user: texts(&["u"]),
            group: Vec::new(),
            service_account: texts(&["t:sa"]),
        };
        let made = args.object("RoleBinding").unwrap();
        assert_eq!(made["roleRef"]["kind"], "Role");
        assert_eq!(made["subjects"][1], json!({"kind": "ServiceAccount", "name": "sa", "namespace": "t"}));
        assert!(args.object("ClusterRoleBinding").is_err());
        args.cluster_role = args.role.clone();
        assert!(args.object("RoleBinding").is_err());
    }
}
