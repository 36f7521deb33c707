//! The rows of everything that is served: the built-in table and what custom resource definitions add at run time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use mainstay_api::meta;
use mainstay_api::resource::{self, Resource};
use parking_lot::Mutex;

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

type Rows = foldhash::HashMap<String, Arc<Row>>;

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
        let rows = resource::builtin()
            .iter()
            .map(|row| (id(&row.group, &row.version, &row.resource), Arc::new(Row::new(row))))
            .collect();
        Self { rows: ArcSwap::from_pointee(rows), made: Mutex::new(Made::default()) }
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
        let mut rows: Rows = self.rows.load().iter().filter(|(_, row)| !row.custom).map(clone).collect();
        for row in made.values().flat_map(|(_, rows)| rows) {
            let id = id(&row.resource.group, &row.resource.version, &row.resource.resource);
            rows.entry(id).or_insert_with(|| row.clone());
        }
        self.rows.store(Arc::new(rows));
    }

    /// The row of a resource.
    pub fn find(&self, group: &str, version: &str, resource: &str) -> Option<Arc<Row>> {
        self.rows.load().get(&id(group, version, resource)).cloned()
    }

    /// Any row of a resource, whichever the version.
    pub fn any_version(&self, group: &str, resource: &str) -> Option<Arc<Row>> {
        self.rows
            .load()
            .values()
            .find(|row| *row.resource.group == *group && *row.resource.resource == *resource)
            .cloned()
    }

    /// The row that serves a kind.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Row>> {
        let rows = self.rows.load();
        rows.values()
            .find(|row| {
                *row.resource.group == *group && *row.resource.version == *version && *row.resource.kind == *kind
            })
            .cloned()
    }

    /// Whether a group has any resource.
    pub fn has_group(&self, group: &str) -> bool {
        self.rows.load().values().any(|row| *row.resource.group == *group)
    }

    /// Whether a group has any resource of Kubernetes' own.
    pub fn has_builtin_group(&self, group: &str) -> bool {
        self.rows.load().values().any(|row| !row.custom && *row.resource.group == *group)
    }

    /// Whether a version of a group has any resource.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.rows.load().values().any(|row| *row.resource.group == *group && *row.resource.version == *version)
    }

    /// All rows.
    pub fn all(&self) -> Vec<Arc<Row>> {
        self.rows.load().values().cloned().collect()
    }
}

fn clone((id, row): (&String, &Arc<Row>)) -> (String, Arc<Row>) {
    (id.clone(), row.clone())
}

fn id(group: &str, version: &str, resource: &str) -> String {
    format!("{group}/{version}/{resource}")
}
