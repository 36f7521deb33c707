//! The rows of everything that is served: the built-in table and what custom resource definitions add at run time.

mod rows;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use arc_swap::ArcSwap;
use mainstay_api::meta;
use mainstay_api::resource::{self, Resource};
use parking_lot::Mutex;

use self::rows::Rows;
use crate::custom::{self, Served};
use crate::strategy::{self, Reader, Strategy};

/// A served resource with what the engine needs to know of it.
pub struct Row {
    /// The facts: names, verbs, subresources.
    pub resource: Resource,
    /// The kind's own rules.
    pub strategy: Arc<dyn Strategy>,
    /// Group that the objects are stored under.
    pub storage_group: String,
    /// How stored bytes begin.
    pub header: Vec<u8>,
    /// `group/version` and kind of the stored form.
    pub stored: (String, String),
    /// A resource that a custom resource definition made.
    pub custom: bool,
    /// What the definition says of the version.
    pub(crate) served: Option<Arc<Served>>,
}

impl Row {
    fn new(resource: &Resource) -> Self {
        let stored = stored_form(resource);
        Self {
            resource: resource.clone(),
            strategy: strategy::for_resource(resource),
            storage_group: storage_group(resource).to_owned(),
            header: crate::codec::header(&stored.0, &stored.1),
            stored,
            custom: false,
            served: None,
        }
    }

    fn custom(resource: Resource, served: Arc<Served>) -> Self {
        Self {
            strategy: Arc::new(custom::Objects(served.clone())),
            storage_group: resource.group.clone(),
            header: crate::codec::header(&served.stored, &served.kind),
            stored: (served.stored.clone(), served.kind.clone()),
            custom: true,
            served: Some(served),
            resource,
        }
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        group_version(&self.resource.group, &self.resource.version)
    }

    /// Whether requests speak the stored version.
    pub fn speaks_stored(&self) -> bool {
        self.stored.0 == self.api_version()
    }

    /// Whether a verb is served on the object itself.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.resource.verbs.iter().any(|own| *own == verb)
    }
}

/// `group/version`, or the version alone in the core group.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Events have two groups and one place.
fn storage_group(resource: &Resource) -> &str {
    match (&*resource.group, &*resource.resource) {
        ("events.k8s.io", "events") => "",
        _ => &resource.group,
    }
}

fn stored_form(resource: &Resource) -> (String, String) {
    let stored = match (&*resource.group, &*resource.resource) {
        ("events.k8s.io", "events") => "v1".to_owned(),
        ("autoscaling", "horizontalpodautoscalers") => "autoscaling/v2".to_owned(),
        _ => group_version(&resource.group, &resource.version),
    };
    (stored, resource.kind.to_string())
}

/// The rows that a definition made, with the resource version that they were made of.
type Made = foldhash::HashMap<String, (String, Vec<Arc<Row>>)>;

/// All rows, found by group, version and plural name.
pub struct Registry {
    rows: ArcSwap<Rows>,
    made: Mutex<Made>,
}

impl Registry {
    /// The built-in resources.
    pub fn builtin() -> Self {
        let rows = resource::builtin().iter().map(|row| Arc::new(Row::new(row)));
        Self { rows: ArcSwap::from_pointee(Rows::new(rows)), made: Mutex::new(Made::default()) }
    }

    /// Makes the rows of the definitions as the watch cache has them. What has not changed stays the same row.
    pub fn refresh(&self, reader: &dyn Reader) {
        let mut made = self.made.lock();
        let mut next = Made::default();
        for definition in reader.list(custom::GROUP, custom::DEFINITIONS, None) {
            let (name, version) = (meta::name(&definition), meta::resource_version(&definition));
            let entry = match made.remove(name) {
                Some(kept) if kept.0 == version => kept,
                _ => {
                    let rows = custom::rows(&definition).into_iter();
                    (version.to_owned(), rows.map(|(row, served)| Arc::new(Row::custom(row, served))).collect())
                }
            };
            next.insert(name.to_owned(), entry);
        }
        *made = next;
        let before = self.rows.load();
        let builtin = before.all().filter(|row| !row.custom);
        let rows = builtin.chain(made.values().flat_map(|(_, rows)| rows)).cloned();
        self.rows.store(Arc::new(Rows::new(rows)));
    }

    /// The row of a resource.
    pub fn find(&self, group: &str, version: &str, resource: &str) -> Option<Arc<Row>> {
        self.rows.load().find(group, version, resource).cloned()
    }

    /// The rows that serve the same objects as this one and itself, in the order of their versions; `None` if no other
    /// does.
    pub(crate) fn siblings(&self, row: &Row) -> Option<Arc<[Arc<Row>]>> {
        self.rows.load().siblings(row).cloned()
    }

    /// Any row of a resource, whichever the version.
    pub fn any_version(&self, group: &str, resource: &str) -> Option<Arc<Row>> {
        self.rows.load().all().find(|row| *row.resource.group == *group && *row.resource.resource == *resource).cloned()
    }

    /// The row that serves a kind.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Row>> {
        let rows = self.rows.load();
        rows.all()
            .find(|row| {
                *row.resource.group == *group && *row.resource.version == *version && *row.resource.kind == *kind
            })
            .cloned()
    }

    /// Whether a group has any resource.
    pub fn has_group(&self, group: &str) -> bool {
        self.rows.load().all().any(|row| *row.resource.group == *group)
    }

    /// Whether a group has any resource of Kubernetes' own.
    pub fn has_builtin_group(&self, group: &str) -> bool {
        self.rows.load().all().any(|row| !row.custom && *row.resource.group == *group)
    }

    /// Whether a version of a group has any resource.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.rows.load().all().any(|row| *row.resource.group == *group && *row.resource.version == *version)
    }

    /// All rows.
    pub fn all(&self) -> Vec<Arc<Row>> {
        self.rows.load().all().cloned().collect()
    }
}
