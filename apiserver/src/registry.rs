//! The rows of everything that is served: the built-in table and what custom resource definitions add at run time.

mod rows;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use mainstay_api::meta;
use mainstay_api::resource::{self, Resource};
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::rows::Rows;
use crate::custom::{self, Served};
use crate::strategy::{self, Reader, Strategy};

/// For so long after another row has taken its place a watch tells of what has happened before.
const LEAVING: Duration = Duration::from_secs(1);

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
    /// The definition says something else now, or is gone: who goes on with the row shows objects as they no longer are.
    pub(crate) replaced: CancellationToken,
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
            replaced: CancellationToken::new(),
        }
    }

    /// The row of a version of a definition.
    pub(crate) fn custom(resource: Resource, served: Arc<Served>) -> Self {
        Self {
            strategy: Arc::new(custom::Objects(served.clone())),
            storage_group: resource.group.clone(),
            header: crate::codec::header(&served.stored, &served.kind),
            stored: (served.stored.clone(), served.kind.clone()),
            custom: true,
            served: Some(served),
            replaced: CancellationToken::new(),
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

    /// Ends when a watch of the row has to: shortly after another has taken its place.
    pub(crate) fn over(&self) -> BoxFuture<'static, ()> {
        let replaced = self.replaced.clone();
        Box::pin(async move {
            replaced.cancelled().await;
            tokio::time::sleep(LEAVING).await;
        })
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

/// What a definition has made.
struct Made {
    definition: Arc<Value>,
    replaced: CancellationToken,
    rows: Vec<Arc<Row>>,
}

impl Made {
    /// Rows that say the same of the objects as those before are as good.
    fn of(definition: Arc<Value>, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.shows_as(&definition));
        let replaced = before.map(|before| before.replaced.clone()).unwrap_or_default();
        let row = |(resource, served)| Arc::new(Row { replaced: replaced.clone(), ..Row::custom(resource, served) });
        let rows = custom::rows(&definition).into_iter().map(row).collect();
        Self { definition, replaced, rows }
    }

    /// Whether the rows are of a definition as it is.
    fn is_of(&self, definition: &Value) -> bool {
        meta::resource_version(&self.definition) == meta::resource_version(definition)
    }

    /// Whether a definition shows objects as this one did.
    fn shows_as(&self, definition: &Value) -> bool {
        const NAMES: &str = "/status/acceptedNames";
        meta::uid(&self.definition) == meta::uid(definition)
            && self.definition["spec"] == definition["spec"]
            && self.definition.pointer(NAMES) == definition.pointer(NAMES)
    }
}

/// What all definitions have made, by their names.
type AllMade = foldhash::HashMap<String, Made>;

/// All rows, found by group, version and plural name.
pub struct Registry {
    rows: ArcSwap<Rows>,
    made: Mutex<AllMade>,
}

impl Registry {
    /// The built-in resources.
    pub fn builtin() -> Self {
        let rows = resource::builtin().iter().map(|row| Arc::new(Row::new(row)));
        Self { rows: ArcSwap::from_pointee(Rows::new(rows)), made: Mutex::new(AllMade::default()) }
    }

    /// Makes the rows of the definitions as the watch cache has them. What has not changed stays the same row.
    pub fn refresh(&self, reader: &dyn Reader) {
        let mut made = self.made.lock();
        let mut next = AllMade::default();
        let mut over = Vec::new();
        for definition in reader.list(custom::GROUP, custom::DEFINITIONS, None) {
            let name = meta::name(&definition);
            let one = match made.remove(name) {
                Some(kept) if kept.is_of(&definition) => kept,
                before => {
                    let one = Made::of(definition.clone(), before.as_ref());
                    over.extend(before.filter(|before| !before.shows_as(&one.definition)));
                    one
                }
            };
            next.insert(name.to_owned(), one);
        }
        // What is left has no definition any more.
        over.extend(std::mem::replace(&mut *made, next).into_values());
        let before = self.rows.load();
        let builtin = before.all().filter(|row| !row.custom);
        let rows = builtin.chain(made.values().flat_map(|made| &made.rows)).cloned();
        self.rows.store(Arc::new(Rows::new(rows)));
        over.iter().for_each(|over| over.replaced.cancel());
    }

    /// Whether what there is of a definition was made of it as it is.
    pub(crate) fn has_rows_of(&self, definition: &Value) -> bool {
        self.made.lock().get(meta::name(definition)).is_some_and(|made| made.is_of(definition))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::definition;
    use super::*;
    use crate::strategy::testing::Objects;

    #[test]
    fn who_uses_a_row_is_told_when_another_takes_its_place() {
        let registry = Registry::builtin();
        let row_of = |definitions: Vec<Value>| {
            let all = definitions.into_iter().map(|one| (custom::GROUP, custom::DEFINITIONS, one)).collect();
            registry.refresh(&Objects(all));
            registry.find("g.io", "v1", "as")
        };
        let mut defined = definition(&Value::Null);
        let first = row_of(vec![defined.clone()]).unwrap();
        defined["metadata"]["resourceVersion"] = json!("2");
        defined["status"]["storedVersions"] = json!(["v1"]);
        let second = row_of(vec![defined.clone()]).unwrap();
        assert!(!first.replaced.is_cancelled(), "it would say the same");
        assert!(registry.has_rows_of(&defined));
        defined["metadata"]["resourceVersion"] = json!("3");
        assert!(!registry.has_rows_of(&defined));
        defined["spec"]["versions"][0]["deprecated"] = json!(true);
        let third = row_of(vec![defined]).unwrap();
        assert!(first.replaced.is_cancelled() && second.replaced.is_cancelled() && !third.replaced.is_cancelled());
        assert!(row_of(Vec::new()).is_none());
        assert!(third.replaced.is_cancelled());
    }
}
