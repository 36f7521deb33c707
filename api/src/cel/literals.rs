//! What is wrong with the literals of an expression whose types fit: times, patterns, and texts with clauses that would
//! fail each time the expression runs.

use std::collections::HashMap;

use ::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::{Type, Val, call, format};
use crate::schema::pattern;

/// What is wrong below an expression, by the id of the part. `types` has the types of all parts.
pub(super) fn errors(expr: &IdedExpr, types: &HashMap<u64, Type>) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    walk(expr, types, &mut found);
    found
}

fn walk(expr: &IdedExpr, types: &HashMap<u64, Type>, found: &mut Vec<(u64, String)>) {
    if let Expr::Call(call) = &expr.expr {
        found.extend(argument(call));
        found.extend(clauses(expr.id, call, types));
    }
    for part in parts(expr) {
        walk(part, types, found);
    }
}

fn text(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// A literal that a function can never take.
fn argument(call: &CallExpr) -> Option<(u64, String)> {
    let name = call.func_name.as_str();
    let first = call.args.first()?;
    if let ("duration", Expr::Literal(LiteralValue::Int(_))) = (name, &first.expr) {
        return Some((first.id, format!("invalid {name} argument")));
    }
    let literal = text(first)?;
    let wrong = match name {
        "duration" | "timestamp" => call::call(name, false, vec![Val::text(literal)]).is_err(),
        "matches" => pattern::error(literal).is_some(),
        _ => false,
    };
    wrong.then(|| (first.id, format!("invalid {name} argument")))
}

/// What is wrong with the first pattern that cannot be read among those of Kubernetes' own functions.
pub(super) fn unready(expr: &IdedExpr) -> Option<String> {
    let own = match &expr.expr {
        Expr::Call(call) if call.target.is_some() && matches!(call.func_name.as_str(), "find" | "findAll") => {
            call.args.first().and_then(text).and_then(pattern::error)
        }
        _ => None,
    };
    own.or_else(|| parts(expr).into_iter().find_map(unready))
}

/// Clauses of a text that do not fit the values listed for them.
fn clauses(id: u64, call: &CallExpr, types: &HashMap<u64, Type>) -> Option<(u64, String)> {
    let (Some(target), [arguments]) = (call.target.as_deref(), call.args.as_slice()) else { return None };
    let Expr::List(list) = &arguments.expr else { return None };
    if call.func_name != "format" {
        return None;
    }
    let of = |part: &IdedExpr| types.get(&part.id).cloned().unwrap_or(Type::Dyn);
    let given: Vec<Type> = list.elements.iter().map(of).collect();
    let (at, why) = format::misfit(text(target)?, &given)?;
    let at = at.and_then(|index| list.elements.get(index)).map_or(id, |part| part.id);
    Some((at, why))
}

/// The expressions that an expression consists of.
fn parts(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Expr::Select(select) => vec![select.operand.as_ref()],
        Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(made) => made.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Comprehension(loops) => {
            vec![&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Env, Program, Type};

    fn why(text: &str) -> String {
        let env = Env::new([("x".to_owned(), Type::Dyn), ("t".to_owned(), Type::Text)]);
        let Err(error) = Program::compile(text, &env) else { return String::new() };
        let first = error.to_string();
        first.lines().next().unwrap_or_default().trim_start_matches("ERROR: <input>:1:").to_owned()
    }

    #[test]
    fn patterns_are_read_once_the_types_fit() {
        let env = Env::new([("t".to_owned(), Type::Text)]);
        let unready = |text: &str| Program::compile(text, &env).unwrap().unready();
        assert_eq!(unready("t.find('[a]') == t || t.findAll('[a]', 1) == [t]"), None);
        let why = Some("error parsing regexp: unexpected ): `)`".to_owned());
        assert_eq!(unready("t.find(')') == t"), why);
        assert_eq!(unready("[t].exists(e, e.findAll(')', 1) == [e])"), why);
    }

    #[test]
    fn literals_are_looked_at_before_they_are_used() {
        for (text, found) in [
            ("duration('1h') > duration('1m')", ""),
            ("duration('1 hour') > duration('1m')", "10: invalid duration argument"),
            ("timestamp('2020-01-01') == timestamp(x)", "11: invalid timestamp argument"),
            ("timestamp('2020-01-01 00:00:00Z') == timestamp(x)", "11: invalid timestamp argument"),
            ("duration(5) > duration('1m')", "10: invalid duration argument"),
            ("t.matches('[a')", "11: invalid matches argument"),
            ("t.matches('[a]') && [t].exists(e, e.matches(')'))", "45: invalid matches argument"),
        ] {
            assert_eq!(why(text), found, "{text}");
        }
    }

    #[test]
    fn clauses_fit_what_is_listed_for_them() {
        for (text, found) in [
            ("'%s %d %%'.format([t, 1]) == t", ""),
            ("'%d'.format([x]) == t", ""),
            (
                "'%d'.format([t]) == t",
                "14: error during formatting: decimal clause can only be used on integers, was given string",
            ),
            ("'%s %s'.format([t]) == t", "15: index 1 out of range"),
            ("'%s'.format([t, t]) == t", "12: too many arguments supplied to string.format (expected 1, got 2)"),
            ("'%a'.format([t]) == t", "12: could not parse formatting clause: unrecognized formatting clause \"a\""),
        ] {
            assert_eq!(why(text), found, "{text}");
        }
    }

    #[test]
    fn what_is_known_at_run_time_only_stands_with_its_like() {
        assert_eq!(why("x in [x, x.a]"), "");
        assert_eq!(why("x in [t, x]"), "10: expected type 'string' but found 'dyn'");
        assert_eq!(why("{'a': x, 'b': 1}.size() == 2"), "15: expected type 'dyn' but found 'int'");
        assert_eq!(why("'%s%s'.format([t, x]) == t"), "");
    }
}
