//! How an object changes, in the words of each version that somebody has written it in.

use serde_json::Value;

use super::managed::Entry;
use super::walk::{Comparison, compare};
use super::{FieldSet, Schema, Write};
use crate::resource::split_api_version;
use crate::types::Type;
use crate::{convert, meta, types};

/// A change to an object.
pub(super) struct Changes<'a> {
    /// In the version of the request.
    own: Seen,
    /// In the other versions that were asked for; none where there is no way to that version. An object may have
    /// thousands of managers, and to convert it takes long.
    others: Vec<(String, Option<Seen>)>,
    live: &'a Value,
    new: &'a Value,
    write: &'a Write<'a>,
}

/// A change as managers see it.
struct Seen {
    taken: FieldSet,
    removed: FieldSet,
}

impl Seen {
    fn of(change: Comparison) -> Self {
        let mut taken = change.modified;
        taken.absorb(change.added);
        Self { taken, removed: change.removed }
    }
}

impl<'a> Changes<'a> {
    pub(super) fn of(live: &'a Value, new: &'a Value, write: &'a Write<'a>) -> Self {
        let own = Seen::of(compare(live, new, write.schema).without(write.ignored));
        Self { own, others: Vec::new(), live, new, write }
    }

    /// Fields that are the writer's from now on.
    pub(super) fn taken(&self) -> FieldSet {
        self.own.taken.clone()
    }

    /// The fields of an entry that somebody else takes, and those that are gone; none if nobody writes its version any
    /// more.
    pub(super) fn lost(&mut self, entry: &Entry) -> Option<(FieldSet, FieldSet)> {
        let seen = self.seen_in(&entry.api_version)?;
        Some((entry.set.intersection(&seen.taken), entry.set.intersection(&seen.removed)))
    }

    fn seen_in(&mut self, api_version: &str) -> Option<&Seen> {
        if api_version == self.write.api_version || !matches!(self.write.schema, Schema::Struct(_)) {
            return Some(&self.own);
        }
        let (group, version) = split_api_version(api_version);
        let of = types::type_of(group, version, meta::kind(self.new))?;
        if !self.others.iter().any(|(known, _)| known == api_version) {
            let seen = self.converted(group, version, of);
            self.others.push((api_version.to_owned(), seen));
        }
        let found = self.others.iter().find(|(known, _)| known == api_version);
        found.map(|(_, seen)| seen.as_ref().unwrap_or(&self.own))
    }

    fn converted(&self, group: &str, version: &str, of: &'static Type) -> Option<Seen> {
        let there = |object: &Value| convert::to_version(object.clone(), group, version, meta::kind(self.new)).ok();
        let change = compare(&there(self.live)?, &there(self.new)?, Schema::Struct(of));
        Some(Seen::of(change.without(self.write.ignored)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ssa::{apply, track_update};
    use crate::types::type_of;

    const KIND: &str = "HorizontalPodAutoscaler";

    fn write<'a>(api_version: &'a str, manager: &'a str, ignored: &'a FieldSet) -> Write<'a> {
        let (group, version) = split_api_version(api_version);
        let schema = Schema::Struct(type_of(group, version, KIND).unwrap());
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        Write { schema, manager, api_version, subresource: "", ignored, now }
    }

    fn scaler(api_version: &str, spec: Value) -> Value {
        json!({"apiVersion": api_version, "kind": KIND, "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn a_manager_sees_a_change_in_its_own_version() {
        let nothing = FieldSet::default();
        let metrics = json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 50}}}]);
        let config = scaler("autoscaling/v2", json!({"maxReplicas": 3, "metrics": metrics}));
        let live = apply(None, &config, &write("autoscaling/v2", "a", &nothing), false).unwrap();
        let live = convert::to_version(live, "autoscaling", "v1", KIND).unwrap();
        let config = scaler("autoscaling/v1", json!({"targetCPUUtilizationPercentage": 70}));
        let old = write("autoscaling/v1", "b", &nothing);
        let refused = apply(Some(&live), &config, &old, false).unwrap_err();
        assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"a\": .spec.metrics");
        let forced = apply(Some(&live), &config, &old, true).unwrap();
        assert_eq!(meta::managed_fields(&forced)[0]["fieldsV1"], json!({"f:spec": {"f:maxReplicas": {}}}));
    }

    #[test]
    fn who_writes_a_version_that_is_gone_owns_nothing() {
        let nothing = FieldSet::default();
        let mut object = scaler("autoscaling/v2", json!({"maxReplicas": 3}));
        object["metadata"]["uid"] = "u".into();
        let entry = |version: &str| {
            json!({"manager": version, "operation": "Update", "apiVersion": format!("autoscaling/{version}"),
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:maxReplicas": {}}}})
        };
        let mut new = object.clone();
        new["metadata"]["managedFields"] = json!([entry("v2"), entry("v2beta2")]);
        track_update(Some(&object), &mut new, &write("autoscaling/v2", "c", &nothing));
        let left: Vec<&Value> = meta::managed_fields(&new).iter().map(|entry| &entry["manager"]).collect();
        assert_eq!(left, ["v2"]);
    }
}
