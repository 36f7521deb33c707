//! Structs that annotations hold as JSON. Fields have followed these annotations long ago; what they hold is judged as
//! ever.

use mainstay_api::json;
use serde_json::{Map, Value};

/// A field of a struct: its name as Go has it in the JSON, its name in our fields, and what it is.
type Field = (&'static str, &'static str, Kind);

/// A struct.
pub(crate) struct Shape {
    package: &'static str,
    name: &'static str,
    fields: &'static [Field],
}

/// What a value is read as.
pub(crate) enum Kind {
    /// A text of a type with this name.
    Text(&'static str),
    /// `int64`.
    Whole,
    /// `bool`.
    Flag,
    /// What nobody looks at.
    Any,
    /// A struct.
    Struct(&'static Shape),
    /// A list of structs.
    List(&'static Shape),
}

/// `scheduler.alpha.kubernetes.io/tolerations`, read into a type whose fields are called in JSON as in Go.
pub(crate) const TOLERATIONS: Kind = Kind::List(&Shape {
    package: "core",
    name: "Toleration",
    fields: &[
        ("Key", "key", Kind::Text("string")),
        ("Operator", "operator", Kind::Text("core.TolerationOperator")),
        ("Value", "value", Kind::Text("string")),
        ("Effect", "effect", Kind::Text("core.TaintEffect")),
        ("TolerationSeconds", "tolerationSeconds", Kind::Whole),
    ],
});

/// `scheduler.alpha.kubernetes.io/taints`.
pub(crate) const TAINTS: Kind = Kind::List(&Shape {
    package: "core",
    name: "Taint",
    fields: &[
        ("Key", "key", Kind::Text("string")),
        ("Value", "value", Kind::Text("string")),
        ("Effect", "effect", Kind::Text("core.TaintEffect")),
        ("TimeAdded", "timeAdded", Kind::Any),
    ],
});

/// `scheduler.alpha.kubernetes.io/preferAvoidPods`.
pub(crate) const AVOIDED_PODS: Kind = Kind::Struct(&Shape {
    package: "v1",
    name: "AvoidPods",
    fields: &[("preferAvoidPods", "preferAvoidPods", Kind::List(&AVOIDED))],
});

const AVOIDED: Shape = Shape {
    package: "v1",
    name: "PreferAvoidPodsEntry",
    fields: &[
        ("podSignature", "podSignature", Kind::Struct(&SIGNATURE)),
        ("evictionTime", "evictionTime", Kind::Any),
        ("reason", "reason", Kind::Text("string")),
        ("message", "message", Kind::Text("string")),
    ],
};

const SIGNATURE: Shape =
    Shape { package: "v1", name: "PodSignature", fields: &[("podController", "podController", Kind::Struct(&OWNER))] };

const OWNER: Shape = Shape {
    package: "v1",
    name: "OwnerReference",
    fields: &[
        ("apiVersion", "apiVersion", Kind::Text("string")),
        ("kind", "kind", Kind::Text("string")),
        ("name", "name", Kind::Text("string")),
        ("uid", "uid", Kind::Text("types.UID")),
        ("controller", "controller", Kind::Flag),
        ("blockOwnerDeletion", "blockOwnerDeletion", Kind::Flag),
    ],
};

/// Reads what an annotation holds. Letters of names count whatever their case, and what is not known is left out.
///
/// # Errors
/// The text of Go's error: of the syntax, or of the first value that is of another type.
pub(crate) fn read(text: &str, of: &Kind) -> Result<Value, String> {
    let value = json::parse(text.as_bytes())?;
    let mut reading = Reading::default();
    let read = reading.value(&value, of, None);
    reading.fault.map_or(Ok(read), Err)
}

#[derive(Default)]
struct Reading {
    /// The fields on the way to the present value.
    path: Vec<&'static str>,
    fault: Option<String>,
}

impl Reading {
    /// A value as far as it is what it has to be; `holder` is the struct that it is in.
    fn value(&mut self, value: &Value, of: &Kind, holder: Option<&Shape>) -> Value {
        match (of, value) {
            (_, Value::Null) => Value::Null,
            (Kind::Any, _) | (Kind::Text(_), Value::String(_)) | (Kind::Flag, Value::Bool(_)) => value.clone(),
            (Kind::Whole, Value::Number(number)) if number.is_i64() => value.clone(),
            (Kind::Struct(shape), Value::Object(map)) => self.structure(map, shape),
            (&Kind::List(shape), Value::Array(list)) => {
                list.iter().map(|item| self.value(item, &Kind::Struct(shape), holder)).collect()
            }
            _ => {
                let why = self.misfit(value, of, holder);
                self.fault.get_or_insert(why);
                Value::Null
            }
        }
    }

    fn structure(&mut self, map: &Map<String, Value>, shape: &Shape) -> Value {
        let mut out = Map::new();
        for (key, value) in map {
            let known = shape.fields.iter().find(|(name, ..)| name.eq_ignore_ascii_case(key));
            let Some((name, own, of)) = known else { continue };
            self.path.push(name);
            let read = self.value(value, of, Some(shape));
            self.path.pop();
            out.insert((*own).to_owned(), read);
        }
        Value::Object(out)
    }

    fn misfit(&self, value: &Value, of: &Kind, holder: Option<&Shape>) -> String {
        let found = match (of, value) {
            (Kind::Whole, Value::Number(number)) => format!("number {number}"),
            _ => json::type_name(value).to_owned(),
        };
        let place = match holder {
            Some(shape) => format!("struct field {}.{}", shape.name, self.path.join(".")),
            None => "value".to_owned(),
        };
        let wanted = match of {
            Kind::Text(name) => (*name).to_owned(),
            Kind::Whole => "int64".to_owned(),
            Kind::Flag => "bool".to_owned(),
            Kind::Any => String::new(),
            Kind::Struct(shape) => format!("{}.{}", shape.package, shape.name),
            Kind::List(shape) => format!("[]{}.{}", shape.package, shape.name),
        };
        format!("json: cannot unmarshal {found} into Go {place} of type {wanted}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_count_whatever_their_case() {
        let text = r#"[{"key": "a", "OPERATOR": "Exists", "x": 1, "tolerationSeconds": null}, null]"#;
        let read = read(text, &TOLERATIONS).unwrap();
        assert_eq!(read, json!([{"key": "a", "operator": "Exists", "tolerationSeconds": null}, null]));
    }

    #[test]
    fn faults_are_told_as_go_tells_them() {
        let told = |text: &str, of: &Kind| read(text, of).unwrap_err();
        let of = &TOLERATIONS;
        assert_eq!(told("x", of), "invalid character 'x' looking for beginning of value");
        assert_eq!(told("{}", of), "json: cannot unmarshal object into Go value of type []core.Toleration");
        assert_eq!(told("[1]", of), "json: cannot unmarshal number into Go value of type core.Toleration");
        assert_eq!(
            told(r#"[{"effect": 1}]"#, of),
            "json: cannot unmarshal number into Go struct field Toleration.Effect of type core.TaintEffect"
        );
        assert_eq!(
            told(r#"[{"tolerationSeconds": 1.5}]"#, of),
            "json: cannot unmarshal number 1.5 into Go struct field Toleration.TolerationSeconds of type int64"
        );
        assert_eq!(
            told(r#"{"preferAvoidPods": [{"podSignature": {"podController": {"uid": 1}}}]}"#, &AVOIDED_PODS),
            "json: cannot unmarshal number into Go struct field \
             OwnerReference.preferAvoidPods.podSignature.podController.uid of type types.UID"
        );
    }
}
