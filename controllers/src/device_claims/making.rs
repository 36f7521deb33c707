//! Makes the claims that pods want from templates, and says in the pods' status which these are. Both happen in one
//! transaction, so that no claim is made twice or forgotten.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodResourceClaim, PodResourceClaimStatus};
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_api::devices::{self, PodClaim};
use mainstay_client::{Error, EventRecorder, EventType, Key, object_key};
use rand::Rng as _;

use super::{claim_keys, is_done};
use crate::meta::{annotation, controller_reference, is_deleting, name, namespace, owner_key, states, uid};
use crate::pod::node_name;
use crate::runner::{Controller, Keys, Next};
use crate::world::{BY_CLAIM, BY_OWNER, Informers, World};

/// Bytes of a name before the random end.
const BASE_MAX: usize = 58;
/// Bytes of the parts of a name together, with the dashes after them.
const PARTS_MAX: usize = 57;
/// Random characters at the end of a name.
const SUFFIX: usize = 5;
/// What these may be.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Users of a claim at the most.
const USERS_MAX: usize = 256;
/// A template that is missing is looked for again, should its coming be missed.
const MISSING_PAUSE: Duration = Duration::from_secs(60);

/// Keys are pods.
pub(crate) struct ClaimMaker {
    world: World,
    events: EventRecorder,
}

/// What becomes of an entry of a pod.
enum Made {
    /// Nothing is to be done.
    Nothing,
    /// This claim is there already, and only the pod does not say so.
    Found(String),
    /// This claim has to be made.
    New(Box<ResourceClaim>),
    /// Its template is missing.
    NoTemplate(String),
}

