//! What the agent asks of the API server, by the pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodStatus, Secret, ServiceAccount};
use mainstay_client::{Api, Client, DeleteOptions, Error, Object};
use serde_json::json;

use crate::identity::identity;
use crate::sources::{Sources, references};
use crate::volumes::TokenKey;

/// The way to the masters.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
}

impl Cluster {
    pub fn new(client: Client) -> Cluster {
        Cluster { client }
    }

    /// The ConfigMaps and Secrets that a pod refers to; missing ones are left out.
    pub async fn sources(&self, pod: &Pod) -> Result<Sources, Error> {
        let namespace = identity(pod).namespace;
        let (maps, secrets) = pod.spec.as_ref().map(references).unwrap_or_default();
        let mut sources = Sources::default();
        for name in maps {
            if let Some(object) = self.get::<ConfigMap>(namespace, &name).await? {
                sources.config_maps.insert(name, object);
            }
        }
        for name in secrets {
            if let Some(object) = self.get::<Secret>(namespace, &name).await? {
                sources.secrets.insert(name, object);
            }
        }
        Ok(sources)
    }

    async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error>
    where
        K: Object + k8s_openapi::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::<K>::namespaced(self.client.clone(), namespace).get_opt(name).await
    }

    /// A token of the pod's service account, bound to the pod; with the time until it should be renewed.
    pub async fn token(&self, pod: &Pod, key: &TokenKey) -> Result<(String, Duration), Error> {
        let id = identity(pod);
        let account = pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref()).unwrap_or("default");
        let (audience, seconds) = key;
        let audiences = if audience.is_empty() { vec![] } else { vec![audience] };
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "audiences": audiences, "expirationSeconds": seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": id.name, "uid": id.uid},
            },
        });
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), id.namespace);
        let answer = api.create_subresource(account, "token", &body).await?;
        let token = answer["status"]["token"].as_str().unwrap_or_default().to_owned();
        let lifetime = u64::try_from(*seconds).unwrap_or(3600);
        Ok((token, Duration::from_secs(lifetime * 8 / 10)))
    }

    /// Writes a pod's status over that of `known`; others' conditions stay.
    pub async fn write_status(&self, known: &Pod, status: &PodStatus) -> Result<(), Error> {
        let id = identity(known);
        let api = Api::<Pod>::namespaced(self.client.clone(), id.namespace);
        let mut target = known.clone();
        for _ in 0..5 {
            target.status = Some(with_foreign_conditions(status, target.status.as_ref()));
            match api.update_status(&target).await {
                Err(error) if error.is_conflict() => match api.get_opt(id.name).await? {
                    Some(fresh) if fresh.metadata.uid.as_deref() == Some(id.uid) => target = fresh,
                    _ => return Ok(()),
                },
                Err(error) if error.is_not_found() => return Ok(()),
                other => return other.map(|_| ()),
            }
        }
        Ok(())
    }

    /// Lets go of a pod's object, now that nothing of it runs.
    pub async fn delete_pod(&self, pod: &Pod) -> Result<(), Error> {
        let id = identity(pod);
        let api = Api::<Pod>::namespaced(self.client.clone(), id.namespace);
        match api.delete(id.name, &DeleteOptions::of_uid(id.uid).grace(0)).await {
            // Gone, or another pod of this name by now.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other,
        }
    }
}

/// The agent's own kinds of conditions.
const OWN: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

fn with_foreign_conditions(ours: &PodStatus, theirs: Option<&PodStatus>) -> PodStatus {
    let own = ours.conditions.iter().flatten().filter(|c| OWN.contains(&c.type_.as_str()));
    let foreign = theirs.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    let foreign = foreign.filter(|c| !OWN.contains(&c.type_.as_str()));
    PodStatus { conditions: Some(own.chain(foreign).cloned().collect()), ..ours.clone() }
}
