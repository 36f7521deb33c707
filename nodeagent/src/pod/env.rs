//! A container's environment: values, references, `$(VAR)` and the services of its namespace.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod, Service};

use super::fields;
use crate::sources::Sources;

/// What else an environment is made of.
pub(crate) struct Surroundings<'a> {
    pub pod: &'a Pod,
    pub sources: &'a Sources,
    pub services: &'a [std::sync::Arc<Service>],
    pub host_ip: &'a str,
    pub pod_ips: &'a [String],
}

/// The variables in order, or why they cannot be told (as Kubernetes words it).
pub(crate) fn environment(around: &Surroundings, container: &Container) -> Result<Vec<(String, String)>, String> {
    let mut vars = service_vars(around);
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or("");
        let data = if let Some(source) = &from.config_map_ref {
            config_map_data(around, &source.name, source.optional)?
        } else if let Some(source) = &from.secret_ref {
            secret_data(around, &source.name, source.optional)?
        } else {
            continue;
        };
        vars.extend(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
    }
    let mut order: Vec<String> = vars.keys().cloned().collect();
    for var in container.env.iter().flatten() {
        if let Some(value) = value_of(around, container, var, &vars)? {
            if !vars.contains_key(&var.name) {
                order.push(var.name.clone());
            }
            vars.insert(var.name.clone(), value);
        }
    }
    Ok(order
        .into_iter()
        .map(|name| {
            let value = vars.remove(&name).unwrap_or_default();
            (name, value)
        })
        .collect())
}

fn value_of(
    around: &Surroundings,
    container: &Container,
    var: &EnvVar,
    vars: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    match &var.value_from {
        None => Ok(Some(expand(var.value.as_deref().unwrap_or(""), |name| vars.get(name).cloned()))),
        Some(source) => referenced(around, container, source),
    }
}

fn referenced(around: &Surroundings, container: &Container, source: &EnvVarSource) -> Result<Option<String>, String> {
    if let Some(field) = &source.field_ref {
        return match field.field_path.as_str() {
            "status.podIP" => Ok(around.pod_ips.first().cloned()),
            "status.podIPs" => Ok(Some(around.pod_ips.join(","))),
            "status.hostIP" | "status.hostIPs" => Ok(Some(around.host_ip.to_owned())),
            path => fields::field(around.pod, path).map(Some),
        };
    }
    if let Some(resource) = &source.resource_field_ref {
        return fields::resource(around.pod, container, resource).map(Some);
    }
    if let Some(key) = &source.config_map_key_ref {
        let data = config_map_data(around, &key.name, key.optional)?;
        return keyed(data, &key.key, key.optional, || {
            format!("couldn't find key {} in ConfigMap {}/{}", key.key, namespace(around), key.name)
        });
    }
    if let Some(key) = &source.secret_key_ref {
        let data = secret_data(around, &key.name, key.optional)?;
        return keyed(data, &key.key, key.optional, || {
            format!("couldn't find key {} in Secret {}/{}", key.key, namespace(around), key.name)
        });
    }
    Ok(None)
}

fn keyed(
    mut data: BTreeMap<String, String>,
    key: &str,
    optional: Option<bool>,
    missing: impl FnOnce() -> String,
) -> Result<Option<String>, String> {
    match data.remove(key) {
        Some(value) => Ok(Some(value)),
        None if optional == Some(true) => Ok(None),
        None => Err(missing()),
    }
}

fn namespace<'a>(around: &'a Surroundings) -> &'a str {
    around.pod.metadata.namespace.as_deref().unwrap_or("")
}

fn config_map_data(
    around: &Surroundings,
    name: &str,
    optional: Option<bool>,
) -> Result<BTreeMap<String, String>, String> {
    match around.sources.config_maps.get(name) {
        Some(map) => Ok(map.data.clone().unwrap_or_default()),
        None if optional == Some(true) => Ok(BTreeMap::new()),
        None => Err(format!("configmap {name:?} not found")),
    }
}

fn secret_data(around: &Surroundings, name: &str, optional: Option<bool>) -> Result<BTreeMap<String, String>, String> {
    match around.sources.secrets.get(name) {
        Some(secret) => {
            let data = secret.data.iter().flatten();
            Ok(data.map(|(k, v)| (k.clone(), String::from_utf8_lossy(&v.0).into_owned())).collect())
        }
        None if optional == Some(true) => Ok(BTreeMap::new()),
        None => Err(format!("secret {name:?} not found")),
    }
}

/// `$(NAME)` becomes its value; `$$` becomes `$`; an unknown name stays as it is.
pub(crate) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            out.push_str(&lookup(name).unwrap_or_else(|| format!("$({name})")));
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

/// `NAME_SERVICE_HOST` and the like, for the namespace's services and for the API's.
fn service_vars(around: &Surroundings) -> BTreeMap<String, String> {
    let wanted = around.pod.spec.as_ref().and_then(|s| s.enable_service_links) != Some(false);
    let mut vars = BTreeMap::new();
    for service in around.services {
        let meta = &service.metadata;
        let api = meta.namespace.as_deref() == Some("default") && meta.name.as_deref() == Some("kubernetes");
        let own = wanted && meta.namespace.as_deref() == Some(namespace(around));
        if api || own {
            add_service(service, &mut vars);
        }
    }
    vars
}

fn add_service(service: &Service, vars: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None");
    let (Some(ip), Some(ports)) = (ip, &spec.ports) else { return };
    let name = service.metadata.name.as_deref().unwrap_or("").to_uppercase().replace('-', "_");
    vars.insert(format!("{name}_SERVICE_HOST"), ip.to_owned());
    for (position, port) in ports.iter().enumerate() {
        let number = port.port;
        let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
        let url = format!("{protocol}://{ip}:{number}");
        if position == 0 {
            vars.insert(format!("{name}_SERVICE_PORT"), number.to_string());
            vars.insert(format!("{name}_PORT"), url.clone());
        }
        if let Some(word) = &port.name {
            vars.insert(format!("{name}_SERVICE_PORT_{}", word.to_uppercase().replace('-', "_")), number.to_string());
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        vars.insert(format!("{prefix}_PROTO"), protocol);
        vars.insert(format!("{prefix}_PORT"), number.to_string());
        vars.insert(format!("{prefix}_ADDR"), ip.to_owned());
        vars.insert(prefix, url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion_knows_escapes_and_leaves_the_unknown() {
        let lookup = |name: &str| (name == "A").then(|| "1".to_owned());
        assert_eq!(expand("$(A)-$$(A)-$(B)-$x$", lookup), "1-$(A)-$(B)-$x$");
    }
}
