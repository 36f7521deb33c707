//! The rules that only say "this member, if absent, is that".

use std::sync::LazyLock;

use foldhash::HashMap;
use serde_json::Value;

use super::path;

/// The rules of one kind, in order. A line is `place.member=value`; the place must exist for the rule to apply.
/// `=` fills an absent member, `~=` a zero one as well.
pub(super) struct Rules(Vec<Rule>);

struct Rule {
    place: &'static str,
    member: &'static str,
    zero_too: bool,
    value: Value,
}

impl Rules {
    pub(super) fn parse(text: &'static str) -> Self {
        Self(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(Rule::parse).collect())
    }

    pub(super) fn apply(&self, object: &mut Value) {
        for rule in &self.0 {
            path::each(object, rule.place, &mut |at| rule.apply(at));
        }
    }
}

impl Rule {
    fn parse(line: &'static str) -> Self {
        let (left, right) = line.split_once('=').expect("every rule has an equals sign");
        let zero_too = left.ends_with('~');
        let left = left.trim_end_matches('~');
        let (place, member) = left.rsplit_once('.').unwrap_or(("", left));
        let value = serde_json::from_str(right).unwrap_or_else(|_| right.into());
        Self { place, member, zero_too, value }
    }

    fn apply(&self, at: &mut Value) {
        let vacant =
            if self.zero_too { !path::has(at, self.member) } else { at.get(self.member).is_none_or(Value::is_null) };
        if vacant && let Some(map) = at.as_object_mut() {
            map.insert(self.member.to_owned(), self.value.clone());
        }
    }
}

/// The rules of a kind.
pub(super) fn of(group: &str, version: &str, kind: &str) -> Option<&'static Rules> {
    static RULES: LazyLock<HashMap<&'static str, Rules>> =
        LazyLock::new(|| KINDS.iter().map(|(kind, text)| (*kind, Rules::parse(text))).collect());
    RULES.get(format!("{group}/{version}/{kind}").as_str())
}

const WEBHOOKS: &str = "
webhooks[].failurePolicy=Fail
webhooks[].matchPolicy=Equivalent
webhooks[].timeoutSeconds=10
webhooks[].namespaceSelector={}
webhooks[].objectSelector={}
webhooks[].clientConfig.service.port=443
webhooks[].rules[].scope=*
";

const MUTATING_WEBHOOKS: &str = "
webhooks[].failurePolicy=Fail
webhooks[].matchPolicy=Equivalent
webhooks[].timeoutSeconds=10
webhooks[].namespaceSelector={}
webhooks[].objectSelector={}
webhooks[].reinvocationPolicy=Never
webhooks[].clientConfig.service.port=443
webhooks[].rules[].scope=*
";

const POLICY: &str = "
spec.failurePolicy=Fail
spec.matchConstraints.matchPolicy=Equivalent
spec.matchConstraints.namespaceSelector={}
spec.matchConstraints.objectSelector={}
spec.matchConstraints.resourceRules[].scope=*
spec.matchConstraints.excludeResourceRules[].scope=*
";

const POLICY_BINDING: &str = "
spec.matchResources.matchPolicy=Equivalent
spec.matchResources.namespaceSelector={}
spec.matchResources.objectSelector={}
spec.matchResources.resourceRules[].scope=*
spec.matchResources.excludeResourceRules[].scope=*
";

const VOLUME_SOURCES: &str = "
spec.hostPath.type=\"\"
spec.iscsi.iscsiInterface=default
spec.rbd.pool=rbd
spec.rbd.user=admin
spec.rbd.keyring=/etc/ceph/keyring
spec.azureDisk.cachingMode=ReadWrite
spec.azureDisk.fsType=ext4
spec.azureDisk.readOnly=false
spec.azureDisk.kind=Shared
spec.scaleIO.storageMode=ThinProvisioned
spec.scaleIO.fsType=xfs
spec.persistentVolumeReclaimPolicy=Retain
spec.volumeMode=Filesystem
status.phase=Pending
";

const ATTACHED_SOURCES: &str = "
spec.source.inlineVolumeSpec.hostPath.type=\"\"
spec.source.inlineVolumeSpec.iscsi.iscsiInterface=default
spec.source.inlineVolumeSpec.rbd.pool=rbd
spec.source.inlineVolumeSpec.rbd.user=admin
spec.source.inlineVolumeSpec.rbd.keyring=/etc/ceph/keyring
spec.source.inlineVolumeSpec.azureDisk.cachingMode=ReadWrite
spec.source.inlineVolumeSpec.azureDisk.fsType=ext4
spec.source.inlineVolumeSpec.azureDisk.readOnly=false
spec.source.inlineVolumeSpec.azureDisk.kind=Shared
spec.source.inlineVolumeSpec.scaleIO.storageMode=ThinProvisioned
spec.source.inlineVolumeSpec.scaleIO.fsType=xfs
";

const RBAC_BINDING: &str = "roleRef.apiGroup~=rbac.authorization.k8s.io";

