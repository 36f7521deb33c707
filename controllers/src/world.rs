//! The informers that controllers share, and the handles they act with.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{
    Endpoints, Namespace, Node, PersistentVolumeClaim, Pod, ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
use mainstay_client::{Api, Client, EventRecorder, EventSource, Informer, Object, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::meta::owner_index;

/// Finds objects by the uid of their controller.
pub(crate) const BY_OWNER: &str = "owner";
/// Finds pods by their node.
pub(crate) const BY_NODE: &str = "node";
/// Finds pods by the claims of devices that they use, as namespace/name.
pub(crate) const BY_CLAIM: &str = "claim";
/// Finds claims of devices and what drivers offer by the pool, as driver/name.
pub(crate) const BY_POOL: &str = "pool";
/// Finds endpoint slices by their service, as namespace/name.
pub(crate) const BY_SERVICE: &str = "service";

/// A line a kind makes its informer, its store, and their start.
macro_rules! informers {
    ($($field:ident: $kind:ty = $make:expr,)*) => {
        /// The informers before they run: controllers add handlers.
        pub(crate) struct Informers {
            $(pub(crate) $field: Informer<$kind>,)*
        }

        /// What controllers see and act with; cheap to clone.
        #[derive(Clone)]
        pub(crate) struct World {
            pub(crate) client: Client,
            pub(crate) events: EventRecorder,
            $(pub(crate) $field: Store<$kind>,)*
        }

        impl Informers {
            pub(crate) fn new(client: &Client) -> Self {
                Informers { $($field: $make(client),)* }
            }

            pub(crate) fn world(&self, client: &Client, events: EventRecorder) -> World {
                World { client: client.clone(), events, $($field: self.$field.store(),)* }
            }

            pub(crate) fn start(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
                $(tasks.spawn(self.$field.run(stop.clone()));)*
            }
        }

        impl World {
            /// Waits until what controllers read is complete.
            pub(crate) async fn synced(&self) {
                $(self.$field.synced().await;)*
            }
        }
    };
}

informers! {
    pods: Pod = pods,
    replica_sets: ReplicaSet = owned,
    deployments: Deployment = owned,
    stateful_sets: StatefulSet = owned,
    daemon_sets: DaemonSet = owned,
    revisions: ControllerRevision = owned,
    jobs: Job = owned,
    cron_jobs: CronJob = owned,
    budgets: PodDisruptionBudget = owned,
    quotas: ResourceQuota = owned,
    claims: PersistentVolumeClaim = owned,
    services: Service = owned,
    endpoints: Endpoints = owned,
    slices: EndpointSlice = slices,
    nodes: Node = owned,
    namespaces: Namespace = owned,
    service_accounts: ServiceAccount = owned,
    certificate_requests: CertificateSigningRequest = owned,
    admission_policies: ValidatingAdmissionPolicy = owned,
    cluster_roles: ClusterRole = owned,
    device_claims: ResourceClaim = device_claims,
    device_slices: ResourceSlice = device_slices,
    device_classes: DeviceClass = owned,
    claim_templates: ResourceClaimTemplate = owned,
}

fn owned<K: Object>(client: &Client) -> Informer<K> {
    Informer::new(&Api::<K>::all(client.clone())).index(BY_OWNER, owner_index)
}

fn pods(client: &Client) -> Informer<Pod> {
    let by_node = owned::<Pod>(client).index(BY_NODE, |pod| vec![crate::pod::node_name(pod).to_owned()]);
    by_node.index(BY_CLAIM, crate::device_claims::claim_index)
}

fn slices(client: &Client) -> Informer<EndpointSlice> {
    owned::<EndpointSlice>(client).index(BY_SERVICE, crate::slice::service_index)
}

fn device_claims(client: &Client) -> Informer<ResourceClaim> {
    owned::<ResourceClaim>(client).index(BY_POOL, crate::device_claims::pools_of_claim)
}

fn device_slices(client: &Client) -> Informer<ResourceSlice> {
    owned::<ResourceSlice>(client).index(BY_POOL, crate::device_claims::pool_of_slice)
}

impl World {
    /// Calls on kind `K` in one namespace (empty: cluster-scoped).
    pub(crate) fn api<K: Object>(&self, namespace: &str) -> Api<K> {
        Api::all(self.client.clone()).within(namespace)
    }

    /// The recorder under a controller's own name.
    pub(crate) fn recorder(&self, component: &str) -> EventRecorder {
        self.events.with_source(EventSource::component(component))
    }
}
