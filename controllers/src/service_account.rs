//! Every namespace has the account `default` and the cluster's CA in a config map, so that pods can start in it.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_client::{Api, Client, Error, Informer, Key, ListParams, Store, object_key};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::meta::{Map, annotation, is_deleting, namespace};
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};

const ROOT_CA: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const DESCRIPTION_TEXT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
     endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
     distributions of Kubernetes clusters.";

pub(crate) struct NamespaceDefaults {
    world: World,
    root_cas: Store<ConfigMap>,
    ca_pem: String,
}

impl NamespaceDefaults {
    /// Follows the CA config maps with an informer of its own, spawned on `tasks`.
    pub(crate) fn new(
        world: &World,
        informers: &mut Informers,
        queue: &Keys,
        ca_pem: String,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Self {
        let keys = queue.clone();
        informers.namespaces.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let keys = queue.clone();
        informers.service_accounts.on_change(move |change| {
            keys.add(Key::new("", namespace(&change.object().metadata)));
        });
        let mut informer = root_cas(&world.client);
        let keys = queue.clone();
        informer.on_change(move |change| {
            keys.add(Key::new("", namespace(&change.object().metadata)));
        });
        let root_cas = informer.store();
        tasks.spawn(informer.run(stop.clone()));
        NamespaceDefaults { world: world.clone(), root_cas, ca_pem }
    }

    async fn account(&self, namespace: &str) -> Result<(), Error> {
        if self.world.service_accounts.find(namespace, "default").is_some() {
            return Ok(());
        }
        let account = ServiceAccount { metadata: named(namespace, "default"), ..Default::default() };
        made(self.world.api::<ServiceAccount>(namespace).create(&account).await)
    }

    async fn root_ca(&self, namespace: &str) -> Result<(), Error> {
        let api = self.world.api::<ConfigMap>(namespace);
        let Some(old) = self.root_cas.find(namespace, ROOT_CA) else {
            let mut map = ConfigMap { metadata: named(namespace, ROOT_CA), ..Default::default() };
            self.fill(&mut map);
            return made(api.create(&map).await);
        };
        let mut map = (*old).clone();
        self.fill(&mut map);
        if map != *old {
            api.update(&map).await?;
        }
        Ok(())
    }

    fn fill(&self, map: &mut ConfigMap) {
        map.data = Some(Map::from([("ca.crt".to_owned(), self.ca_pem.clone())]));
        map.binary_data = None;
        if annotation(&map.metadata, DESCRIPTION).is_none() {
            map.metadata.annotations.get_or_insert_default().insert(DESCRIPTION.into(), DESCRIPTION_TEXT.into());
        }
    }
}

fn root_cas(client: &Client) -> Informer<ConfigMap> {
    Informer::new(&Api::<ConfigMap>::all(client.clone())).select(ListParams::fields(format!("metadata.name={ROOT_CA}")))
}

fn named(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some(namespace.into()), ..Default::default() }
}

/// Somebody else being first is as good.
fn made<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() || error.is_namespace_terminating() || error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_live(namespace: &Namespace) -> bool {
    !is_deleting(&namespace.metadata)
}

#[async_trait]
impl Controller for NamespaceDefaults {
    fn name(&self) -> &'static str {
        "namespace-defaults"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        self.root_cas.synced().await;
        if self.world.namespaces.get(key).is_some_and(|n| is_live(&n)) {
            self.account(&key.name).await?;
            if !self.ca_pem.is_empty() {
                self.root_ca(&key.name).await?;
            }
        }
        Ok(Next::Settled)
    }
}
