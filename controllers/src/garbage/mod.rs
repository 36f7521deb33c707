//! Deletes what lost its owners, and serves the finalizers of foreground deletion and orphaning.

mod graph;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use mainstay_client::{
    Change, DeleteOptions, DynamicApi, Error, Informer, Key, MetadataObject, Patch, Propagation, Store, Target,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::graph::{FOREGROUND, Graph, Item, ORPHAN};
use crate::claim::absent_is_fine;
use crate::meta::uid;
use crate::namespace::{definitions, is_established};
use crate::runner::{Controller, Keys, Next};
use crate::world::World;

/// How often custom resources are looked for.
const DISCOVERY: Duration = Duration::from_secs(5);
const RECHECK: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct GarbageCollector {
    world: World,
    graph: Arc<Mutex<Graph>>,
    queue: Keys,
    started: Instant,
    /// By (group, kind), to find owners.
    kinds: Mutex<BTreeMap<(String, String), (Target, bool)>>,
    stores: Mutex<BTreeMap<Target, (Store<MetadataObject>, CancellationToken)>>,
}

impl GarbageCollector {
    pub(crate) fn new(world: &World, queue: &Keys) -> Arc<Self> {
        Arc::new(GarbageCollector {
            world: world.clone(),
            graph: Arc::default(),
            queue: queue.clone(),
            started: Instant::now(),
            kinds: Mutex::default(),
            stores: Mutex::default(),
        })
    }

