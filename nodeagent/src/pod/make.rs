//! From a pod's spec to what the runtime is told.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Capabilities, Container, Pod, PodSpec, SeccompProfile, SecurityContext};
use mainstay_proto::cri as wire;

use super::{env, resources};
use crate::config::AgentConfig;
use crate::identity::{Identity, identity};
use crate::plan::spec_hash;
use crate::runtime::{
    ANNOTATION_HASH, ANNOTATION_RESTARTS, LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE, LABEL_POD_UID,
    PodRuntime,
};
use crate::volumes::Paths;

/// Where the logs of a pod's containers are.
pub(crate) fn log_dir(root: &Path, pod: &Identity) -> PathBuf {
    root.join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
}

/// Where a run of a container is logged.
pub(crate) fn log_of(config: &AgentConfig, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
    log_dir(&config.log_dir, &identity(pod)).join(container).join(format!("{attempt}.log"))
}

fn labels(pod: &Pod) -> HashMap<String, String> {
    let id = identity(pod);
    let own = pod.metadata.labels.clone().unwrap_or_default();
    let mut labels: HashMap<_, _> = own.into_iter().collect();
    for (key, value) in [(LABEL_POD_NAME, id.name), (LABEL_POD_NAMESPACE, id.namespace), (LABEL_POD_UID, id.uid)] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// What the pod's sandbox is to be.
pub(crate) fn sandbox_config(config: &AgentConfig, pod: &Pod, attempt: u32) -> wire::PodSandboxConfig {
    let id = identity(pod);
    let spec = pod.spec.clone().unwrap_or_default();
    let metadata = wire::PodSandboxMetadata {
        name: id.name.to_owned(),
        uid: id.uid.to_owned(),
        namespace: id.namespace.to_owned(),
        attempt,
    };
    let host_network = spec.host_network == Some(true);
    wire::PodSandboxConfig {
        metadata: Some(metadata),
        hostname: if host_network { String::new() } else { hostname(&spec, id.name) },
        log_directory: log_dir(&config.log_dir, &id).to_string_lossy().into_owned(),
        dns_config: dns(config, &spec, id.namespace),
        port_mappings: if host_network { Vec::new() } else { ports(&spec) },
        labels: labels(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
        linux: Some(linux_sandbox(config, &spec, id.uid)),
    }
}

fn hostname(spec: &PodSpec, name: &str) -> String {
    let name = spec.hostname.as_deref().filter(|h| !h.is_empty()).unwrap_or(name);
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

fn linux_sandbox(config: &AgentConfig, spec: &PodSpec, uid: &str) -> wire::LinuxPodSandboxConfig {
    let context = spec.security_context.clone().unwrap_or_default();
    let security = wire::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(spec)),
        run_as_user: context.run_as_user.map(|value| wire::Int64Value { value }),
        run_as_group: context.run_as_user.and(context.run_as_group).map(|value| wire::Int64Value { value }),
        supplemental_groups: groups(spec),
        privileged: spec.containers.iter().any(privileged),
        seccomp: seccomp(context.seccomp_profile.as_ref()),
        ..Default::default()
    };
    let sysctls = context.sysctls.iter().flatten().map(|s| (s.name.clone(), s.value.clone())).collect();
    wire::LinuxPodSandboxConfig {
        cgroup_parent: resources::cgroup_parent(&config.cgroup_root, spec, uid),
        security_context: Some(security),
        sysctls,
        overhead: None,
        resources: None,
    }
}

fn namespaces(spec: &PodSpec) -> wire::NamespaceOption {
    use wire::NamespaceMode::{Container, Node, Pod};
    let pid = match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => Node,
        (_, Some(true)) => Pod,
        _ => Container,
    };
    let network = if spec.host_network == Some(true) { Node } else { Pod };
    let ipc = if spec.host_ipc == Some(true) { Node } else { Pod };
    wire::NamespaceOption { network: network.into(), pid: pid.into(), ipc: ipc.into(), target_id: String::new() }
}

fn privileged(container: &Container) -> bool {
    container.security_context.as_ref().and_then(|c| c.privileged) == Some(true)
}

