//! The managers of an object and what each of them owns.

use serde_json::{Map, Value};

use super::set::FieldSet;
use crate::meta;

/// How many managers of updates an object keeps before the oldest are folded into one.
const UPDATERS_MAX: usize = 10;
/// The manager that the oldest updates are folded into.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// Who a manager is. Appliers are the same manager at every version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub manager: String,
    pub operation: Operation,
    /// Empty for appliers.
    pub api_version: String,
    pub subresource: String,
}

/// A manager, what it owns, and since when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub identity: Identity,
    pub api_version: String,
    pub time: Option<String>,
    pub set: FieldSet,
}

/// All managers of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Managers(pub Vec<Entry>);

impl Managers {
    /// Reads `metadata.managedFields`; None if an entry cannot be read.
    pub(super) fn read(object: &Value) -> Option<Managers> {
        meta::managed_fields(object).iter().map(read_entry).collect::<Option<Vec<_>>>().map(Managers)
    }

    pub(super) fn get(&self, identity: &Identity) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.identity == *identity)
    }

    pub(super) fn get_mut(&mut self, identity: &Identity) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.identity == *identity)
    }

    /// Replaces or adds an entry.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.get_mut(&entry.identity) {
            Some(slot) => *slot = entry,
            None => self.0.push(entry),
        }
    }

    /// Takes fields that people cannot own out of every set, and drops managers that own nothing.
    pub(super) fn strip(&mut self) {
        let stripped = stripped_fields();
        for entry in &mut self.0 {
            entry.set = entry.set.difference(&stripped);
        }
        self.0.retain(|entry| !entry.set.is_empty());
    }

    /// Folds the oldest updaters into one manager for each version, so that the list stays short.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<Identity> = Vec::new();
        let mut sorted: Vec<&Entry> =
            self.0.iter().filter(|entry| entry.identity.operation == Operation::Update).collect();
        sorted.sort_by(|a, b| (&a.time, &a.identity.manager).cmp(&(&b.time, &b.identity.manager)));
        updaters.extend(sorted.iter().map(|entry| entry.identity.clone()));
        let mut left = updaters.len();
        let mut first: Vec<(String, Identity)> = Vec::new();
        for identity in updaters {
            if left <= UPDATERS_MAX {
                break;
            }
            let version = identity.api_version.clone();
            match first.iter().find(|(known, _)| *known == version).map(|(_, first)| first.clone()) {
                None => first.push((version, identity)),
                Some(oldest) => {
                    self.fold(&oldest, &identity);
                    left -= 1;
                }
            }
        }
    }

    fn fold(&mut self, oldest: &Identity, identity: &Identity) {
        let bucket = Identity { manager: ANCIENT.to_owned(), subresource: String::new(), ..oldest.clone() };
        if self.get(&bucket).is_none()
            && let Some(entry) = self.get_mut(oldest)
        {
            entry.identity = bucket.clone();
        }
        let Some(at) = self.0.iter().position(|entry| entry.identity == *identity) else { return };
        let folded = self.0.remove(at);
        if let Some(entry) = self.get_mut(&bucket) {
            entry.set = entry.set.union(&folded.set);
            entry.time = folded.time;
        }
    }

    /// Writes `metadata.managedFields`, oldest first.
    pub(super) fn write(mut self, object: &mut Value) {
        self.0.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        if self.0.is_empty() {
            meta::remove_field(object, "managedFields");
        } else {
            let entries: Vec<Value> = self.0.iter().map(write_entry).collect();
            meta::set(object, "managedFields", entries);
        }
    }
}

fn sort_key(entry: &Entry) -> (Operation, Option<&str>, &str, &str, &str) {
    let identity = &entry.identity;
    (identity.operation, entry.time.as_deref(), &identity.manager, &entry.api_version, &identity.subresource)
}

fn read_entry(entry: &Value) -> Option<Entry> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let api_version = text("apiVersion");
    let identity = Identity {
        manager: text("manager"),
        operation,
        api_version: if operation == Operation::Update { api_version.clone() } else { String::new() },
        subresource: text("subresource"),
    };
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    let set = FieldSet::from_json(entry.get("fieldsV1").unwrap_or(&Value::Null));
    Some(Entry { identity, api_version, time, set })
}

fn write_entry(entry: &Entry) -> Value {
    let mut out = Map::new();
    let mut put = |field: &str, value: Value| out.insert(field.to_owned(), value);
    if !entry.identity.manager.is_empty() {
        put("manager", entry.identity.manager.as_str().into());
    }
    put("operation", entry.identity.operation.text().into());
    put("apiVersion", entry.api_version.as_str().into());
    if let Some(time) = &entry.time {
        put("time", time.as_str().into());
    }
    put("fieldsType", "FieldsV1".into());
    put("fieldsV1", entry.set.to_json());
    if !entry.identity.subresource.is_empty() {
        put("subresource", entry.identity.subresource.as_str().into());
    }
    Value::Object(out)
}

/// What the server sets, and nobody owns.
fn stripped_fields() -> FieldSet {
    FieldSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}
