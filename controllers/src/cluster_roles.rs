//! ClusterRoles that gather the rules of others, as `view`, `edit` and `admin` do.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::Resource as _;
use k8s_openapi::api::rbac::v1::{AggregationRule, ClusterRole, PolicyRule};
use mainstay_client::{Error, Key, object_key};
use serde_json::{Value, json};

use crate::claim::absent_is_fine;
use crate::meta::{is_deleting, name, selector, selects};
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};

/// Owns the rules, as in Kubernetes.
const MANAGER: &str = "clusterrole-aggregation-controller";

pub(crate) struct ClusterRoles {
    world: World,
}

impl ClusterRoles {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let (keys, known) = (queue.clone(), informers.cluster_roles.store());
        // Whichever role changes, any other may gather it.
        informers.cluster_roles.on_change(move |_| {
            let gathering = known.list().into_iter().filter(|role| role.aggregation_rule.is_some());
            gathering.for_each(|role| {
                keys.add(object_key(&*role));
            });
        });
        Self { world: world.clone() }
    }
}

#[async_trait]
impl Controller for ClusterRoles {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(role) = self.world.cluster_roles.get(key).filter(|role| !is_deleting(&role.metadata)) else {
            return Ok(Next::Settled);
        };
        if let Some(rules) = due(&role, self.world.cluster_roles.list()) {
            let api = self.world.api::<ClusterRole>("").manager(MANAGER);
            absent_is_fine(api.apply(&key.name, &applied(&role, &rules), true).await)?;
        }
        Ok(Next::Settled)
    }
}

/// The rules that a role is to have, if it gathers and has others.
fn due(role: &ClusterRole, all: Vec<Arc<ClusterRole>>) -> Option<Vec<PolicyRule>> {
    let rules = gathered(name(&role.metadata), role.aggregation_rule.as_ref()?, all);
    let present = role.rules.as_deref().unwrap_or_default();
    // Their order does not count: roles that gather each other could turn it round for ever.
    let same = rules.len() == present.len() && rules.iter().all(|rule| present.contains(rule));
    (!same).then_some(rules)
}

/// What the selectors find, each rule once: one selector after the other, the roles of each by name.
fn gathered(own: &str, rule: &AggregationRule, mut all: Vec<Arc<ClusterRole>>) -> Vec<PolicyRule> {
    all.retain(|role| name(&role.metadata) != own);
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let mut rules = Vec::new();
    for wanted in rule.cluster_role_selectors.iter().flatten().map(selector) {
        for role in all.iter().filter(|role| selects(&wanted, &role.metadata)) {
            for rule in role.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    rules
}

/// What to apply to a role. Its uid keeps one that is gone from being made again.
fn applied(role: &ClusterRole, rules: &[PolicyRule]) -> Value {
    json!({
        "apiVersion": ClusterRole::API_VERSION, "kind": ClusterRole::KIND,
        "metadata": {"name": role.metadata.name, "uid": role.metadata.uid},
        "rules": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(value: Value) -> Arc<ClusterRole> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn reading(resource: &str) -> Value {
        json!({"apiGroups": [""], "resources": [resource], "verbs": ["get"]})
    }

    fn part(name: &str, resources: &[&str]) -> Arc<ClusterRole> {
        let rules: Vec<Value> = resources.iter().map(|resource| reading(resource)).collect();
        role(json!({"metadata": {"name": name, "labels": {"to-view": "true"}}, "rules": rules}))
    }

    fn view(rules: Value) -> Arc<ClusterRole> {
        role(json!({
            "metadata": {"name": "view", "uid": "1", "labels": {"to-view": "true"}}, "rules": rules,
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]},
        }))
    }

    #[test]
    fn rules_are_gathered_once_and_by_the_names_of_roles() {
        let empty = view(Value::Null);
        let other = role(json!({"metadata": {"name": "a"}, "rules": [reading("secrets")]}));
        let all = vec![part("c", &["pods", "nodes"]), other, part("b", &["services", "pods"]), empty.clone()];
        let rules = due(&empty, all.clone()).unwrap();
        let expected = json!([reading("services"), reading("pods"), reading("nodes")]);
        assert_eq!(serde_json::to_value(&rules).unwrap(), expected);
        assert_eq!(due(&view(expected), all.clone()), None);
        let turned = json!([reading("nodes"), reading("pods"), reading("services")]);
        assert_eq!(due(&view(turned), all.clone()), None);
        assert!(due(&view(json!([reading("nodes"), reading("pods")])), all.clone()).is_some());
        assert!(due(&view(json!([reading("nodes"), reading("pods"), reading("secrets")])), all).is_some());
        assert_eq!(applied(&empty, &rules)["metadata"], json!({"name": "view", "uid": "1"}));
    }

    #[test]
    fn a_role_without_a_selector_keeps_its_rules() {
        assert_eq!(due(&part("a", &["pods"]), vec![part("b", &["nodes"])]), None);
        assert_eq!(due(&view(json!([reading("pods")])), Vec::new()), Some(Vec::new()));
    }
}
