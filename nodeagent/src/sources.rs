//! The ConfigMaps and Secrets that a pod is made with.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Secret};

/// The ConfigMaps and Secrets that a pod refers to, fetched before; those that do not exist are missing.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sources {
    pub config_maps: BTreeMap<String, ConfigMap>,
    pub secrets: BTreeMap<String, Secret>,
}

/// Names of the ConfigMaps and Secrets that a pod's volumes, environment and image pulls refer to.
pub(crate) fn references(spec: &PodSpec) -> (Vec<String>, Vec<String>) {
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    for volume in spec.volumes.iter().flatten() {
        maps.extend(volume.config_map.as_ref().map(|s| s.name.clone()));
        secrets.extend(volume.secret.as_ref().and_then(|s| s.secret_name.clone()));
        for source in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
            maps.extend(source.config_map.as_ref().map(|s| s.name.clone()));
            secrets.extend(source.secret.as_ref().map(|s| s.name.clone()));
        }
    }
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        for from in container.env_from.iter().flatten() {
            maps.extend(from.config_map_ref.as_ref().map(|s| s.name.clone()));
            secrets.extend(from.secret_ref.as_ref().map(|s| s.name.clone()));
        }
        for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
            maps.extend(source.config_map_key_ref.as_ref().map(|s| s.name.clone()));
            secrets.extend(source.secret_key_ref.as_ref().map(|s| s.name.clone()));
        }
    }
    secrets.extend(spec.image_pull_secrets.iter().flatten().map(|s| s.name.clone()));
    for names in [&mut maps, &mut secrets] {
        names.retain(|n| !n.is_empty());
        names.sort();
        names.dedup();
    }
    (maps, secrets)
}
