//! Which resource has which strategy.

use std::sync::Arc;

use mainstay_api::resource::Resource;

use super::Strategy;
use super::kinds::{
    admission, apps, autoscaling, batch, certificates, config, devices, discovery, events, flow, namespace, networking,
    node, pod, quota, rbac, scheduling, service, storage, volumes,
};
use super::rules::Rules;
use crate::{aggregation, custom};

/// The strategy of a resource.
pub fn for_resource(resource: &Resource) -> Arc<dyn Strategy> {
    match (&*resource.group, &*resource.resource) {
        ("", "namespaces") => Arc::new(namespace::Namespace),
        ("", "nodes") => Arc::new(node::Node),
        ("", "pods") => Arc::new(pod::Pod),
        ("", "services") => Arc::new(service::Service),
        ("", "persistentvolumes") => Arc::new(volumes::Volume),
        ("", "persistentvolumeclaims") => Arc::new(volumes::Claim),
        (custom::GROUP, custom::DEFINITIONS) => Arc::new(custom::definition::Definitions),
        ("batch", "jobs") => Arc::new(batch::Job),
        ("certificates.k8s.io", "certificatesigningrequests") => Arc::new(certificates::SigningRequest),
        (group, name) => Arc::new(rules(group, name)),
    }
}

/// The rules of kinds that need no steps of their own.
fn rules(group: &str, resource: &str) -> Rules {
    match (group, resource) {
        ("", name) => core(name),
        ("apps", name) => self::apps(name),
        ("networking.k8s.io", name) => self::networking(name),
        ("storage.k8s.io", name) => self::storage(name),
        ("rbac.authorization.k8s.io", name) => self::rbac(name),
        ("autoscaling", "horizontalpodautoscalers") => autoscaling::AUTOSCALER,
        ("policy", "poddisruptionbudgets") => autoscaling::BUDGET,
        ("batch", "cronjobs") => batch::CRON_JOB,
        ("discovery.k8s.io", "endpointslices") => discovery::SLICE,
        ("events.k8s.io", "events") => events::NEW,
        ("scheduling.k8s.io", "priorityclasses") => scheduling::PRIORITY_CLASS,
        ("node.k8s.io", "runtimeclasses") => scheduling::RUNTIME_CLASS,
        ("coordination.k8s.io", "leases") => scheduling::LEASE,
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => flow::SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => flow::LEVEL,
        (aggregation::GROUP, aggregation::API_SERVICES) => aggregation::API_SERVICE,
        ("resource.k8s.io", name) => self::devices(name),
        ("admissionregistration.k8s.io", name) => self::admission(name),
        _ => Rules::PLAIN,
    }
}

fn admission(resource: &str) -> Rules {
    match resource {
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => admission::WEBHOOKS,
        "validatingadmissionpolicies" => admission::POLICY,
        "mutatingadmissionpolicies" => admission::MUTATING_POLICY,
        "validatingadmissionpolicybindings" => admission::BINDING,
        "mutatingadmissionpolicybindings" => admission::MUTATING_BINDING,
        _ => Rules::PLAIN,
    }
}

fn core(resource: &str) -> Rules {
    match resource {
        "configmaps" => config::CONFIG_MAP,
        "secrets" => config::SECRET,
        "serviceaccounts" => config::SERVICE_ACCOUNT,
        "endpoints" => discovery::ENDPOINTS,
        "events" => events::CORE,
        "limitranges" => quota::LIMITS,
        "resourcequotas" => quota::QUOTA,
        "podtemplates" => apps::POD_TEMPLATE,
        "replicationcontrollers" => apps::REPLICATION_CONTROLLER,
        _ => Rules::PLAIN,
    }
}

fn apps(resource: &str) -> Rules {
    match resource {
        "deployments" => apps::DEPLOYMENT,
        "replicasets" => apps::REPLICA_SET,
        "statefulsets" => apps::STATEFUL_SET,
        "daemonsets" => apps::DAEMON_SET,
        "controllerrevisions" => apps::CONTROLLER_REVISION,
        _ => Rules::PLAIN,
    }
}

fn devices(resource: &str) -> Rules {
    match resource {
        "deviceclasses" => devices::CLASS,
        "resourceclaims" => devices::CLAIM,
        "resourceclaimtemplates" => devices::TEMPLATE,
        "resourceslices" => devices::SLICE,
        _ => Rules::PLAIN,
    }
}

fn networking(resource: &str) -> Rules {
    match resource {
        "ingresses" => networking::INGRESS,
        "ingressclasses" => networking::INGRESS_CLASS,
        "networkpolicies" => networking::NETWORK_POLICY,
        "servicecidrs" => networking::SERVICE_CIDR,
        "ipaddresses" => networking::IP_ADDRESS,
        _ => Rules::PLAIN,
    }
}

fn storage(resource: &str) -> Rules {
    match resource {
        "storageclasses" => storage::CLASS,
        "volumeattributesclasses" => storage::ATTRIBUTES_CLASS,
        "volumeattachments" => storage::ATTACHMENT,
        "csidrivers" => storage::DRIVER,
        "csinodes" => storage::NODE,
        "csistoragecapacities" => storage::CAPACITY,
        _ => Rules::PLAIN,
    }
}

fn rbac(resource: &str) -> Rules {
    match resource {
        "roles" => rbac::ROLE,
        "clusterroles" => rbac::CLUSTER_ROLE,
        "rolebindings" => rbac::BINDING,
        "clusterrolebindings" => rbac::CLUSTER_BINDING,
        _ => Rules::PLAIN,
    }
}