fn groups(spec: &PodSpec) -> Vec<i64> {
    let context = spec.security_context.as_ref();
    let supplemental = context.and_then(|c| c.supplemental_groups.clone()).unwrap_or_default();
    supplemental.into_iter().chain(context.and_then(|c| c.fs_group)).collect()
}

fn seccomp(profile: Option<&SeccompProfile>) -> Option<wire::SecurityProfile> {
    use wire::security_profile::ProfileType;
    let kind = match profile.map(|p| p.type_.as_str()) {
        Some("RuntimeDefault") => ProfileType::RuntimeDefault,
        Some("Localhost") => ProfileType::Localhost,
        _ => ProfileType::Unconfined,
    };
    let localhost_ref = profile.and_then(|p| p.localhost_profile.clone()).unwrap_or_default();
    Some(wire::SecurityProfile { profile_type: kind.into(), localhost_ref })
}

fn ports(spec: &PodSpec) -> Vec<wire::PortMapping> {
    let ports = spec.containers.iter().flat_map(|c| c.ports.iter().flatten());
    let mapped = ports.filter(|p| p.host_port.is_some_and(|h| h > 0)).map(|p| {
        let protocol = match p.protocol.as_deref() {
            Some("UDP") => wire::Protocol::Udp,
            Some("SCTP") => wire::Protocol::Sctp,
            _ => wire::Protocol::Tcp,
        };
        wire::PortMapping {
            protocol: protocol.into(),
            container_port: p.container_port,
            host_port: p.host_port.unwrap_or(0),
            host_ip: p.host_ip.clone().unwrap_or_default(),
        }
    });
    mapped.collect()
}

fn dns(config: &AgentConfig, spec: &PodSpec, namespace: &str) -> Option<wire::DnsConfig> {
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let host_network = spec.host_network == Some(true);
    let cluster = policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network);
    let mut dns = match &config.cluster_dns {
        Some(server) if cluster => cluster_first(server, &config.cluster_domain, namespace),
        _ if policy == "None" => wire::DnsConfig::default(),
        _ => spec.dns_config.as_ref().map(|_| wire::DnsConfig::default())?,
    };
    if let Some(own) = &spec.dns_config {
        dns.servers.extend(own.nameservers.iter().flatten().cloned());
        dns.searches.extend(own.searches.iter().flatten().cloned());
        let options = own.options.iter().flatten().filter_map(|o| {
            let name = o.name.clone()?;
            Some(o.value.as_ref().map_or(name.clone(), |value| format!("{name}:{value}")))
        });
        dns.options.extend(options);
    }
    Some(dns)
}

fn cluster_first(server: &str, domain: &str, namespace: &str) -> wire::DnsConfig {
    wire::DnsConfig {
        servers: vec![server.to_owned()],
        searches: vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()],
        options: vec!["ndots:5".to_owned()],
    }
}

/// A hollow container needs no more than its names.
pub(crate) fn hollow_config(spec: &Container, attempt: u32) -> wire::ContainerConfig {
    let user_specified_image = spec.image.clone().unwrap_or_default();
    wire::ContainerConfig {
        metadata: Some(wire::ContainerMetadata { name: spec.name.clone(), attempt }),
        image: Some(wire::ImageSpec { user_specified_image, ..wire::ImageSpec::default() }),
        annotations: [
            (ANNOTATION_HASH.to_owned(), spec_hash(spec)),
            (ANNOTATION_RESTARTS.to_owned(), attempt.to_string()),
        ]
        .into(),
        ..wire::ContainerConfig::default()
    }
}

/// All that a container is made of.
pub(crate) struct ContainerInput<'a> {
    pub config: &'a AgentConfig,
    pub pod: &'a Pod,
    pub spec: &'a Container,
    pub attempt: u32,
    /// The runtime's reference to the image.
    pub image: String,
    pub paths: &'a Paths,
    pub env: Vec<(String, String)>,
    pub node_memory: u64,
}

