//! Revisions of a template as ControllerRevision objects, by which `kubectl rollout history` and `undo` work for stateful sets
//! and daemon sets.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use mainstay_api::selector::LabelSelector;
use mainstay_client::{DeleteOptions, Error, Object};
use serde_json::{Value, json};

use crate::claim::{absent_is_fine, claim};
use crate::deployment::hash_of;
use crate::meta::{Map, controller_reference, is_deleting, name, namespace, orphans_of, uid};
use crate::world::{BY_OWNER, World};

/// The label by which pods name their revision.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";
/// As many are kept beyond those in use, if the owner does not say.
const KEEP: i32 = 10;
/// Other names that are tried when one is taken.
const COLLISIONS: i32 = 5;

/// What an owner says of its revisions.
pub(crate) struct Wanted<'a, K> {
    pub(crate) owner: &'a K,
    pub(crate) selector: &'a LabelSelector,
    pub(crate) template: &'a PodTemplateSpec,
    /// Of the revision that is made.
    pub(crate) labels: Map,
    /// The label that holds the hash.
    pub(crate) hash_label: &'static str,
    pub(crate) collisions: i32,
}

/// An owner's revisions.
pub(crate) struct History {
    /// Oldest first, the present one last.
    pub(crate) all: Vec<Arc<ControllerRevision>>,
    /// That of the present template.
    pub(crate) present: Arc<ControllerRevision>,
    /// The owner's new count of collisions, if there was one.
    pub(crate) collisions: Option<i32>,
}

impl History {
    /// The revision of this name.
    pub(crate) fn named(&self, wanted: &str) -> Option<&Arc<ControllerRevision>> {
        self.all.iter().find(|revision| name(&revision.metadata) == wanted)
    }
}

/// The template as the patch that brings an owner back to it.
pub(crate) fn data(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// The template that a revision holds.
pub(crate) fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// Finds or makes the revision of the present template.
pub(crate) async fn follow<K: Object>(world: &World, wanted: &Wanted<'_, K>) -> Result<History, Error> {
    let meta = wanted.owner.metadata();
    let mut candidates = world.revisions.by_index(BY_OWNER, uid(meta));
    candidates.extend(world.revisions.by_index(BY_OWNER, &orphans_of(namespace(meta))));
    let claim = claim(uid(meta), is_deleting(meta), wanted.selector, candidates);
    let api = world.api::<ControllerRevision>(namespace(meta));
    let mut all = claim.settle(&api, &controller_reference(wanted.owner)).await?;
    sort(&mut all);
    let data = data(wanted.template);
    let newest = all.last().map_or(0, |revision| revision.revision);
    let equal = all.iter().rposition(|revision| revision.data.as_ref().is_some_and(|known| known.0 == data));
    let mut collisions = None;
    let present = match equal {
        Some(at) if all[at].revision == newest => all[at].clone(),
        Some(at) => {
            let again = ControllerRevision { revision: newest + 1, ..(*all[at]).clone() };
            all.remove(at);
            Arc::new(api.update(&again).await?)
        }
        None => {
            let (made, count) = make(world, wanted, data, newest + 1).await?;
            collisions = (count > wanted.collisions).then_some(count);
            made
        }
    };
    if !all.iter().any(|known| uid(&known.metadata) == uid(&present.metadata)) {
        all.push(present.clone());
    }
    Ok(History { all, present, collisions })
}

fn sort(all: &mut [Arc<ControllerRevision>]) {
    all.sort_by_key(|revision| (revision.revision, name(&revision.metadata).to_owned()));
}

/// Makes a revision; if another template has taken its name, under another one. Returns the count of collisions, too.
async fn make<K: Object>(
    world: &World,
    wanted: &Wanted<'_, K>,
    data: Value,
    number: i64,
) -> Result<(Arc<ControllerRevision>, i32), Error> {
    let api = world.api::<ControllerRevision>(namespace(wanted.owner.metadata()));
    let mut collisions = wanted.collisions;
    loop {
        let revision = fresh(wanted, &data, number, collisions);
        match api.create(&revision).await {
            Err(error) if error.is_already_exists() && collisions < wanted.collisions + COLLISIONS => {
                let there = api.get(name(&revision.metadata)).await?;
                if there.data.as_ref().is_some_and(|known| known.0 == data) {
                    return Ok((Arc::new(there), collisions));
                }
                collisions += 1;
            }
            other => return other.map(|made| (Arc::new(made), collisions)),
        }
    }
}

fn fresh<K: Object>(wanted: &Wanted<'_, K>, data: &Value, number: i64, collisions: i32) -> ControllerRevision {
    let meta = wanted.owner.metadata();
    let hash = hash_of(data, (collisions > 0).then_some(collisions));
    let mut labels = wanted.labels.clone();
    labels.insert(wanted.hash_label.into(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(meta))),
            namespace: meta.namespace.clone(),
            labels: Some(labels),
            annotations: meta.annotations.clone(),
            owner_references: Some(vec![controller_reference(wanted.owner)]),
            ..Default::default()
        },
        data: Some(RawExtension(data.clone())),
        revision: number,
    }
}

/// Deletes the oldest revisions that nothing uses.
pub(crate) async fn forget(
    world: &World,
    history: &History,
    limit: Option<i32>,
    used: impl Fn(&ControllerRevision) -> bool,
) -> Result<(), Error> {
    let keep = usize::try_from(limit.unwrap_or(KEEP)).unwrap_or(0);
    let idle: Vec<_> = history.all.iter().filter(|r| !used(r) && !is_deleting(&r.metadata)).collect();
    for revision in idle.iter().take(idle.len().saturating_sub(keep)) {
        let meta = &revision.metadata;
        let api = world.api::<ControllerRevision>(namespace(meta));
        absent_is_fine(api.delete(name(meta), &DeleteOptions::of_uid(uid(meta))).await)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_gives_its_template_back() {
        let template_json = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}});
        let wanted: PodTemplateSpec = serde_json::from_value(template_json).unwrap();
        let revision = ControllerRevision { data: Some(RawExtension(data(&wanted))), ..Default::default() };
        assert_eq!(revision.data.as_ref().unwrap().0["spec"]["template"]["$patch"], "replace");
        assert_eq!(template(&revision).unwrap(), wanted);
    }
}
