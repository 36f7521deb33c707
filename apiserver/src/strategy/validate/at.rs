use std::sync::LazyLock;

use mainstay_api::field::Path;
use mainstay_api::quantity::Quantity;
use serde_json::{Map, Value};

static NULL: Value = Value::Null;
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// A place in an object: the value there, null if there is none, and its path.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    /// What is there.
    pub value: &'a Value,
    /// Where that is.
    pub path: Path,
}

impl<'a> At<'a> {
    /// The object itself.
    pub fn root(value: &'a Value) -> Self {
        Self { value, path: Path::nil() }
    }

    /// The object's `spec`.
    pub fn spec(object: &'a Value) -> Self {
        Self::root(object).get("spec")
    }

    /// A value that stands at a path of its own.
    pub fn new(value: &'a Value, path: Path) -> Self {
        Self { value, path }
    }

    /// The field, null if it is missing.
    pub fn get(&self, field: &str) -> Self {
        Self { value: self.value.get(field).unwrap_or(&NULL), path: self.path.child(field) }
    }

    /// The field, if it is there and not null.
    pub fn opt(&self, field: &str) -> Option<Self> {
        let value = self.value.get(field)?;
        (!value.is_null()).then(|| Self { value, path: self.path.child(field) })
    }

    /// The elements of a list.
    pub fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        let path = self.path.clone();
        let list = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().enumerate().map(move |(index, value)| Self { value, path: path.index(index) })
    }

    /// The elements of a map, by key.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let path = self.path.clone();
        self.map().iter().map(move |(key, value)| (key.as_str(), Self { value, path: path.key(key) }))
    }

    /// The map, empty if there is none.
    pub fn map(&self) -> &'a Map<String, Value> {
        self.value.as_object().unwrap_or(&NOTHING)
    }

    /// How many elements a list or map has.
    pub fn len(&self) -> usize {
        self.value.as_array().map_or_else(|| self.map().len(), Vec::len)
    }

    /// A missing value, an empty string, list or map.
    pub fn is_empty(&self) -> bool {
        self.value.as_str().is_none_or(str::is_empty)
            && self.len() == 0
            && !self.value.is_number()
            && !self.value.is_boolean()
    }

    /// Whether there is nothing.
    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// The string, empty if there is none.
    pub fn str(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The number, 0 if there is none.
    pub fn int(&self) -> i64 {
        self.value.as_i64().unwrap_or_default()
    }

    /// The flag, false if there is none.
    pub fn bool(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// The strings of a list.
    pub fn strings(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value.as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    /// The quantity, zero if there is none.
    pub fn quantity(&self) -> Quantity {
        Quantity::from_json(self.value).unwrap_or_else(|_| Quantity::zero())
    }

    /// Which of these fields are set, in the order given.
    pub fn present<'n>(&self, fields: &[&'n str]) -> Vec<&'n str> {
        fields.iter().copied().filter(|field| self.opt(field).is_some()).collect()
    }
}