impl ClaimMaker {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.pods.on_change(move |change| {
            let pod = change.object();
            if devices::entries(pod).next().is_some() {
                keys.add(object_key(&**pod));
            }
        });
        let (keys, pods) = (queue.clone(), world.pods.clone());
        informers.device_claims.on_change(move |change| {
            for claim in states(change) {
                let users = pods.by_index(BY_CLAIM, &object_key(claim).to_string());
                let users = users.iter().map(|pod| object_key(&**pod));
                for pod in owner_key::<Pod>(&claim.metadata).into_iter().chain(users) {
                    keys.add(pod);
                }
            }
        });
        let (keys, pods) = (queue.clone(), world.pods.clone());
        informers.claim_templates.on_change(move |change| {
            let template = &change.object().metadata;
            let wants =
                |entry: &PodResourceClaim| entry.resource_claim_template_name.as_deref() == template.name.as_deref();
            let all = pods.in_namespace(namespace(template));
            for pod in all.iter().filter(|pod| devices::entries(pod).any(wants)) {
                keys.add(object_key(&**pod));
            }
        });
        Self { world: world.clone(), events: world.recorder("resource_claim") }
    }

    fn decide(&self, pod: &Pod, entry: &PodResourceClaim) -> Made {
        let place = namespace(&pod.metadata);
        if let PodClaim::Named { name, own } = devices::pod_claim(pod, entry) {
            let there = self.world.device_claims.find(place, name);
            if there.is_some_and(|claim| !own || devices::is_for(&claim, pod)) {
                return Made::Nothing;
            }
        }
        if devices::pod_claim(pod, entry) == PodClaim::NotNeeded {
            return Made::Nothing;
        }
        let Some(template) = &entry.resource_claim_template_name else { return Made::Nothing };
        let own = self.world.device_claims.by_index(BY_OWNER, uid(&pod.metadata));
        let made_for =
            |claim: &ResourceClaim| annotation(&claim.metadata, devices::MADE_FOR) == Some(entry.name.as_str());
        if let Some(found) = own.iter().find(|claim| made_for(claim)) {
            return Made::Found(name(&found.metadata).to_owned());
        }
        match self.world.claim_templates.find(place, template) {
            Some(template) => Made::New(Box::new(claim(pod, entry, &template, &suffix()))),
            None => Made::NoTemplate(template.clone()),
        }
    }

    /// Makes what is missing; whether a template was missing.
    async fn make(&self, pod: &Pod) -> Result<bool, Error> {
        let (mut named, mut new, mut missing) = (Vec::new(), Vec::new(), false);
        for entry in devices::entries(pod) {
            match self.decide(pod, entry) {
                Made::Nothing => {}
                Made::Found(found) => named.push((entry.name.clone(), found)),
                Made::New(claim) => {
                    named.push((entry.name.clone(), name(&claim.metadata).to_owned()));
                    new.push(claim);
                }
                Made::NoTemplate(template) => {
                    missing = true;
                    let why = format!(
                        "resource claim template {template:?}: resourceclaimtemplate.resource.k8s.io {template:?} not found"
                    );
                    self.failed(pod, entry, &why);
                }
            }
        }
        if named.is_empty() {
            return Ok(missing);
        }
        let claims = self.world.api::<ResourceClaim>(namespace(&pod.metadata));
        let mut writes = new.iter().map(|claim| claims.create_op(claim)).collect::<Result<Vec<_>, _>>()?;
        writes.push(self.world.api::<Pod>("").update_status_op(&with_names(pod, &named))?);
        match self.world.client.txn(writes).await {
            Ok(_) => {}
            Err(error) if error.is_namespace_terminating() => {}
            Err(error) => {
                if !error.is_conflict() {
                    let entries = devices::entries(pod).filter(|entry| named.iter().any(|(of, _)| *of == entry.name));
                    entries.for_each(|entry| self.failed(pod, entry, &format!("create ResourceClaim: {error}")));
                }
                return Err(error);
            }
        }
        Ok(missing)
    }

    fn failed(&self, pod: &Pod, entry: &PodResourceClaim, why: &str) {
        let message = format!("PodResourceClaim {}: {why}", entry.name);
        self.events.event(pod, EventType::Warning, "FailedResourceClaimCreation", message);
    }

    /// Reserves what has devices for a pod that was given its node by someone who did not.
    async fn reserve(&self, pod: &Pod) -> Result<(), Error> {
        for key in claim_keys(pod) {
            let Some(claim) = self.world.device_claims.get(&key).filter(|claim| may_reserve(claim, pod)) else {
                continue;
            };
            let mut reserved = (*claim).clone();
            let user = ResourceClaimConsumerReference {
                api_group: None,
                resource: "pods".into(),
                name: name(&pod.metadata).into(),
                uid: uid(&pod.metadata).into(),
            };
            reserved.status.get_or_insert_default().reserved_for.get_or_insert_default().push(user);
            self.world.api::<ResourceClaim>("").update_status(&reserved).await?;
        }
        Ok(())
    }
}

fn may_reserve(claim: &ResourceClaim, pod: &Pod) -> bool {
    devices::is_allocated(claim)
        && !is_deleting(&claim.metadata)
        && !devices::is_reserved_for(claim, uid(&pod.metadata))
        && devices::users(claim).count() < USERS_MAX
}

#[async_trait]
impl Controller for ClaimMaker {
    fn name(&self) -> &'static str {
        "resource-claim"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(pod) = self.world.pods.get(key).filter(|pod| !is_deleting(&pod.metadata) && !is_done(pod)) else {
            return Ok(Next::Settled);
        };
        let missing = self.make(&pod).await?;
        if !node_name(&pod).is_empty() {
            self.reserve(&pod).await?;
        }
        Ok(Next::maybe(missing.then_some(MISSING_PAUSE)))
    }
}

/// The pod with the names of its claims in its status.
fn with_names(pod: &Pod, named: &[(String, String)]) -> Pod {
    let mut pod = pod.clone();
    let statuses = pod.status.get_or_insert_default().resource_claim_statuses.get_or_insert_default();
    statuses.retain(|status| named.iter().all(|(entry, _)| *entry != status.name));
    statuses.extend(named.iter().map(|(entry, claim)| PodResourceClaimStatus {
        name: entry.clone(),
        resource_claim_name: Some(claim.clone()),
    }));
    pod
}