const KINDS: &[(&str, &str)] = &[
    ("/v1/Pod", "spec.enableServiceLinks=true"),
    ("/v1/ReplicationController", "spec.replicas=1"),
    ("/v1/Service", "spec.sessionAffinity=None\nspec.type=ClusterIP\nspec.ports[].protocol=TCP"),
    ("/v1/Secret", "type=Opaque"),
    ("/v1/PersistentVolume", VOLUME_SOURCES),
    ("/v1/PersistentVolumeClaim", "spec.volumeMode=Filesystem\nstatus.phase=Pending"),
    ("/v1/Endpoints", "subsets[].ports[].protocol=TCP"),
    ("/v1/Namespace", "status.phase=Active"),
    (
        "apps/v1/Deployment",
        "spec.replicas=1\nspec.strategy.type=RollingUpdate\nspec.revisionHistoryLimit=10\nspec.progressDeadlineSeconds=600",
    ),
    ("apps/v1/ReplicaSet", "spec.replicas=1"),
    ("apps/v1/DaemonSet", "spec.updateStrategy.type=RollingUpdate\nspec.revisionHistoryLimit=10"),
    (
        "apps/v1/StatefulSet",
        "spec.podManagementPolicy=OrderedReady\nspec.replicas=1\nspec.revisionHistoryLimit=10
        spec.persistentVolumeClaimRetentionPolicy={}
        spec.persistentVolumeClaimRetentionPolicy.whenDeleted=Retain
        spec.persistentVolumeClaimRetentionPolicy.whenScaled=Retain
        spec.volumeClaimTemplates[].spec.volumeMode=Filesystem
        spec.volumeClaimTemplates[].status.phase=Pending",
    ),
    (
        "batch/v1/Job",
        "spec.completionMode=NonIndexed\nspec.suspend=false\nspec.manualSelector=false
        spec.podFailurePolicy.rules[].onPodConditions[].status~=True",
    ),
    (
        "batch/v1/CronJob",
        "spec.concurrencyPolicy=Allow\nspec.suspend=false\nspec.successfulJobsHistoryLimit=3\nspec.failedJobsHistoryLimit=1
        spec.jobTemplate.spec.podFailurePolicy.rules[].onPodConditions[].status~=True",
    ),
    ("autoscaling/v1/HorizontalPodAutoscaler", "spec.minReplicas=1"),
    ("autoscaling/v2/HorizontalPodAutoscaler", "spec.minReplicas=1"),
    (
        "networking.k8s.io/v1/NetworkPolicy",
        "spec.ingress[].ports[].protocol=TCP\nspec.egress[].ports[].protocol=TCP",
    ),
    ("networking.k8s.io/v1/IngressClass", "spec.parameters.scope=Cluster"),
    ("storage.k8s.io/v1/StorageClass", "reclaimPolicy=Delete\nvolumeBindingMode=Immediate"),
    (
        "storage.k8s.io/v1/CSIDriver",
        "spec.attachRequired=true\nspec.podInfoOnMount=false\nspec.storageCapacity=false\nspec.requiresRepublish=false
        spec.fsGroupPolicy=ReadWriteOnceWithFSType\nspec.seLinuxMount=false\nspec.volumeLifecycleModes~=[\"Persistent\"]",
    ),
    ("storage.k8s.io/v1/VolumeAttachment", ATTACHED_SOURCES),
    ("rbac.authorization.k8s.io/v1/ClusterRoleBinding", RBAC_BINDING),
    ("rbac.authorization.k8s.io/v1/RoleBinding", RBAC_BINDING),
    ("admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration", WEBHOOKS),
    ("admissionregistration.k8s.io/v1/MutatingWebhookConfiguration", MUTATING_WEBHOOKS),
    ("admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy", POLICY),
    ("admissionregistration.k8s.io/v1/MutatingAdmissionPolicy", POLICY),
    ("admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding", POLICY_BINDING),
    ("admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding", POLICY_BINDING),
    ("apiextensions.k8s.io/v1/CustomResourceDefinition",
     "spec.conversion={\"strategy\":\"None\"}\nspec.conversion.webhook.clientConfig.service.port=443"),
    ("apiregistration.k8s.io/v1/APIService", "spec.service.port=443"),
    ("flowcontrol.apiserver.k8s.io/v1/FlowSchema", "spec.matchingPrecedence~=1000"),
    (
        "flowcontrol.apiserver.k8s.io/v1/PriorityLevelConfiguration",
        "spec.limited.nominalConcurrencyShares=30\nspec.limited.lendablePercent=0
        spec.limited.limitResponse.queuing.queues~=64\nspec.limited.limitResponse.queuing.handSize~=8
        spec.limited.limitResponse.queuing.queueLengthLimit~=50
        spec.exempt.nominalConcurrencyShares=0\nspec.exempt.lendablePercent=0",
    ),
    (
        "resource.k8s.io/v1/ResourceClaim",
        "spec.devices.requests[].exactly.allocationMode=ExactCount
        spec.devices.requests[].firstAvailable[].allocationMode=ExactCount
        spec.devices.requests[].exactly.tolerations[].operator=Equal
        spec.devices.requests[].firstAvailable[].tolerations[].operator=Equal
        status.allocation.devices.results[].tolerations[].operator=Equal",
    ),
    (
        "resource.k8s.io/v1/ResourceClaimTemplate",
        "spec.spec.devices.requests[].exactly.allocationMode=ExactCount
        spec.spec.devices.requests[].firstAvailable[].allocationMode=ExactCount
        spec.spec.devices.requests[].exactly.tolerations[].operator=Equal
        spec.spec.devices.requests[].firstAvailable[].tolerations[].operator=Equal",
    ),
    ("scheduling.k8s.io/v1/PriorityClass", "preemptionPolicy=PreemptLowerPriority"),
    ("discovery.k8s.io/v1/EndpointSlice", "ports[].name=\"\"\nports[].protocol=TCP"),
    ("authentication.k8s.io/v1/TokenRequest", "spec.expirationSeconds=3600"),
];
