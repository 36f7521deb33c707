//! What a pod's status says of its devices: which claims it has, what they stand for, how the devices are.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;

use crate::strategy::validate::{At, Errors};

const HEALTH: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];

/// The claims that were made from templates for the pod.
pub(super) fn claims(status: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let known: HashSet<&str> = spec.get("resourceClaims").items().map(|claim| claim.get("name").str()).collect();
    let mut seen = HashSet::new();
    for claim in status.get("resourceClaimStatuses").items() {
        let name = claim.get("name");
        if !known.contains(name.str()) {
            errors.invalid(&name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
        if let Some(made) = claim.opt("resourceClaimName") {
            let flaws = names::is_dns1123_subdomain(made.str()).into_iter();
            errors.0.extend(flaws.map(|why| Error::invalid(&name.path, made.str(), why)));
        }
    }
}

/// The claim that was made for resources which devices provide.
pub(super) fn extended(status: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let Some(claim) = status.opt("extendedResourceClaimStatus") else { return };
    let mappings = claim.get("requestMappings");
    if mappings.is_empty() {
        errors.required(&mappings, "at least one request mapping is required");
    }
    let mut seen = HashSet::new();
    for mapping in mappings.items() {
        self::mapping(&mapping, &claim, spec, errors);
        let parts = ["containerName", "resourceName", "requestName"].map(|field| mapping.get(field));
        if !seen.insert(parts.each_ref().map(At::str)) {
            parts.iter().for_each(|part| errors.duplicate(part));
        }
    }
    errors.name(&claim.get("resourceClaimName"), names::is_dns1123_subdomain);
}

/// Which request of the claim stands for which resource of which container.
fn mapping(mapping: &At<'_>, claim: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    const CONTAINER: &str = "must match the name of an entry in spec.initContainers.name or spec.containers.name";
    const RESOURCE: &str = "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests";
    let (container, resource) = (mapping.get("containerName"), mapping.get("resourceName"));
    let mut all = spec.get("initContainers").items().chain(spec.get("containers").items());
    match all.find(|at| at.get("name").str() == container.str()) {
        None => errors.invalid(&container, CONTAINER),
        Some(at) if !at.get("resources").get("requests").map().contains_key(resource.str()) => {
            errors.invalid(&resource, RESOURCE);
        }
        Some(_) => {}
    }
    let request = mapping.get("requestName").str();
    let flaws = names::is_dns1123_label(request).into_iter();
    // Kubernetes shows it as the claim's.
    let path = claim.path.child("requestName");
    errors.0.extend(flaws.map(|why| Error::invalid(&path, request, why)));
}

/// How the devices of the containers are.
pub(super) fn health(status: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    for (field, list) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")] {
        for of in status.get(field).items() {
            let container = spec.get(list).items().find(|at| at.get("name").str() == of.get("name").str());
            for resource in of.get("allocatedResourcesStatus").items() {
                if let Some(container) = &container {
                    asked_for(&resource.get("name"), container, errors);
                }
                devices(&resource.get("resources"), errors);
            }
        }
    }
    for of in status.get("ephemeralContainerStatuses").items() {
        let resources = of.get("allocatedResourcesStatus");
        if !resources.is_empty() {
            errors.forbidden(&resources, "must not be specified in container status");
        }
    }
}

/// What the devices of a container are for is something that it asks for.
fn asked_for(name: &At<'_>, container: &At<'_>, errors: &mut Errors) {
    const CLAIM: &str = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
    let resources = container.get("resources");
    let Some(wanted) = name.str().strip_prefix("claim:") else {
        if !resources.get("requests").map().contains_key(name.str()) {
            errors.invalid(name, "must match one of the container's resource requests");
        }
        return;
    };
    let is_wanted = |claim: At<'_>| match claim.get("request").str() {
        "" => claim.get("name").str() == wanted,
        request => format!("{}/{request}", claim.get("name").str()) == wanted,
    };
    if !resources.get("claims").items().any(is_wanted) {
        errors.invalid(name, CLAIM);
    }
}

