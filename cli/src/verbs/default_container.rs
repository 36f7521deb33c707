//! Which container is meant where a pod has several.

use anyhow::{Context, Result, bail};
use serde_json::Value;

const DEFAULT: &str = "kubectl.kubernetes.io/default-container";
/// A pod's lists of containers, and what is said behind the names of those in them.
const LISTS: [(&str, &str); 3] =
    [("containers", ""), ("ephemeralContainers", " (ephem)"), ("initContainers", " (init)")];

/// The container that is named; if none is, the one that the pod says or its first, of which the user is told.
///
/// # Errors
/// The pod has no such container, or none.
pub(super) fn container(pod: &Value, named: &str) -> Result<String> {
    let all: Vec<(&str, &str)> =
        LISTS.into_iter().flat_map(|(list, mark)| names(pod, list).map(move |name| (name, mark))).collect();
    let shown = || all.iter().map(|(name, mark)| format!("{name}{mark}")).collect::<Vec<_>>().join(", ");
    let known = |wanted: &str| all.iter().any(|(name, _)| *name == wanted);
    if !named.is_empty() {
        if !known(named) {
            let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
            bail!("container {named} is not valid for pod {pod} out of: {}", shown());
        }
        return Ok(named.to_owned());
    }
    if let Some(wanted) = pod["metadata"]["annotations"][DEFAULT].as_str().filter(|wanted| known(wanted)) {
        return Ok(wanted.to_owned());
    }
    let first = names(pod, "containers").next().context("the pod has no containers")?;
    if all.len() > 1 {
        eprintln!("Defaulted container {first:?} out of: {}", shown());
    }
    Ok(first.to_owned())
}

fn names<'p>(pod: &'p Value, list: &str) -> impl Iterator<Item = &'p str> + use<'p> {
    pod["spec"][list].as_array().into_iter().flatten().filter_map(|container| container["name"].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_named_one_the_pod_s_or_the_first_is_meant() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}});
        assert_eq!(container(&pod, "").unwrap(), "a");
        assert_eq!(container(&pod, "i").unwrap(), "i");
        let told = container(&pod, "x").unwrap_err().to_string();
        assert_eq!(told, "container x is not valid for pod p out of: a, b, i (init)");
        pod["metadata"]["annotations"][DEFAULT] = json!("b");
        assert_eq!(container(&pod, "").unwrap(), "b");
        assert!(container(&json!({}), "").is_err());
    }
}
