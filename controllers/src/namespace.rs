//! Empties namespaces that are being deleted, then lets them go.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_client::{Api, DeleteOptions, DynamicApi, Error, Key, ListParams, Propagation, Target, object_key};
use serde_json::Value;

use crate::claim::absent_is_fine;
use crate::meta::is_deleting;
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};

const RECHECK: Duration = Duration::from_millis(500);
/// Finalizers that this controller serves.
const FINALIZER: &str = "kubernetes";

pub(crate) struct Namespaces {
    world: World,
}

impl Namespaces {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.namespaces.on_change(move |change| {
            if is_deleting(&change.object().metadata) {
                keys.add(object_key(&**change.object()));
            }
        });
        Namespaces { world: world.clone() }
    }

    /// Deletes everything in the namespace; returns what is still there.
    async fn empty(&self, namespace: &str) -> Result<Left, Error> {
        let mut left = Left::default();
        let options = DeleteOptions::default().propagation(Propagation::Background);
        for target in namespaced_targets(&self.world).await? {
            let api = DynamicApi::namespaced(self.world.client.clone(), target.clone(), namespace);
            match api.delete_all(&ListParams::default(), &options).await {
                Err(error) if !is_gone(&error) => left.failures.push(error.to_string()),
                _ => {}
            }
            match api.list(&ListParams::default()).await {
                Ok(list) => left.count(&target, &list.items),
                Err(error) if is_gone(&error) => {}
                Err(error) => left.failures.push(error.to_string()),
            }
        }
        Ok(left)
    }

    async fn report(&self, namespace: &Namespace, left: &Left) -> Result<(), Error> {
        let mut changed = namespace.clone();
        let status = changed.status.get_or_insert_default();
        let conditions = status.conditions.get_or_insert_default();
        for condition in left.conditions() {
            let known = conditions.iter_mut().find(|c| c.type_ == condition.type_);
            match known {
                Some(old) if old.status == condition.status && old.message == condition.message => {}
                Some(old) => *old = condition,
                None => conditions.push(condition),
            }
        }
        if changed != *namespace {
            absent_is_fine(self.world.api::<Namespace>("").update_status(&changed).await)?;
        }
        Ok(())
    }

    async fn finalize(&self, namespace: &Namespace) -> Result<(), Error> {
        let mut value = serde_json::to_value(namespace)
            .map_err(|e| Error::Config(format!("cannot write a namespace as JSON: {e}")))?;
        if let Some(finalizers) = value["spec"]["finalizers"].as_array_mut() {
            finalizers.retain(|f| f.as_str() != Some(FINALIZER));
        }
        let api = DynamicApi::all(self.world.client.clone(), Target::new("", "v1", "namespaces"));
        absent_is_fine(api.update(&value, "finalize").await).map(|_| ())
    }
}

/// The resource went away with its definition, or cannot be listed.
fn is_gone(error: &Error) -> bool {
    matches!(error.code(), 404 | 405)
}

/// All namespaced resources that can be listed and deleted, custom ones too; one version of each.
async fn namespaced_targets(world: &World) -> Result<Vec<Target>, Error> {
    let mut targets = BTreeMap::new();
    for row in mainstay_api::resource::builtin() {
        if row.namespaced && row.has_verb("deletecollection") && row.has_verb("list") && row.stored_group == row.group {
            let target = Target::new(&row.group, &row.version, &row.resource);
            targets.entry((row.group.clone(), row.resource.clone())).or_insert(target);
        }
    }
    for definition in definitions(world).await?.into_iter().filter(|d| d.spec.scope == "Namespaced") {
        let spec = definition.spec;
        if let Some(version) = spec.versions.iter().find(|v| v.served) {
            let target = Target::new(&spec.group, &version.name, &spec.names.plural);
            // What is there without a definition stays as it is.
            targets.entry((spec.group, spec.names.plural)).or_insert(target);
        }
    }
    Ok(targets.into_values().collect())
}

/// All custom resource definitions; none where they are not served.
pub(crate) async fn definitions(world: &World) -> Result<Vec<CustomResourceDefinition>, Error> {
    match Api::<CustomResourceDefinition>::all(world.client.clone()).list(&ListParams::default()).await {
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        other => other.map(|list| list.items),
    }
}

/// Whether objects of the definition are served.
pub(crate) fn is_established(definition: &CustomResourceDefinition) -> bool {
    let mut conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Established" && condition.status == "True")
}

#[derive(Default)]
struct Left {
    resources: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
    failures: Vec<String>,
}

impl Left {
    fn count(&mut self, target: &Target, items: &[Value]) {
        if items.is_empty() {
            return;
        }
        let dot = if target.group.is_empty() { "" } else { "." };
        *self.resources.entry(format!("{}{dot}{}", target.resource, target.group)).or_default() += items.len();
        for finalizer in items.iter().flat_map(|i| i["metadata"]["finalizers"].as_array().into_iter().flatten()) {
            *self.finalizers.entry(finalizer.as_str().unwrap_or("").to_owned()).or_default() += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.failures.is_empty()
    }

    fn conditions(&self) -> Vec<NamespaceCondition> {
        let list = |map: &BTreeMap<String, usize>, verb: &str| {
            let parts: Vec<String> =
                map.iter().map(|(what, n)| format!("{what} {verb} {n} resource instances")).collect();
            parts.join(", ")
        };
        let failed = !self.failures.is_empty();
        let remaining = format!("Some resources are remaining: {}", list(&self.resources, "has"));
        let finalizing =
            format!("Some content in the namespace has finalizers remaining: {}", list(&self.finalizers, "in"));
        let failure = format!(
            "Failed to delete all resource types, {} remaining: {}",
            self.failures.len(),
            self.failures.join(", ")
        );
        vec![
            condition(
                "NamespaceDeletionDiscoveryFailure",
                false,
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            condition(
                "NamespaceDeletionGroupVersionParsingFailure",
                false,
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            if failed {
                condition("NamespaceDeletionContentFailure", true, "ContentDeletionFailed", &failure)
            } else {
                condition(
                    "NamespaceDeletionContentFailure",
                    false,
                    "ContentDeleted",
                    "All content successfully deleted, may be waiting on finalization",
                )
            },
            if self.resources.is_empty() {
                condition("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed")
            } else {
                condition("NamespaceContentRemaining", true, "SomeResourcesRemain", &remaining)
            },
            if self.finalizers.is_empty() {
                condition(
                    "NamespaceFinalizersRemaining",
                    false,
                    "ContentHasNoFinalizers",
                    "All content-preserving finalizers finished",
                )
            } else {
                condition("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", &finalizing)
            },
        ]
    }
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str) -> NamespaceCondition {
    NamespaceCondition {
        type_: kind.into(),
        status: if holds { "True" } else { "False" }.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_transition_time: Some(Time(Timestamp::now())),
    }
}

#[async_trait]
impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(namespace) = self.world.namespaces.get(key).filter(|n| is_deleting(&n.metadata)) else {
            return Ok(Next::Settled);
        };
        let finalizers = namespace.spec.as_ref().and_then(|s| s.finalizers.as_ref());
        if !finalizers.is_some_and(|f| f.iter().any(|f| f == FINALIZER)) {
            return Ok(Next::Settled);
        }
        let left = self.empty(&key.name).await?;
        if left.is_empty() {
            self.finalize(&namespace).await?;
            return Ok(Next::Settled);
        }
        self.report(&namespace, &left).await?;
        Ok(Next::After(RECHECK))
    }
}
