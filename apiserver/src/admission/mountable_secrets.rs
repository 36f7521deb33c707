//! Accounts that list which secrets their pods may use.

use std::collections::HashSet;

use mainstay_api::meta;
use serde_json::Value;

use crate::strategy::validate::At;

const ENFORCED: &str = "kubernetes.io/enforce-mountable-secrets";

/// What a pod uses that its account does not list.
///
/// # Errors
/// The first of it, in Kubernetes' words.
pub(super) fn check(account: &Value, pod: &Value) -> Result<(), String> {
    let Some(allowed) = Allowed::by(account) else { return Ok(()) };
    let spec = At::spec(pod);
    for volume in spec.get("volumes").items().filter_map(|volume| volume.opt("secret")) {
        let name = volume.get("secretName");
        allowed.check(name.str(), || format!("volume with secret.secretName=\"{}\"", name.str()))?;
    }
    allowed.containers("init container", &spec.get("initContainers"))?;
    allowed.containers("container", &spec.get("containers"))?;
    let pulls = names(account, "imagePullSecrets");
    for (index, secret) in spec.get("imagePullSecrets").items().enumerate() {
        let name = secret.get("name");
        if !pulls.contains(name.str()) {
            return Err(format!(
                "imagePullSecrets[{index}].name=\"{}\" is not allowed because service account {} does not reference that imagePullSecret",
                name.str(),
                meta::name(account)
            ));
        }
    }
    Ok(())
}

/// The same of the ephemeral containers of a pod.
///
/// # Errors
/// The first of it, in Kubernetes' words.
pub(super) fn check_ephemeral(account: &Value, pod: &Value) -> Result<(), String> {
    match Allowed::by(account) {
        Some(allowed) => allowed.containers("ephemeral container", &At::spec(pod).get("ephemeralContainers")),
        None => Ok(()),
    }
}

/// The secrets that an account lists.
struct Allowed<'a> {
    account: &'a str,
    secrets: HashSet<&'a str>,
}

impl<'a> Allowed<'a> {
    /// `None` if the account does not limit its pods.
    fn by(account: &'a Value) -> Option<Self> {
        let enforced = meta::annotation(account, ENFORCED)?;
        let says_so = matches!(enforced, "1" | "t" | "T" | "TRUE" | "true" | "True");
        says_so.then(|| Self { account: meta::name(account), secrets: names(account, "secrets") })
    }

    fn check(&self, secret: &str, what: impl FnOnce() -> String) -> Result<(), String> {
        if self.secrets.contains(secret) {
            return Ok(());
        }
        let account = self.account;
        Err(format!("{} is not allowed because service account {account} does not reference that secret", what()))
    }

    /// What the environment of containers is taken from.
    fn containers(&self, kind: &str, containers: &At<'_>) -> Result<(), String> {
        for container in containers.items() {
            let (name, env) = (container.get("name"), container.get("env"));
            for variable in env.items() {
                let Some(of) = variable.get("valueFrom").opt("secretKeyRef") else { continue };
                let secret = of.get("name");
                let (name, own) = (name.str(), variable.get("name"));
                self.check(secret.str(), || {
                    let (own, secret) = (own.str(), secret.str());
                    format!("{kind} {name} with envVar {own} referencing secret.secretName=\"{secret}\"")
                })?;
            }
            for source in container.get("envFrom").items().filter_map(|source| source.opt("secretRef")) {
                let (name, secret) = (name.str(), source.get("name"));
                self.check(secret.str(), || {
                    format!("{kind} {name} with envFrom referencing secret.secretName=\"{}\"", secret.str())
                })?;
            }
        }
        Ok(())
    }
}

fn names<'a>(account: &'a Value, field: &str) -> HashSet<&'a str> {
    let list = account.get(field).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|entry| entry.get("name").and_then(Value::as_str)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(enforced: &str, spec: &Value) -> String {
        let account = json!({
            "metadata": {"name": "a", "annotations": {ENFORCED: enforced}},
            "secrets": [{"name": "own"}], "imagePullSecrets": [{"name": "pull"}],
        });
        let pod = json!({"spec": spec});
        check(&account, &pod).and_then(|()| check_ephemeral(&account, &pod)).err().unwrap_or_default()
    }

    #[test]
    fn only_listed_secrets_are_used() {
        let because = "is not allowed because service account a does not reference that secret";
        let volume = |name: &str| json!({"volumes": [{"name": "v", "secret": {"secretName": name}}]});
        assert_eq!(refusal("true", &volume("own")), "");
        assert_eq!(refusal("true", &volume("x")), format!("volume with secret.secretName=\"x\" {because}"));
        assert_eq!(refusal("yes", &volume("x")), "");
        let variable = json!({"name": "E", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}});
        assert_eq!(
            refusal("true", &json!({"initContainers": [{"name": "i", "env": [variable]}]})),
            format!("init container i with envVar E referencing secret.secretName=\"x\" {because}")
        );
        assert_eq!(
            refusal("1", &json!({"ephemeralContainers": [{"name": "e", "envFrom": [{"secretRef": {"name": "x"}}]}]})),
            format!("ephemeral container e with envFrom referencing secret.secretName=\"x\" {because}")
        );
        let pulls = |name: &str| json!({"imagePullSecrets": [{"name": name}]});
        assert_eq!(refusal("true", &pulls("pull")), "");
        assert!(refusal("true", &pulls("own")).starts_with("imagePullSecrets[0].name=\"own\" is not allowed"));
    }
}