fn devices(list: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for device in list.items() {
        let (health, id) = (device.get("health"), device.get("resourceID"));
        if !HEALTH.contains(&health.str()) {
            errors.0.push(Error::not_supported(&health.path, health.str(), &HEALTH));
        }
        if let Some(message) = device.opt("message") {
            if message.str().is_empty() {
                errors.required(&message, "must be non-empty if specified");
            } else if message.str().len() > 1024 {
                errors.0.push(Error::too_long(&message.path, 1024));
            }
        }
        if !seen.insert(id.str()) {
            errors.duplicate(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(rule: fn(&At<'_>, &At<'_>, &mut Errors), status: Value) -> Vec<String> {
        let resources = json!({"requests": {"example.com/gpu": "1"}, "claims": [{"name": "x", "request": "r"}]});
        let pod = json!({"spec": {
            "resourceClaims": [{"name": "x", "resourceClaimTemplateName": "t"}],
            "containers": [{"name": "c", "resources": resources}],
        }, "status": status});
        let mut errors = Errors::default();
        rule(&At::root(&pod).get("status"), &At::spec(&pod), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn claims_are_those_of_the_pod_each_once() {
        let good = json!({"resourceClaimStatuses": [{"name": "x", "resourceClaimName": "p-x-abcde"}]});
        assert_eq!(judge(claims, good), Vec::<String>::new());
        let bad =
            json!({"resourceClaimStatuses": [{"name": "y"}, {"name": "x"}, {"name": "x", "resourceClaimName": "B_"}]});
        let found = judge(claims, bad);
        assert_eq!(
            found[..2],
            [
                "status.resourceClaimStatuses[0].name: Invalid value: \"y\": must match the name of an entry in `spec.resourceClaims`",
                "status.resourceClaimStatuses[2].name: Duplicate value: \"x\"",
            ]
        );
        assert!(found[2].starts_with("status.resourceClaimStatuses[2].name: Invalid value: \"B_\": "), "{found:?}");
    }

    #[test]
    fn requests_stand_for_resources_of_containers() {
        let mapping = |container: &str, resource: &str| json!({"containerName": container, "resourceName": resource, "requestName": "container-0-request-0"});
        let of = |mappings: Value| {
            judge(
                extended,
                json!({"extendedResourceClaimStatus": {"resourceClaimName": "n", "requestMappings": mappings}}),
            )
        };
        assert_eq!(of(json!([mapping("c", "example.com/gpu")])), Vec::<String>::new());
        assert_eq!(
            of(json!([])),
            [
                "status.extendedResourceClaimStatus.requestMappings: Required value: at least one request mapping is required"
            ]
        );
        let found = of(json!([mapping("d", "example.com/gpu"), mapping("c", "cpu"), mapping("c", "cpu")]));
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found[0].contains("requestMappings[0].containerName: Invalid value: \"d\": must match the name"));
        assert!(found[1].contains("requestMappings[1].resourceName: Invalid value: \"cpu\": must match the extended"));
    }

    #[test]
    fn health_is_told_of_what_containers_ask_for() {
        let of = |name: &str, health: &str| {
            let resources = json!([{"name": name, "resources": [{"resourceID": "a", "health": health}]}]);
            judge(super::health, json!({"containerStatuses": [{"name": "c", "allocatedResourcesStatus": resources}]}))
        };
        assert_eq!(of("claim:x/r", "Healthy"), Vec::<String>::new());
        assert_eq!(of("example.com/gpu", "Unknown"), Vec::<String>::new());
        assert_eq!(
            of("cpu", "Odd"),
            [
                "status.containerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: \"cpu\": must match one of the container's resource requests",
                "status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health: Unsupported value: \"Odd\": supported values: \"Healthy\", \"Unhealthy\", \"Unknown\"",
            ]
        );
        assert!(of("claim:x", "Healthy")[0].contains("must match one of the container's resource claims"));
    }
}
