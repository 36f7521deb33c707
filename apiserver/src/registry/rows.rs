//! The rows of a registry as requests look for them.

use std::sync::Arc;

use super::Row;

type Map<V> = foldhash::HashMap<String, V>;

/// Rows that never change; the registry replaces all of them at once.
pub(super) struct Rows {
    by_id: Map<Arc<Row>>,
    /// Those of the same objects, by where these are stored and in the order of their versions, if there are several.
    siblings: Map<Arc<[Arc<Row>]>>,
}

impl Rows {
    /// Of rows for the same group, version and name the first counts.
    pub(super) fn new(rows: impl Iterator<Item = Arc<Row>>) -> Self {
        let mut by_id: Map<Arc<Row>> = Map::default();
        for row in rows {
            let of = &row.resource;
            by_id.entry(id(&of.group, &of.version, &of.resource)).or_insert(row);
        }
        let siblings = siblings(by_id.values());
        Self { by_id, siblings }
    }

    /// All rows, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.by_id.values()
    }

    /// The row of a resource.
    pub(super) fn find(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<Row>> {
        self.by_id.get(&id(group, version, resource))
    }

    /// The rows of the same objects as a row's, with itself; `None` if no other is.
    pub(super) fn siblings(&self, row: &Row) -> Option<&Arc<[Arc<Row>]>> {
        self.siblings.get(&place(row))
    }
}

fn siblings<'r>(rows: impl Iterator<Item = &'r Arc<Row>>) -> Map<Arc<[Arc<Row>]>> {
    let mut together: Map<Vec<Arc<Row>>> = Map::default();
    for row in rows {
        together.entry(place(row)).or_default().push(row.clone());
    }
    let several = together.into_iter().filter(|(_, rows)| rows.len() > 1);
    let sorted = several.map(|(place, mut rows)| {
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        (place, Arc::from(rows))
    });
    sorted.collect()
}

fn order(row: &Row) -> (&str, &str) {
    (row.resource.version.as_str(), row.resource.group.as_str())
}

fn id(group: &str, version: &str, resource: &str) -> String {
    format!("{group}/{version}/{resource}")
}

/// Where the objects of a row are stored.
fn place(row: &Row) -> String {
    format!("{}/{}", row.storage_group, row.resource.resource)
}

#[cfg(test)]
mod tests {
    use crate::registry::Registry;

    #[test]
    fn rows_of_the_same_objects_are_found_together() {
        let registry = Registry::builtin();
        let siblings = |group: &str, version: &str, resource: &str| -> Vec<String> {
            let own = registry.find(group, version, resource).unwrap();
            let all = registry.siblings(&own);
            all.iter().flat_map(|rows| rows.iter()).map(|row| row.api_version()).collect()
        };
        assert_eq!(siblings("autoscaling", "v2", "horizontalpodautoscalers"), ["autoscaling/v1", "autoscaling/v2"]);
        assert_eq!(siblings("", "v1", "events"), ["v1", "events.k8s.io/v1"]);
        assert_eq!(siblings("events.k8s.io", "v1", "events"), ["v1", "events.k8s.io/v1"]);
        assert!(siblings("", "v1", "pods").is_empty());
    }
}
