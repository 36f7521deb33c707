//! The expressions of policies and webhooks, checked when they are written.

use std::collections::HashSet;

use mainstay_api::cel::{Env, Program, Type, is_identifier, namespace, request_environment};
use mainstay_api::devices::{Outlook, Selector};
use mainstay_api::field::Error;
use mainstay_api::names;

use crate::strategy::validate::{At, Errors};

/// What every expression about a request may use; what the objects are is known only when it runs.
pub(crate) fn environment(parameters: bool) -> Env {
    request_environment(&Type::Dyn, parameters.then_some(Type::Dyn)).with("namespaceObject", namespace())
}

/// The environment of a policy's expressions after its variables, which are checked on the way.
pub(crate) fn with_variables(spec: &At<'_>, env: &Env, errors: &mut Errors) -> Env {
    let mut env = env.clone();
    for variable in spec.get("variables").items() {
        let (name, expression) = (variable.get("name"), variable.get("expression"));
        if name.str().trim().is_empty() {
            errors.required(&name, "name is not specified");
        } else if !is_identifier(name.str()) {
            errors.invalid(&name, "must be a valid CEL identifier");
        }
        if expression.str().trim().is_empty() {
            errors.required(&expression, "expression is not specified");
        } else {
            let of = compiled(&expression, &env, errors).unwrap_or(Type::Dyn);
            env.compose(name.str(), of);
        }
    }
    env
}

/// The type of an expression, if it compiles.
fn compiled(at: &At<'_>, env: &Env, errors: &mut Errors) -> Option<Type> {
    match Program::compile(at.str(), env) {
        Ok(program) => Some(program.output().clone()),
        Err(error) => {
            errors.invalid(at, format!("compilation failed: {error}"));
            None
        }
    }
}

/// An expression that has to give a value of a type; `words` is what errors call that. What is known at run time only
/// does not count as that type.
pub(crate) fn gives(at: &At<'_>, env: &Env, words: &str, fits: fn(&Type) -> bool, errors: &mut Errors) {
    if let Some(found) = compiled(at, env, errors)
        && !fits(&found)
    {
        errors.invalid(at, format!("must evaluate to {words} but got {}", declared(&found)));
    }
}

/// The name that a type is declared by, which for some is not what they are called in errors of the language.
fn declared(of: &Type) -> String {
    match of {
        Type::Null => "null_type".to_owned(),
        Type::Time => "google.protobuf.Timestamp".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::List(of) => format!("list({})", declared(of)),
        Type::Map(key, value) => format!("map({}, {})", declared(key), declared(value)),
        Type::Optional(of) => format!("optional_type({})", declared(of)),
        other => other.to_string(),
    }
}

/// An expression that chooses among devices.
pub(crate) fn selects(at: &At<'_>, errors: &mut Errors) {
    const LONGEST: usize = 10 << 10;
    if at.str().len() > LONGEST {
        errors.0.push(Error::too_long(&at.path, 10 << 10));
        return;
    }
    match Selector::outlook(at.str()) {
        Err(error) => errors.invalid(at, format!("compilation failed: {error}")),
        Ok(Outlook { output: Type::Bool | Type::Dyn, too_costly }) => {
            if too_costly {
                errors.0.push(Error::forbidden(&at.path, "too complex, exceeds cost limit"));
            }
        }
        Ok(Outlook { output, .. }) => {
            errors.invalid(at, format!("must evaluate to bool or the unknown type, not {output}"));
        }
    }
}

/// An expression that has to give a boolean.
pub(crate) fn gives_bool(at: &At<'_>, env: &Env, errors: &mut Errors) {
    gives(at, env, "bool", |of| *of == Type::Bool, errors);
}

/// An expression that has to give a text.
pub(crate) fn gives_text(at: &At<'_>, env: &Env, errors: &mut Errors) {
    gives(at, env, "string", |of| *of == Type::Text, errors);
}

/// Conditions under which a configuration applies.
pub(crate) fn conditions(list: &At<'_>, env: &Env, errors: &mut Errors) {
    if list.len() > 64 {
        let found = i64::try_from(list.len()).unwrap_or(i64::MAX);
        errors.0.push(Error::too_many(&list.path, found, 64));
    }
    let mut seen = HashSet::new();
    for condition in list.items() {
        let (name, expression) = (condition.get("name"), condition.get("expression"));
        let trimmed = serde_json::Value::from(expression.str().trim());
        let expression = At::new(&trimmed, expression.path);
        if expression.str().is_empty() {
            errors.required(&expression, "");
        } else {
            gives_bool(&expression, env, errors);
        }
        if name.str().is_empty() {
            errors.required(&name, "");
        } else {
            errors.each(&name, names::is_qualified_name(name.str()));
            if !seen.insert(name.str()) {
                errors.duplicate(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_expression_gives_is_known_beforehand() {
        let env = environment(false);
        let judge = |text: &str| {
            let mut errors = Errors::default();
            gives_bool(&At::root(&json!(text)), &env, &mut errors);
            errors.0.iter().map(|error| error.detail.clone()).collect::<Vec<_>>()
        };
        assert!(judge("object.spec.replicas > 1 && namespaceObject.metadata.name == 'a'").is_empty());
        assert_eq!(judge("object.spec.paused"), ["must evaluate to bool but got dyn"]);
        assert_eq!(judge("null"), ["must evaluate to bool but got null_type"]);
        assert_eq!(judge("request.userInfo.groups"), ["must evaluate to bool but got list(string)"]);
    }

    #[test]
    fn what_chooses_devices_may_not_take_too_long() {
        let judge = |text: &str| {
            let mut errors = Errors::default();
            selects(&At::root(&json!(text)), &mut errors);
            errors.0.iter().map(Error::body).collect::<Vec<_>>()
        };
        assert!(judge("device.driver == 'a'").is_empty());
        let inner =
            (0..6).fold("true".to_owned(), |inner, turn| format!("[1, 2, 3, 4, 5, 6, 7, 8].all(x{turn}, {inner})"));
        assert_eq!(judge(&inner), ["Forbidden: too complex, exceeds cost limit"]);
        assert_eq!(judge("1"), [r#"Invalid value: "1": must evaluate to bool or the unknown type, not int"#]);
    }

    #[test]
    fn conditions_are_shown_without_the_space_around_them() {
        let list = json!([
            {"name": "a", "expression": " namespaceObject.metadata.name == 'a'"},
            {"name": "b", "expression": " 1 "},
            {"name": "c", "expression": " "},
        ]);
        let mut errors = Errors::default();
        conditions(&At::root(&list), &environment(false), &mut errors);
        let bodies: Vec<_> = errors.0.iter().map(Error::body).collect();
        assert_eq!(bodies, [r#"Invalid value: "1": must evaluate to bool but got int"#, "Required value"]);
    }
}