/// What a container is to be, or why it cannot be (a `CreateContainerConfigError`).
pub(crate) fn container_config(input: ContainerInput) -> Result<wire::ContainerConfig, String> {
    let ContainerInput { config, pod, spec, attempt, .. } = input;
    let lookup = |name: &str| input.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let expanded = |list: &Option<Vec<String>>| list.iter().flatten().map(|text| env::expand(text, lookup)).collect();
    let pod_spec = pod.spec.clone().unwrap_or_default();
    let mut labels = labels(pod);
    labels.insert(LABEL_CONTAINER_NAME.to_owned(), spec.name.clone());
    let linux = wire::LinuxContainerConfig {
        resources: Some(resources::linux_resources(&pod_spec, spec, input.node_memory)),
        security_context: Some(security(&pod_spec, spec)),
    };
    Ok(wire::ContainerConfig {
        metadata: Some(wire::ContainerMetadata { name: spec.name.clone(), attempt }),
        image: Some(wire::ImageSpec {
            image: input.image.clone(),
            user_specified_image: spec.image.clone().unwrap_or_default(),
            ..Default::default()
        }),
        command: expanded(&spec.command),
        args: expanded(&spec.args),
        working_dir: spec.working_dir.clone().unwrap_or_default(),
        mounts: super::mounts::mounts(config, pod, spec, attempt, input.paths, &lookup)?,
        labels,
        annotations: HashMap::from([
            (ANNOTATION_HASH.to_owned(), spec_hash(spec)),
            (ANNOTATION_RESTARTS.to_owned(), attempt.to_string()),
        ]),
        log_path: format!("{}/{attempt}.log", spec.name),
        stdin: spec.stdin == Some(true),
        stdin_once: spec.stdin_once == Some(true),
        tty: spec.tty == Some(true),
        linux: Some(linux),
        devices: Vec::new(),
        envs: input.env.into_iter().map(|(key, value)| wire::KeyValue { key, value }).collect(),
    })
}

/// An ephemeral container that names another one sees its processes.
pub(crate) fn join_target(config: &mut wire::ContainerConfig, pod: &Pod, runtime: &PodRuntime) {
    let name = config.metadata.as_ref().map(|m| m.name.as_str()).unwrap_or_default();
    let own = pod.spec.iter().flat_map(|s| s.ephemeral_containers.iter().flatten()).find(|c| c.name == name);
    let target = own.and_then(|c| c.target_container_name.as_deref()).filter(|t| !t.is_empty());
    let target = target.and_then(|target| runtime.latest(target)).map(|c| c.id.clone());
    let context = config.linux.as_mut().and_then(|l| l.security_context.as_mut());
    if let (Some(target_id), Some(options)) = (target, context.and_then(|c| c.namespace_options.as_mut())) {
        options.pid = wire::NamespaceMode::Target.into();
        options.target_id = target_id;
    }
}

fn security(spec: &PodSpec, container: &Container) -> wire::LinuxContainerSecurityContext {
    let pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let user = own.run_as_user.or(pod.run_as_user);
    let group = own.run_as_group.or(pod.run_as_group);
    wire::LinuxContainerSecurityContext {
        capabilities: own.capabilities.as_ref().map(capabilities),
        privileged: own.privileged == Some(true),
        namespace_options: Some(namespaces(spec)),
        run_as_user: user.map(|value| wire::Int64Value { value }),
        run_as_group: user.and(group).map(|value| wire::Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(spec),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(
            &own,
            &[
                "/proc/asound",
                "/proc/acpi",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/sys/firmware",
            ],
        ),
        readonly_paths: paths(&own, &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]),
        seccomp: seccomp(own.seccomp_profile.as_ref().or(pod.seccomp_profile.as_ref())),
        ..Default::default()
    }
}

fn paths(own: &SecurityContext, all: &[&str]) -> Vec<String> {
    match own.proc_mount.as_deref() {
        Some("Unmasked") => Vec::new(),
        _ => all.iter().map(|p| (*p).to_owned()).collect(),
    }
}

fn capabilities(own: &Capabilities) -> wire::Capability {
    wire::Capability {
        add_capabilities: own.add.clone().unwrap_or_default(),
        drop_capabilities: own.drop.clone().unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    }
}