    /// Follows all resources that there are, custom ones as they come and go, until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(DISCOVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match resources(&self.world).await {
                Ok(found) => self.take_over(found, &stop),
                Err(error) => tracing::warn!(%error, "cannot discover resources, trying again"),
            }
        }
    }

    fn take_over(&self, found: Vec<Kind>, stop: &CancellationToken) {
        let mut stores = self.stores.lock();
        stores.retain(|target, (_, informer)| {
            let keep = found.iter().any(|k| k.target == *target);
            if !keep {
                informer.cancel();
            }
            keep
        });
        let mut kinds = self.kinds.lock();
        kinds.clear();
        for kind in found {
            kinds.insert((kind.target.group.clone(), kind.kind), (kind.target.clone(), kind.namespaced));
            stores.entry(kind.target.clone()).or_insert_with(|| self.start(kind.target, stop));
        }
    }

    fn start(&self, target: Target, stop: &CancellationToken) -> (Store<MetadataObject>, CancellationToken) {
        let mut informer = Informer::of_metadata(&self.world.client, target.clone());
        let (graph, queue, target) = (self.graph.clone(), self.queue.clone(), Arc::new(target));
        informer.on_change(move |change| {
            let affected = match change {
                Change::Deleted(object) => graph.lock().remove(uid(&object.metadata)),
                other => graph.lock().put(Item::new(&target, &other.object().metadata)),
            };
            for uid in affected {
                queue.add(Key::new("", &uid));
            }
        });
        let stop = stop.child_token();
        let store = informer.store();
        tokio::spawn(informer.run(stop.clone()));
        (store, stop)
    }

    /// Before everything is known, dependents may only seem to be missing. A resource that cannot be listed does not
    /// hold up the others for ever: owners that are not known are asked for one by one.
    async fn synced(&self) {
        while self.started.elapsed() < PATIENCE {
            let stores: Vec<_> = self.stores.lock().values().map(|(store, _)| store.clone()).collect();
            if !stores.is_empty() && stores.iter().all(Store::has_synced) {
                return;
            }
            tokio::time::sleep(RECHECK).await;
        }
    }

    fn api(&self, item: &Item) -> DynamicApi {
        DynamicApi::namespaced(self.world.client.clone(), Target::clone(&item.target), &item.namespace)
    }

    async fn foreground(&self, item: &Item) -> Result<Next, Error> {
        let blockers = self.graph.lock().blockers_of(&item.uid);
        if blockers.is_empty() {
            self.remove_finalizer(item, FOREGROUND).await?;
            return Ok(Next::Settled);
        }
        for uid in blockers {
            self.queue.add(Key::new("", &uid));
        }
        Ok(Next::Settled)
    }

    async fn orphan(&self, item: &Item) -> Result<Next, Error> {
        let dependents: Vec<Item> = {
            let graph = self.graph.lock();
            graph.dependents_of(&item.uid).iter().filter_map(|uid| graph.get(uid).cloned()).collect()
        };
        for dependent in dependents {
            self.drop_owners(&dependent, &[item.uid.as_str()]).await?;
        }
        self.remove_finalizer(item, ORPHAN).await?;
        Ok(Next::Settled)
    }

    /// Takes owner references away. The uid in the patch keeps it from hitting a successor of the same name.
    async fn drop_owners(&self, item: &Item, owners: &[&str]) -> Result<(), Error> {
        let Some(live) =
            self.api(item).get_opt(&item.name).await?.filter(|l| l["metadata"]["uid"] == item.uid.as_str())
        else {
            return Ok(());
        };
        let references = live["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let kept: Vec<&Value> = references.iter().filter(|r| !owners.iter().any(|o| r["uid"] == *o)).collect();
        if kept.len() == references.len() {
            return Ok(());
        }
        let version = &live["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"uid": item.uid, "resourceVersion": version, "ownerReferences": kept}});
        absent_is_fine(self.api(item).patch(&item.name, "", &Patch::Merge(patch)).await).map(|_| ())
    }

    async fn remove_finalizer(&self, item: &Item, finalizer: &str) -> Result<(), Error> {
        let Some(live) =
            self.api(item).get_opt(&item.name).await?.filter(|l| l["metadata"]["uid"] == item.uid.as_str())
        else {
            return Ok(());
        };
        let finalizers = live["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let kept: Vec<&Value> = finalizers.iter().filter(|f| f.as_str() != Some(finalizer)).collect();
        if kept.len() == finalizers.len() {
            return Ok(());
        }
        let version = &live["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"uid": item.uid, "resourceVersion": version, "finalizers": kept}});
        absent_is_fine(self.api(item).patch(&item.name, "", &Patch::Merge(patch)).await).map(|_| ())
    }

    /// Deletes the object if none of its owners is left.
    async fn collect(&self, item: &Item) -> Result<Next, Error> {
        // The graph may be behind: only the live object decides.
        let Some(live) =
            self.api(item).get_opt(&item.name).await?.filter(|l| l["metadata"]["uid"] == item.uid.as_str())
        else {
            return Ok(Next::Settled);
        };
        let owners: Vec<OwnerReference> =
            serde_json::from_value(live["metadata"]["ownerReferences"].clone()).unwrap_or_default();
        if owners.is_empty() {
            return Ok(Next::Settled);
        }
        let (mut solid, mut dangling, mut waiting) = (0, Vec::new(), Vec::new());
        for owner in &owners {
            match self.state_of(owner, &item.namespace).await? {
                Owner::Solid => solid += 1,
                Owner::Gone => dangling.push(owner.uid.as_str()),
                Owner::Waiting => waiting.push(owner.uid.as_str()),
            }
        }
        if solid > 0 {
            dangling.extend(waiting);
            if !dangling.is_empty() {
                self.drop_owners(item, &dangling).await?;
            }
            return Ok(Next::Settled);
        }
        let has_dependents = !self.graph.lock().dependents_of(&item.uid).is_empty();
        let propagation =
            if !waiting.is_empty() && has_dependents { Propagation::Foreground } else { propagation(item) };
        let mut options = DeleteOptions::of_uid(item.uid.clone()).propagation(propagation);
        options.resource_version = live["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        absent_is_fine(self.api(item).delete(&item.name, &options).await)?;
        Ok(Next::Settled)
    }

    async fn state_of(&self, owner: &OwnerReference, namespace: &str) -> Result<Owner, Error> {
        if let Some(known) = self.graph.lock().get(&owner.uid) {
            return Ok(if known.waits_for(FOREGROUND) { Owner::Waiting } else { Owner::Solid });
        }
        let (group, _) = mainstay_api::resource::split_api_version(&owner.api_version);
        let kind = self.kinds.lock().get(&(group.to_owned(), owner.kind.clone())).cloned();
        // An owner of a kind that is not served is left alone: its definition may come back.
        let Some((target, namespaced)) = kind else { return Ok(Owner::Solid) };
        let namespace = if namespaced { namespace } else { "" };
        let live = DynamicApi::namespaced(self.world.client.clone(), target, namespace).get_opt(&owner.name).await?;
        let there = live.is_some_and(|l| l["metadata"]["uid"] == owner.uid.as_str());
        Ok(if there { Owner::Solid } else { Owner::Gone })
    }
}

enum Owner {
    Solid,
    Gone,
    /// Deleting its dependents first.
    Waiting,
}

/// What was asked for when the object was deleted stays in force.
fn propagation(item: &Item) -> Propagation {
    if item.finalizers.iter().any(|f| f == ORPHAN) {
        Propagation::Orphan
    } else if item.finalizers.iter().any(|f| f == FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    }
}

#[async_trait]
impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        self.synced().await;
        let Some(item) = self.graph.lock().get(&key.name).cloned() else { return Ok(Next::Settled) };
        if item.waits_for(ORPHAN) {
            return self.orphan(&item).await;
        }
        if item.waits_for(FOREGROUND) {
            return self.foreground(&item).await;
        }
        if item.deleting || item.owners.is_empty() {
            return Ok(Next::Settled);
        }
        self.collect(&item).await
    }
}

/// A kind whose objects are followed.
struct Kind {
    target: Target,
    kind: String,
    namespaced: bool,
}

/// Everything that can be listed, watched and deleted, in one version each.
async fn resources(world: &World) -> Result<Vec<Kind>, Error> {
    let mut kinds: BTreeMap<(String, String), Kind> = BTreeMap::new();
    for row in mainstay_api::resource::builtin() {
        let usable = ["list", "watch", "delete"].iter().all(|verb| row.has_verb(verb));
        let events = row.resource == "events";
        if usable && !events && row.stored_group == row.group {
            let target = Target::new(&row.group, &row.version, &row.resource);
            let kind = Kind { target, kind: row.kind.clone(), namespaced: row.namespaced };
            kinds.entry((row.group.clone(), row.resource.clone())).or_insert(kind);
        }
    }
    for definition in definitions(world).await? {
        let established = is_established(&definition);
        let spec = definition.spec;
        if let Some(version) = spec.versions.iter().find(|v| v.served).filter(|_| established) {
            let target = Target::new(&spec.group, &version.name, &spec.names.plural);
            let kind = Kind { target, kind: spec.names.kind, namespaced: spec.scope == "Namespaced" };
            kinds.insert((spec.group, spec.names.plural), kind);
        }
    }
    Ok(kinds.into_values().collect())
}
