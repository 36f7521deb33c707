//! The managers of an object and what each of them owns.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::schema::Schema;
use super::set::FieldSet;
use crate::meta;

/// How many managers of updates an object keeps before the oldest are folded into one.
const UPDATERS_MAX: usize = 10;
/// The one form in which fields are told.
const FIELDS_TYPE: &str = "FieldsV1";
/// The manager that the oldest updates are folded into.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// Reads `metadata.managedFields`; None if an entry cannot be read. Of two entries of one manager the later counts.
    pub(super) fn read(object: &Value) -> Option<Managers> {
        let mut places: HashMap<Identity, usize> = HashMap::new();
        let mut entries: Vec<Entry> = Vec::new();
        for entry in meta::managed_fields(object) {
            let entry = read_entry(entry)?;
            match places.get(&entry.identity).copied() {
                Some(at) => entries[at] = entry,
                None => {
                    places.insert(entry.identity.clone(), entries.len());
                    entries.push(entry);
                }
            }
        }
        Some(Managers(entries))
    }

    /// Brings sets that were written in a version into line with the schema that it has now.
    pub(super) fn reconcile(&mut self, api_version: &str, schema: Schema<'_>) {
        for entry in self.0.iter_mut().filter(|entry| entry.api_version == api_version) {
            entry.set.reconcile(schema);
        }
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
        for entry in &mut self.0 {
            entry.set.subtract(&STRIPPED);
        }
        self.0.retain(|entry| !entry.set.is_empty());
    }

    /// Folds the oldest updaters into one manager for each version, so that the list stays short.
    pub(super) fn cap(&mut self) {
        let mut updaters = self.places(|entry| entry.identity.operation == Operation::Update);
        let mut excess = updaters.len().saturating_sub(UPDATERS_MAX);
        if excess == 0 {
            return;
        }
        let age = |at: usize| (&self.0[at].time, &self.0[at].identity.manager);
        updaters.sort_by(|a, b| age(*a).cmp(&age(*b)));
        let buckets = self.places(|entry| entry.identity == bucket(&entry.api_version)).into_iter();
        let mut buckets: HashMap<String, usize> = buckets.map(|at| (self.0[at].api_version.clone(), at)).collect();
        let mut oldest: HashMap<String, usize> = HashMap::new();
        let mut folded = HashSet::new();
        for at in updaters {
            let version = self.0[at].api_version.clone();
            match oldest.get(&version).copied() {
                _ if excess == 0 => break,
                None => {
                    oldest.insert(version, at);
                }
                Some(first) => {
                    let into = *buckets.entry(version).or_insert(first);
                    self.fold(into, at);
                    folded.insert(at);
                    excess -= 1;
                }
            }
        }
        let mut at = 0..;
        self.0.retain(|_| at.next().is_some_and(|at| !folded.contains(&at)));
    }

    /// Where the entries are of which something holds.
    fn places(&self, holds: impl Fn(&Entry) -> bool) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, entry)| holds(entry)).map(|(at, _)| at).collect()
    }

    /// Makes what an entry owns that of the bucket of its version.
    fn fold(&mut self, into: usize, at: usize) {
        let (set, time) = (std::mem::take(&mut self.0[at].set), self.0[at].time.clone());
        let entry = &mut self.0[into];
        entry.identity = bucket(&entry.api_version);
        entry.set.absorb(set);
        entry.time = time;
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

/// The manager that the oldest updates of a version are folded into.
fn bucket(api_version: &str) -> Identity {
    Identity {
        manager: ANCIENT.to_owned(),
        operation: Operation::Update,
        api_version: api_version.to_owned(),
        subresource: String::new(),
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
    if api_version.is_empty() || text("fieldsType") != FIELDS_TYPE {
        return None;
    }
    let identity = Identity {
        manager: text("manager"),
        operation,
        api_version: if operation == Operation::Update { api_version.clone() } else { String::new() },
        subresource: text("subresource"),
    };
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    let set = FieldSet::from_json(entry.get("fieldsV1").unwrap_or(&Value::Null))?;
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
    put("fieldsType", FIELDS_TYPE.into());
    put("fieldsV1", entry.set.to_json());
    if !entry.identity.subresource.is_empty() {
        put("subresource", entry.identity.subresource.as_str().into());
    }
    Value::Object(out)
}

/// What the server sets, and nobody owns.
static STRIPPED: LazyLock<FieldSet> = LazyLock::new(|| {
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
});
