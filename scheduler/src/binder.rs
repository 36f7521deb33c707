//! Binds pods that have claims of devices: the claims get their devices and are reserved for the pod, the drivers have the
//! devices ready where that takes time (<https://kep.k8s.io/5007>), and only then does the pod get its node.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference, ResourceClaimStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use mainstay_api::devices::{FINALIZER, is_allocated, is_reserved_for};
use mainstay_client::{Api, Client, Error, EventRecorder, EventType, Patch};
use serde_json::json;
use tokio::time::Instant;

use crate::devices::{Assignment, BINDING_TIMEOUT, Readiness, is_overdue, key, may_wait, readiness};
use crate::inbox::Inbox;
use crate::limit::within;

/// Between two looks at devices that are not ready.
const POLL: Duration = Duration::from_secs(5);
/// So often a claim is written at the most.
const TRIES: u32 = 6;
/// After the first try; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Why a pod was not bound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A claim is not what it was when the decision was made, or its devices do not become ready.
    #[error("{0}")]
    Claim(String),
    /// A claim was not written.
    #[error("{what} claim {claim}: {source}")]
    Write {
        /// What was to be written.
        what: &'static str,
        /// Namespace and name.
        claim: String,
        /// Why it was not.
        source: Error,
    },
    /// Something could not be read, or the pod not be bound.
    #[error(transparent)]
    Api(#[from] Error),
}

impl Failure {
    /// Whether another try may be of use.
    fn may_pass(&self) -> bool {
        match self {
            Self::Claim(_) => false,
            Self::Write { source: error, .. } | Self::Api(error) => {
                error.is_conflict() || error.code() == 429 || !(400..500).contains(&error.code())
            }
        }
    }
}

/// Binds; clones do so for different pods at the same time.
#[derive(Clone)]
pub(crate) struct Binder {
    pods: Api<Pod>,
    claims: Api<ResourceClaim>,
    events: EventRecorder,
    inbox: Arc<Inbox>,
}

impl Binder {
    pub(crate) fn new(client: &Client, events: EventRecorder, inbox: Arc<Inbox>) -> Self {
        Self { pods: Api::all(client.clone()), claims: Api::all(client.clone()), events, inbox }
    }

    /// Binds a pod, or tells the scheduler that it did not come to that.
    pub(crate) async fn bind(self, pod: Arc<Pod>, node: String, devices: Vec<Assignment>) {
        let mut claims = Vec::new();
        let message = match self.prepare(&pod, &node, &devices, &mut claims).await {
            Err(failure) => format!("running PreBind plugin \"DynamicResources\": {failure}"),
            Ok(()) => match self.bind_prepared(&pod, &node).await {
                Err(error) => format!("binding rejected: running Bind plugin \"DefaultBinder\": {error}"),
                Ok(()) => {
                    let message = format!("Successfully assigned {} to {node}", key(&pod.metadata));
                    return self.events.event(&*pod, EventType::Normal, "Scheduled", message);
                }
            },
        };
        tracing::warn!(pod = key(&pod.metadata), %node, why = %message, "a pod with devices was not bound");
        self.events.event(&*pod, EventType::Warning, "FailedScheduling", message);
        self.give_up(&pod, &devices, &claims).await;
    }

    /// Everything that has to be done before the pod gets its node; `claims` are those that it may use by then.
    async fn prepare(
        &self,
        pod: &Pod,
        node: &str,
        devices: &[Assignment],
        claims: &mut Vec<ResourceClaim>,
    ) -> Result<(), Failure> {
        for assignment in devices {
            claims.push(self.reserve(pod, assignment).await?);
        }
        self.wait(pod, node, claims).await
    }

    async fn bind_prepared(&self, pod: &Pod, node: &str) -> Result<(), Error> {
        let meta = &pod.metadata;
        let (name, uid) = (meta.name.as_deref().unwrap_or_default(), meta.uid.as_deref().unwrap_or_default());
        within(self.pods.within(namespace(meta)).bind(name, uid, node)).await
    }

    /// The claim once it is reserved for the pod and has the devices that it is to have.
    async fn reserve(&self, pod: &Pod, assignment: &Assignment) -> Result<ResourceClaim, Failure> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.try_to_reserve(pod, assignment).await {
                Err(failure) if failure.may_pass() => tracing::debug!(%failure, "trying again"),
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.try_to_reserve(pod, assignment).await
    }

