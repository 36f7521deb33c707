//! The types of Kubernetes' own kinds, as the schemas tell that are published of them.

use super::Type;
use super::identifier::escaped;
use crate::types::{self, Element, Field, Shape, Special, TypeId};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The type of a kind's objects, which all call themselves `object`; `None` if the kind is not one of Kubernetes' own.
///
/// As in Kubernetes, fields of which the schemas give no type (quantities, any JSON) do not show, and a structure that
/// occurs in itself has no fields there.
#[must_use]
pub fn type_of_kind(group: &str, version: &str, kind: &str) -> Option<Type> {
    let of = types::type_of(group, version, kind)?;
    Some(structure(of.id(), &mut Vec::new()))
}

/// The type of an object's `metadata`.
pub(super) fn object_meta() -> Type {
    types::by_name(OBJECT_META).map_or(Type::Dyn, |of| structure(of.id(), &mut Vec::new()))
}

/// `within` are the structures around this one.
fn structure(id: TypeId, within: &mut Vec<TypeId>) -> Type {
    let mut fields = Vec::new();
    if !within.contains(&id) {
        within.push(id);
        for field in id.get().members() {
            if let (Some(name), Some(of)) = (escaped(field.json), field_type(field, within)) {
                fields.push((name, of));
            }
        }
        within.pop();
    }
    Type::object("object", fields)
}

fn field_type(field: &Field, within: &mut Vec<TypeId>) -> Option<Type> {
    let of = element_type(field.element, within)?;
    Some(match field.shape {
        Shape::Single => of,
        Shape::List => Type::list(of),
        Shape::Map => Type::map(of),
    })
}

fn element_type(element: Element, within: &mut Vec<TypeId>) -> Option<Type> {
    match element {
        Element::String => Some(Type::Text),
        Element::Int32 | Element::Int64 => Some(Type::Int),
        Element::Bool => Some(Type::Bool),
        Element::Double => Some(Type::Double),
        Element::Bytes => Some(Type::Bytes),
        Element::Any => None,
        Element::Object(id) => match id.get().special {
            Some(special) => special_type(special),
            None => Some(structure(id, within)),
        },
    }
}

fn special_type(special: Special) -> Option<Type> {
    match special {
        Special::Time | Special::MicroTime => Some(Type::Time),
        Special::Duration => Some(Type::Text),
        Special::IntOrString => Some(Type::Dyn),
        Special::StringList => Some(Type::list(Type::Text)),
        Special::FieldsV1 | Special::RawExtension => Some(Type::object("object", Vec::new())),
        // Their schemas allow one of several types, or any.
        Special::Quantity
        | Special::Json
        | Special::Unknown
        | Special::SchemaOrArray
        | Special::SchemaOrBool
        | Special::SchemaOrStringArray => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type at a path of fields, `*` for the elements of a list or a map.
    fn at(of: &Type, path: &[&str]) -> Option<Type> {
        path.iter().try_fold(of.clone(), |of, step| match (&of, *step) {
            (Type::Object(of), field) => of.fields.get(field).cloned(),
            (Type::List(of) | Type::Map(_, of), "*") => Some((**of).clone()),
            _ => None,
        })
    }

    fn kind(group: &str, version: &str, kind: &str) -> Type {
        type_of_kind(group, version, kind).unwrap()
    }

    #[test]
    fn fields_have_the_types_of_their_schemas() {
        let deployment = kind("apps", "v1", "Deployment");
        let of = |path: &[&str]| at(&deployment, path);
        assert_eq!(of(&["spec", "replicas"]), Some(Type::Int));
        assert_eq!(of(&["metadata", "labels"]), Some(Type::map(Type::Text)));
        assert_eq!(of(&["metadata", "__namespace__"]), Some(Type::Text));
        assert_eq!(of(&["metadata", "creationTimestamp"]), Some(Type::Time));
        assert_eq!(of(&["spec", "strategy", "rollingUpdate", "maxSurge"]), Some(Type::Dyn));
        assert_eq!(of(&["spec", "template", "spec", "containers", "*", "args"]), Some(Type::list(Type::Text)));
        assert_eq!(of(&["spec", "nope"]), None);
        assert_eq!(at(&kind("", "v1", "Secret"), &["data"]), Some(Type::map(Type::Bytes)));
        assert_eq!(type_of_kind("apps", "v1", "Pod"), None);
    }

    #[test]
    fn what_has_no_type_in_the_schemas_does_not_show() {
        let pod = kind("", "v1", "Pod");
        let of = |field: &str| at(&pod, &["spec", "containers", "*", "resources", field]);
        assert!(of("claims").is_some());
        assert_eq!((of("limits"), of("requests")), (None, None));
    }

    #[test]
    fn a_structure_within_itself_ends() {
        let definition = kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let schema = ["spec", "versions", "*", "schema", "openAPIV3Schema"];
        assert_eq!(at(&definition, &[&schema[..], &["type"][..]].concat()), Some(Type::Text));
        let below = at(&definition, &[&schema[..], &["properties", "*"][..]].concat());
        assert_eq!(below, Some(Type::object("object", Vec::new())));
    }
}
