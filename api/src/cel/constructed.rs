//! Objects that an expression constructs: the types of those that stand in others are named by the way to them.

use ::cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// What is wrong with the names of types in the literals that an expression consists of.
pub(super) fn misnamed(expression: &IdedExpr) -> Vec<String> {
    let mut found = Vec::new();
    look(expression, None, &mut found);
    found
}

/// `path` is the name that an object here is to have; the outermost may have any.
fn look(expression: &IdedExpr, path: Option<&str>, found: &mut Vec<String>) {
    match &expression.expr {
        Expr::Struct(made) => {
            let is_operation = made.type_name == "JSONPatch";
            let path = path.unwrap_or(&made.type_name);
            if !is_operation && made.type_name != path {
                found.push(format!(
                    "unexpected type name \"{}\", expected \"{path}\", which matches field name path from root Object type",
                    made.type_name
                ));
            }
            for entry in &made.entries {
                let EntryExpr::StructField(field) = &entry.expr else { continue };
                let inner = format!("{path}.{}", field.field);
                look(&field.value, (!is_operation).then_some(inner.as_str()), found);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|element| look(element, path, found)),
        Expr::Map(map) => {
            for entry in &map.entries {
                let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                look(&entry.value, path, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::cel::{Env, Program, Type};

    fn misnamed(text: &str) -> Vec<String> {
        let env = Env::new([("x".to_owned(), Type::Dyn)]).constructing(&["Object", "JSONPatch"]);
        Program::compile(text, &env).unwrap().misnamed()
    }

    #[test]
    fn the_parts_of_a_patch_are_texts() {
        let env = Env::new([("x".to_owned(), Type::Dyn)]).constructing(&["JSONPatch"]);
        assert!(Program::compile("[JSONPatch{op: x, path: '/a', value: 1}]", &env).is_ok());
        assert!(Program::compile("[JSONPatch{op: 'copy', path: '/b', ?from: optional.of('/a')}]", &env).is_ok());
        let why = Program::compile("[JSONPatch{op: 1}]", &env).unwrap_err().to_string();
        assert!(why.contains("expected type of field 'op' is 'string' but provided type is 'int'"), "{why}");
        let why = Program::compile("[JSONPatch{op: 'add', foo: 'a'}]", &env).unwrap_err().to_string();
        assert!(why.contains("expected type of field 'foo' is '' but provided type is 'string'"), "{why}");
        // What is known at run time only fails then.
        assert!(Program::compile("[JSONPatch{foo: x}]", &env).is_ok());
    }

    #[test]
    fn types_are_named_by_the_way_to_them() {
        for fine in [
            "Object{spec: Object.spec{a: 1, list: [Object.spec.list{b: x}], map: {'k': Object.spec.map{c: 1}}}}",
            "[JSONPatch{op: 'add', path: '/spec', value: Object.spec{a: Object.spec.a{}}}]",
            "x",
        ] {
            assert_eq!(misnamed(fine), Vec::<String>::new(), "{fine}");
        }
        let told = |found: &str, wanted: &str| {
            format!(
                "unexpected type name \"{found}\", expected \"{wanted}\", which matches field name path from root Object type"
            )
        };
        assert_eq!(misnamed("Object{spec: Object.wrong{}}"), [told("Object.wrong", "Object.spec")]);
        assert_eq!(
            misnamed("Object{spec: Object.spec{list: [Object.spec.item{}]}}"),
            [told("Object.spec.item", "Object.spec.list")]
        );
        assert_eq!(
            misnamed("[JSONPatch{op: 'add', path: '/a', value: Object.a{b: Object.b{}}}]"),
            [told("Object.b", "Object.a.b")]
        );
    }
}
