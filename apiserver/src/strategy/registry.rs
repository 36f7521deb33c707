//! Which resource has which strategy.

use std::sync::Arc;

use mainstay_api::resource::Resource;

use super::Strategy;
use super::kinds::{apps, config, namespace::Namespace, node::Node, pod::Pod, service::Service};
use super::rules::Rules;

/// The strategy of a resource.
pub fn for_resource(resource: &Resource) -> Arc<dyn Strategy> {
    match (&*resource.group, &*resource.resource) {
        ("", "namespaces") => Arc::new(Namespace),
        ("", "nodes") => Arc::new(Node),
        ("", "pods") => Arc::new(Pod),
        ("", "services") => Arc::new(Service),
        (group, name) => Arc::new(rules(group, name)),
    }
}

/// The rules of kinds that need no steps of their own.
fn rules(group: &str, resource: &str) -> Rules {
    match (group, resource) {
        ("", name) => core(name),
        ("apps", name) => self::apps(name),
        _ => Rules::PLAIN,
    }
}

fn core(resource: &str) -> Rules {
    match resource {
        "configmaps" => config::CONFIG_MAP,
        "secrets" => config::SECRET,
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