/// The claim of an entry, as its template has it.
fn claim(pod: &Pod, entry: &PodResourceClaim, template: &ResourceClaimTemplate, suffix: &str) -> ResourceClaim {
    let meta = template.spec.metadata.clone().unwrap_or_default();
    let base = base(name(&pod.metadata), &entry.name);
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(devices::MADE_FOR.to_owned(), entry.name.clone());
    ResourceClaim {
        metadata: ObjectMeta {
            name: Some(format!("{}{suffix}", cut(&base, BASE_MAX))),
            generate_name: Some(base),
            namespace: pod.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(pod)]),
            ..Default::default()
        },
        spec: template.spec.spec.clone(),
        status: None,
    }
}

/// The beginning of a claim's name; of long names both parts are cut alike.
fn base(pod: &str, entry: &str) -> String {
    let whole = format!("{pod}-{entry}-");
    if whole.len() <= PARTS_MAX {
        return whole;
    }
    let share = |part: &str| cut(part, part.len() * PARTS_MAX / whole.len()).to_owned();
    format!("{}-{}", share(pod), share(entry))
}

/// The first bytes of a name, which has no others than ASCII.
fn cut(text: &str, length: usize) -> &str {
    text.get(..length).unwrap_or(text)
}

fn suffix() -> String {
    let mut random = rand::rng();
    (0..SUFFIX).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n", "uid": "u"},
            "spec": {"containers": [], "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]},
            "status": {"phase": "Pending", "resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "lost"}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_claim_is_made_as_its_template_says() {
        let template: ResourceClaimTemplate = serde_json::from_value(json!({
            "metadata": {"name": "t", "namespace": "n"},
            "spec": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"devices": {"requests": [
                {"name": "r", "exactly": {"deviceClassName": "gpu.example.com"}},
            ]}}},
        }))
        .unwrap();
        let pod = pod("p");
        let entry = devices::entries(&pod).next().unwrap();
        let made = serde_json::to_value(claim(&pod, entry, &template, "abcde")).unwrap();
        assert_eq!(made["metadata"]["name"], "p-gpu-abcde");
        assert_eq!(made["metadata"]["generateName"], "p-gpu-");
        assert_eq!(made["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(made["metadata"]["annotations"], json!({"c": "d", "resource.kubernetes.io/pod-claim-name": "gpu"}));
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true, "blockOwnerDeletion": true});
        assert_eq!(made["metadata"]["ownerReferences"], json!([owner]));
        assert_eq!(made["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"], "gpu.example.com");
    }

    #[test]
    fn names_are_cut_in_proportion() {
        assert_eq!(base("p", "gpu"), "p-gpu-");
        let long = base(&"p".repeat(60), &"c".repeat(60));
        assert_eq!(long, format!("{}-{}", "p".repeat(28), "c".repeat(28)));
        assert_eq!(suffix().len(), SUFFIX);
    }

    #[test]
    fn the_status_names_each_entry_once() {
        let named = with_names(&pod("p"), &[("gpu".into(), "p-gpu-abcde".into())]);
        let statuses = serde_json::to_value(named.status.unwrap().resource_claim_statuses).unwrap();
        assert_eq!(statuses, json!([{"name": "gpu", "resourceClaimName": "p-gpu-abcde"}]));
    }

    #[test]
    fn only_what_has_devices_is_reserved() {
        let claim = |status: serde_json::Value| -> ResourceClaim {
            serde_json::from_value(json!({"metadata": {"name": "c"}, "spec": {}, "status": status})).unwrap()
        };
        let user = json!({"resource": "pods", "name": "p", "uid": "u"});
        assert!(may_reserve(&claim(json!({"allocation": {}})), &pod("p")));
        assert!(!may_reserve(&claim(json!({})), &pod("p")));
        assert!(!may_reserve(&claim(json!({"allocation": {}, "reservedFor": [user]})), &pod("p")));
    }
}