    async fn try_to_reserve(&self, pod: &Pod, assignment: &Assignment) -> Result<ResourceClaim, Failure> {
        let mut claim = self.latest(&assignment.claim).await?;
        let Some(mut wanted) = reserved(&claim, pod, assignment, Timestamp::now())? else { return Ok(claim) };
        let failed = |what| {
            let claim = key(&assignment.claim.metadata);
            move |source| Failure::Write { what, claim, source }
        };
        let finalizers = claim.metadata.finalizers.get_or_insert_default();
        if assignment.allocation.is_some() && !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
            let written = within(self.claims.update(&claim)).await.map_err(failed("add finalizer to"))?;
            wanted.metadata = written.metadata;
        }
        let what = match assignment.allocation {
            Some(_) => "add allocation and reservation to",
            None => "add reservation to",
        };
        within(self.claims.update_status(&wanted)).await.map_err(failed(what))
    }

    /// The claim as it is now.
    async fn latest(&self, known: &ResourceClaim) -> Result<ResourceClaim, Failure> {
        let meta = &known.metadata;
        let api = self.claims.within(namespace(meta));
        let latest = within(api.get(meta.name.as_deref().unwrap_or_default())).await?;
        if latest.metadata.uid == meta.uid { Ok(latest) } else { Err(meanwhile(meta, "deleted")) }
    }

    /// Waits until the devices of all claims are ready.
    async fn wait(&self, pod: &Pod, node: &str, claims: &mut [ResourceClaim]) -> Result<(), Failure> {
        if !claims.iter().any(may_wait) {
            return Ok(());
        }
        let message = format!("waiting for binding conditions for device on node {node}");
        self.events.event(pod, EventType::Normal, "BindingConditionsPending", message);
        let end = Instant::now() + BINDING_TIMEOUT;
        while !self.are_ready(pod, claims).await? {
            if Instant::now() >= end {
                return Err(Failure::Claim("device binding timeout".to_owned()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn are_ready(&self, pod: &Pod, claims: &mut [ResourceClaim]) -> Result<bool, Failure> {
        for claim in claims.iter_mut().filter(|claim| may_wait(claim)) {
            match self.latest(claim).await {
                Ok(latest) => *claim = latest,
                Err(failure) if failure.may_pass() => return Ok(false),
                Err(failure) => return Err(failure),
            }
            if !is_ready(claim, pod, Timestamp::now())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The pod does not need its claims now, and those that did not get their devices never will.
    async fn give_up(&self, pod: &Pod, devices: &[Assignment], claims: &[ResourceClaim]) {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        for claim in claims {
            self.unreserve(&claim.metadata, uid).await;
        }
        let done = |of: &Assignment| claims.iter().any(|claim| claim.metadata.uid == of.claim.metadata.uid);
        for assignment in devices.iter().filter(|of| of.allocation.is_some() && !done(of)) {
            self.inbox.refused(assignment.claim.metadata.uid.as_deref().unwrap_or_default());
        }
        self.inbox.unbound(uid);
    }

    async fn unreserve(&self, claim: &ObjectMeta, pod_uid: &str) {
        let user = json!({"$patch": "delete", "uid": pod_uid});
        let patch = Patch::Strategic(json!({"metadata": {"uid": claim.uid}, "status": {"reservedFor": [user]}}));
        let api = self.claims.within(namespace(claim));
        match within(api.patch_status(claim.name.as_deref().unwrap_or_default(), &patch)).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => {
                tracing::warn!(claim = key(claim), %error, "a claim stays reserved for a pod that is not bound")
            }
        }
    }

    /// Takes the devices of a claim back that are of no use where they are.
    pub(crate) async fn deallocate(&self, claim: &ResourceClaim) {
        let mut changed = claim.clone();
        changed.status = Some(ResourceClaimStatus::default());
        match within(self.claims.update_status(&changed)).await {
            Ok(_) => tracing::debug!(claim = key(&claim.metadata), "deallocated"),
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => tracing::warn!(claim = key(&claim.metadata), %error, "a claim was not deallocated"),
        }
    }
}

fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

fn meanwhile(claim: &ObjectMeta, what: &str) -> Failure {
    Failure::Claim(format!("claim {} got {what} in the meantime", key(claim)))
}

/// The claim with the devices that it is to have, reserved for the pod; `None` if it is so already.
fn reserved(
    claim: &ResourceClaim,
    pod: &Pod,
    assignment: &Assignment,
    now: Timestamp,
) -> Result<Option<ResourceClaim>, Failure> {
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(meanwhile(&claim.metadata, "deleted"));
    }
    let known = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let mut allocation = match (known, assignment.allocation.as_ref()) {
        (None, None) => return Err(meanwhile(&claim.metadata, "deallocated")),
        // The same devices are from a try of which nothing was heard.
        (Some(known), Some(given)) if known.devices != given.devices => {
            return Err(meanwhile(&claim.metadata, "allocated elsewhere"));
        }
        (Some(allocation), _) | (None, Some(allocation)) => allocation.clone(),
    };
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    if known.is_some() && is_reserved_for(claim, &uid) {
        return Ok(None);
    }
    let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
    allocation.allocation_timestamp.get_or_insert(Time(seconds));
    let mut wanted = claim.clone();
    let status = wanted.status.get_or_insert_default();
    status.allocation = Some(allocation);
    let name = pod.metadata.name.clone().unwrap_or_default();
    let user = ResourceClaimConsumerReference { api_group: None, name, resource: "pods".to_owned(), uid };
    status.reserved_for.get_or_insert_default().push(user);
    Ok(Some(wanted))
}

/// Whether the devices of a claim are ready for the pod.
fn is_ready(claim: &ResourceClaim, pod: &Pod, now: Timestamp) -> Result<bool, Failure> {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    if !is_allocated(claim) || !is_reserved_for(claim, uid) {
        return Err(meanwhile(&claim.metadata, "deallocated"));
    }
    match readiness(claim) {
        Readiness::Ready => Ok(true),
        Readiness::Failed(why) => Err(Failure::Claim(why)),
        Readiness::Waiting if is_overdue(claim, now) => {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            Err(Failure::Claim(format!("claim {name} binding timeout")))
        }
        Readiness::Waiting => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing;

    fn claim(status: &Value) -> ResourceClaim {
        let meta = json!({"name": "c", "namespace": "default", "uid": "c"});
        serde_json::from_value(json!({"metadata": meta, "spec": {}, "status": status})).unwrap()
    }

    fn allocation(device: &str) -> Value {
        let result =
            json!({"request": "r", "driver": "d", "pool": "p", "device": device, "bindingConditions": ["ready"]});
        json!({"devices": {"results": [result]}})
    }

    fn giving(device: Option<&str>) -> Assignment {
        let allocation = device.map(|device| serde_json::from_value(allocation(device)).unwrap());
        Assignment { claim: Arc::new(claim(&Value::Null)), allocation }
    }

    fn outcome(status: &Value, assignment: &Assignment) -> Result<Option<Value>, String> {
        let wanted =
            reserved(&claim(status), &testing::pod("{}"), assignment, "2026-01-01T00:00:00.5Z".parse().unwrap());
        let status = |claim: ResourceClaim| serde_json::to_value(claim.status).unwrap();
        wanted.map(|wanted| wanted.map(status)).map_err(|failure| failure.to_string())
    }

    fn given(device: &str) -> Value {
        let mut allocation = allocation(device);
        allocation["allocationTimestamp"] = json!("2026-01-01T00:00:00Z");
        allocation
    }

    #[test]
    fn claims_get_devices_and_users_once() {
        let user = json!({"name": "p", "resource": "pods", "uid": "p"});
        let done = json!({"allocation": given("a"), "reservedFor": [user]});
        assert_eq!(outcome(&Value::Null, &giving(Some("a"))), Ok(Some(done.clone())));
        assert_eq!(outcome(&done, &giving(Some("a"))), Ok(None));
        assert_eq!(outcome(&done, &giving(None)), Ok(None));
        let other = json!({"name": "o", "resource": "pods", "uid": "o"});
        let both = json!({"allocation": given("a"), "reservedFor": [other, user]});
        assert_eq!(outcome(&json!({"allocation": given("a"), "reservedFor": [other]}), &giving(None)), Ok(Some(both)));
    }

    #[test]
    fn claims_that_became_something_else_are_left_alone() {
        let elsewhere = "claim default/c got allocated elsewhere in the meantime".to_owned();
        assert_eq!(outcome(&json!({"allocation": given("b")}), &giving(Some("a"))), Err(elsewhere));
        let deallocated = "claim default/c got deallocated in the meantime".to_owned();
        assert_eq!(outcome(&Value::Null, &giving(None)), Err(deallocated));
    }

    #[test]
    fn devices_are_waited_for_as_long_as_the_pod_may_have_them() {
        let user = json!({"name": "p", "resource": "pods", "uid": "p"});
        let waiting = claim(&json!({"allocation": given("a"), "reservedFor": [user]}));
        let pod = testing::pod("{}");
        let at = |time: &str| is_ready(&waiting, &pod, time.parse().unwrap()).map_err(|failure| failure.to_string());
        assert_eq!(at("2026-01-01T00:10:00Z"), Ok(false));
        assert_eq!(at("2026-01-01T00:10:01Z"), Err("claim c binding timeout".to_owned()));
        let lost = claim(&json!({"allocation": given("a")}));
        assert!(is_ready(&lost, &pod, "2026-01-01T00:00:01Z".parse().unwrap()).is_err());
    }
}
