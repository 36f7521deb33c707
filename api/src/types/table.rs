//! Reads the generated table into memory, once.

use foldhash::{HashMap, HashMapExt};
use serde::Deserialize;
use serde_json::Value;

use super::{Element, Field, ListType, Place, Shape, Special, Type, TypeId};

static SOURCE: &str = include_str!("../../tables/types.json");

/// All types and the two ways to find them.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) types: Vec<Type>,
    pub(super) kinds: Vec<([&'static str; 3], TypeId)>,
    names: HashMap<&'static str, TypeId>,
}

#[derive(Deserialize)]
struct Row {
    name: &'static str,
    gvk: Option<[&'static str; 3]>,
    special: Option<&'static str>,
    mt: Option<&'static str>,
    unions: Option<Value>,
    oapi: Option<Value>,
    #[serde(default)]
    hidden: u8,
    #[serde(default)]
    fields: Vec<FieldRow>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FieldRow {
    j: &'static str,
    n: u16,
    w: &'static str,
    r: Option<u16>,
    rep: u8,
    map: u8,
    ptr: u8,
    oe: u8,
    oz: u8,
    nil: u8,
    inl: u8,
    req: u8,
    def: Option<Value>,
    #[serde(rename = "enum")]
    values: Vec<&'static str>,
    lt: &'static str,
    lk: Vec<&'static str>,
    mt: &'static str,
    ps: &'static str,
    pmk: &'static str,
}

impl Table {
    pub(super) fn load() -> Self {
        let rows: Vec<Row> = serde_json::from_str(SOURCE).expect("the committed type table is valid");
        let mut types: Vec<Type> = rows.into_iter().map(Type::from).collect();
        for at in 0..types.len() {
            let mut flat = Vec::new();
            flatten(&types, at, &mut flat);
            flat.sort_by_key(|p| p.json);
            types[at].flat = flat;
        }
        let mut names = HashMap::with_capacity(types.len());
        let mut kinds = Vec::new();
        for (at, t) in types.iter().enumerate() {
            let id = type_id(at);
            names.insert(t.name, id);
            kinds.extend(t.gvk.map(|gvk| (gvk, id)));
        }
        kinds.sort();
        Self { types, kinds, names }
    }

    pub(super) fn id(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }
}

fn type_id(index: usize) -> TypeId {
    TypeId(u16::try_from(index).expect("there are fewer than 65536 types"))
}

fn flatten(types: &[Type], owner: usize, out: &mut Vec<Place>) {
    for (index, field) in types[owner].fields.iter().enumerate() {
        match field.element {
            Element::Object(inner) if field.inlined => flatten(types, usize::from(inner.0), out),
            // Parts of special types have no names in JSON.
            _ if field.json.is_empty() => {}
            _ => out.push(Place {
                json: field.json,
                owner: type_id(owner),
                index: u16::try_from(index).expect("a struct has fewer than 65536 fields"),
            }),
        }
    }
}

impl From<Row> for Type {
    fn from(row: Row) -> Self {
        Self {
            name: row.name,
            gvk: row.gvk,
            special: row.special.map(special),
            atomic: row.mt == Some("atomic"),
            unions: row.unions,
            openapi: row.oapi,
            hidden: row.hidden != 0,
            fields: row.fields.into_iter().map(Field::from).collect(),
            flat: Vec::new(),
        }
    }
}

impl From<FieldRow> for Field {
    fn from(row: FieldRow) -> Self {
        let shape = match (row.rep, row.map) {
            (0, 0) => Shape::Single,
            (_, 0) => Shape::List,
            _ => Shape::Map,
        };
        let list_type = match row.lt {
            "atomic" => Some(ListType::Atomic),
            "set" => Some(ListType::Set),
            "map" => Some(ListType::Map),
            _ => None,
        };
        Self {
            json: row.j,
            number: row.n,
            shape,
            element: element(row.w, row.r),
            pointer: row.ptr != 0,
            omit_empty: row.oe != 0,
            omit_zero: row.oz != 0,
            nullable: row.nil != 0,
            inlined: row.inl != 0,
            required: row.req != 0,
            default: row.def,
            values: row.values,
            list_type,
            list_keys: row.lk,
            atomic_map: row.mt == "atomic",
            patch_strategy: row.ps,
            patch_merge_key: row.pmk,
        }
    }
}

fn element(wire: &str, reference: Option<u16>) -> Element {
    if let Some(id) = reference {
        return Element::Object(TypeId(id));
    }
    match wire {
        "int32" => Element::Int32,
        "int64" => Element::Int64,
        "bool" => Element::Bool,
        "double" => Element::Double,
        "bytes" => Element::Bytes,
        "any" => Element::Any,
        _ => Element::String,
    }
}

fn special(word: &str) -> Special {
    match word {
        "time" => Special::Time,
        "microTime" => Special::MicroTime,
        "duration" => Special::Duration,
        "quantity" => Special::Quantity,
        "intOrString" => Special::IntOrString,
        "fieldsV1" => Special::FieldsV1,
        "rawExtension" => Special::RawExtension,
        "unknown" => Special::Unknown,
        "stringList" => Special::StringList,
        "schemaOrArray" => Special::SchemaOrArray,
        "schemaOrBool" => Special::SchemaOrBool,
        "schemaOrStringArray" => Special::SchemaOrStringArray,
        _ => Special::Json,
    }
}
