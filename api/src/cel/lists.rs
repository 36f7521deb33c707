//! Lists, maps and sets.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Val;
use super::operators::operator;
use super::outcome::{Outcome, fail, no_overload, unfit};

fn int(number: usize) -> Val {
    Val::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("size", [Val::List(list)]) => Ok(int(list.len())),
        ("size", [Val::Map(map)]) => Ok(int(map.len())),
        ("size", [Val::Bytes(bytes)]) => Ok(int(bytes.len())),
        // What a list holds is told by its first element.
        ("join", [Val::List(list), ..]) if !begins(list, |item| matches!(item, Val::Text(_))) => unfit(name, values),
        ("isSorted" | "min" | "max", [Val::List(list)]) if !begins(list, has_order) => unfit(name, values),
        ("sum", [Val::List(list)]) if !begins(list, has_sum) => unfit(name, values),
        ("join", [Val::List(list), by @ ..]) => join(list, by),
        ("isSorted", [Val::List(list)]) => is_sorted(list),
        ("sum", [Val::List(list)]) => sum(list),
        ("min", [Val::List(list)]) => extreme(list, name, Ordering::is_lt),
        ("max", [Val::List(list)]) => extreme(list, name, Ordering::is_gt),
        ("indexOf", [Val::List(list), item]) => Ok(list.iter().position(|own| own == item).map_or(Val::Int(-1), int)),
        ("lastIndexOf", [Val::List(list), item]) => {
            Ok(list.iter().rposition(|own| own == item).map_or(Val::Int(-1), int))
        }
        _ => return lists(name, values).or_else(|| sets(name, values)),
    })
}

/// cel-go's own library of lists, and what makes optional values of lists or lists of them.
fn lists(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("first", [Val::List(list)]) => Ok(Val::Optional(list.first().cloned().map(Arc::new))),
        ("last", [Val::List(list)]) => Ok(Val::Optional(list.last().cloned().map(Arc::new))),
        ("optional.unwrap" | "unwrapOpt", [Val::List(list)]) => unwrapped(list),
        ("flatten", [Val::List(list)]) => flatten(list, 1),
        ("flatten", [Val::List(list), Val::Int(depth)]) => flatten(list, *depth),
        ("slice", [Val::List(list), Val::Int(from), Val::Int(to)]) => slice(list, *from, *to),
        ("distinct", [Val::List(list)]) => Ok(Val::list(distinct(list))),
        ("reverse", [Val::List(list)]) => Ok(Val::list(list.iter().rev().cloned())),
        ("sort", [Val::List(list)]) => sorted(list, list),
        ("@sortByAssociatedKeys", [Val::List(list), Val::List(keys)]) => sorted(list, keys),
        ("lists.range", [Val::Int(count)]) => Ok(Val::list((0..*count).map(Val::Int))),
        _ => return None,
    })
}

fn sets(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("sets.contains", [Val::List(a), Val::List(b)]) => Ok(Val::Bool(b.iter().all(|item| a.contains(item)))),
        ("sets.intersects", [Val::List(a), Val::List(b)]) => Ok(Val::Bool(b.iter().any(|item| a.contains(item)))),
        ("sets.equivalent", [Val::List(a), Val::List(b)]) => {
            Ok(Val::Bool(b.iter().all(|item| a.contains(item)) && a.iter().all(|item| b.contains(item))))
        }
        _ => return None,
    })
}

fn join(list: &[Val], by: &[Val]) -> Outcome {
    let by = match by {
        [] => "",
        [Val::Text(by)] => by,
        _ => return no_overload(),
    };
    let mut texts: Vec<&str> = Vec::with_capacity(list.len());
    for item in list {
        match item {
            Val::Text(text) => texts.push(text),
            other => return fail(format!("join: invalid input: {}", other.to_text().unwrap_or_default())),
        }
    }
    Ok(Val::text(texts.join(by)))
}

fn sum(list: &[Val]) -> Outcome {
    let mut items = list.iter().cloned();
    let Some(first) = items.next() else { return Ok(Val::Int(0)) };
    items.try_fold(first, |sum, item| operator("_+_", &[sum, item]).unwrap_or_else(no_overload))
}

/// Whether the first element of a list is as it has to be, if there is one.
fn begins(list: &[Val], fits: fn(&Val) -> bool) -> bool {
    list.first().is_none_or(fits)
}

fn has_sum(value: &Val) -> bool {
    matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_) | Val::Duration(_))
}

/// What has no order with the element before it does not follow a larger one.
fn is_sorted(list: &[Val]) -> Outcome {
    for pair in list.windows(2) {
        if !has_order(&pair[1]) {
            return no_overload();
        }
        if pair[0].compare(&pair[1]).is_some_and(Ordering::is_gt) {
            return Ok(Val::Bool(false));
        }
    }
    Ok(Val::Bool(true))
}

/// The least or the greatest element; what has no order with the best so far is none better.
fn extreme(list: &[Val], name: &str, better: fn(Ordering) -> bool) -> Outcome {
    let mut items = list.iter();
    let Some(mut best) = items.next() else { return fail(format!("{name} called on empty list")) };
    for item in items {
        if !has_order(item) {
            return no_overload();
        }
        if item.compare(best).is_some_and(better) {
            best = item;
        }
    }
    Ok(best.clone())
}

/// The values that are there.
fn unwrapped(list: &[Val]) -> Outcome {
    let mut out = Vec::with_capacity(list.len());
    for item in list {
        match item {
            Val::Optional(inner) => out.extend(inner.as_deref().cloned()),
            other => return fail(format!("value {} is not optional", other.to_text().unwrap_or_default())),
        }
    }
    Ok(Val::list(out))
}

fn flatten(list: &[Val], depth: i64) -> Outcome {
    if depth < 0 {
        return fail("level must be non-negative");
    }
    let mut out = Vec::new();
    flatten_into(&mut out, list, depth);
    Ok(Val::list(out))
}

fn flatten_into(out: &mut Vec<Val>, list: &[Val], depth: i64) {
    for item in list {
        match item {
            Val::List(inner) if depth > 0 => flatten_into(out, inner, depth - 1),
            other => out.push(other.clone()),
        }
    }
}

fn slice(list: &[Val], from: i64, to: i64) -> Outcome {
    let refused = |why: &str| -> Outcome { fail(format!("cannot slice({from}, {to}), {why}")) };
    let (Ok(start), Ok(end)) = (usize::try_from(from), usize::try_from(to)) else {
        return refused("negative indexes not supported");
    };
    if start > end {
        return refused("start index must be less than or equal to end index");
    }
    match list.get(start..end) {
        Some(part) => Ok(Val::list(part.iter().cloned())),
        None => refused(&format!("list is length {}", list.len())),
    }
}

/// The elements in the order of their keys.
fn sorted(list: &[Val], keys: &[Val]) -> Outcome {
    let Some(first) = keys.first() else { return Ok(Val::list([])) };
    if !has_order(first) {
        return fail("list elements must be comparable");
    }
    if keys.iter().any(|key| key.type_name() != first.type_name()) {
        return fail("list elements must have the same type");
    }
    let mut pairs: Vec<(&Val, &Val)> = keys.iter().zip(list).collect();
    pairs.sort_by(|(one, _), (other, _)| in_order(one, other));
    Ok(Val::list(pairs.into_iter().map(|(_, item)| item.clone())))
}

fn has_order(value: &Val) -> bool {
    matches!(
        value,
        Val::Bool(_)
            | Val::Int(_)
            | Val::Uint(_)
            | Val::Double(_)
            | Val::Text(_)
            | Val::Bytes(_)
            | Val::Time(_)
            | Val::Duration(_)
    )
}

/// The order of two values of one type. What is no number has a place among them too: sorting needs one.
fn in_order(one: &Val, other: &Val) -> Ordering {
    match (one, other) {
        (Val::Double(one), Val::Double(other)) => one.total_cmp(other),
        _ => one.compare(other).unwrap_or(Ordering::Equal),
    }
}

fn distinct(list: &[Val]) -> Vec<Val> {
    let mut out: Vec<Val> = Vec::new();
    for item in list {
        if !out.contains(item) {
            out.push(item.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{holds, run};

    #[test]
    fn the_ends_of_a_list_may_not_be_there() {
        holds("x.first().value() == 1 && x.last() == optional.of(3)", json!([1, 2, 3]));
        holds("!x.first().hasValue() && x.last().orValue(7) == 7", json!([]));
    }

    #[test]
    fn lists_of_optional_values_become_lists_of_what_is_there() {
        holds("optional.unwrap([optional.of(1), optional.none(), optional.of(3)]) == [1, 3]", Value::Null);
        holds("x.map(k, {'a': 1}[?k]).unwrapOpt() == [1]", json!(["a", "b"]));
        assert_eq!(run("x.unwrapOpt()", json!([1])).unwrap_err(), "value 1 is not optional");
        assert!(run("[1].unwrapOpt()", Value::Null).unwrap_err().contains("'unwrapOpt' applied to 'list(int).()'"));
    }

    #[test]
    fn parts_of_lists() {
        holds("x.slice(1, 3) == [2, 3] && x.slice(4, 4) == [] && x.reverse() == [4, 3, 2, 1]", json!([1, 2, 3, 4]));
        let refused = |from: i64, to: i64| run(&format!("x.slice({from}, {to})"), json!([1])).unwrap_err();
        assert_eq!(refused(-1, 1), "cannot slice(-1, 1), negative indexes not supported");
        assert_eq!(refused(1, 0), "cannot slice(1, 0), start index must be less than or equal to end index");
        assert_eq!(refused(0, 2), "cannot slice(0, 2), list is length 1");
        holds("x.distinct() == [3, 1, 2] && lists.range(3) == [0, 1, 2]", json!([3, 1, 3, 2, 1]));
        holds("lists.range(0) == [] && lists.range(-1) == []", Value::Null);
    }

    #[test]
    fn lists_are_flattened_as_deep_as_asked() {
        holds("[[1], [2, 3], []].flatten() == [1, 2, 3] && x.flatten()[1] == [2]", json!([[1], [[2]]]));
        holds("x.flatten(2) == [1, 2, 3] && x.flatten(0) == x", json!([[1], [[2], 3]]));
        assert_eq!(run("x.flatten(-1)", json!([])).unwrap_err(), "level must be non-negative");
        assert!(run("[1].flatten()", Value::Null).unwrap_err().contains("'flatten' applied to 'list(int).()'"));
    }

    #[test]
    fn what_has_no_order_with_the_others_is_passed_over() {
        holds("x.max() == 2 && x.min() == 1 && x.isSorted()", json!([1, "a", 2]));
        holds("!x.isSorted() && dyn([]).isSorted() && dyn([]).sum() == 0", json!([2, 1, "a"]));
        assert_eq!(run("x.max()", json!([1, [2]])).unwrap_err(), "no such overload");
        assert_eq!(run("x.min()", json!([])).unwrap_err(), "min called on empty list");
        assert_eq!(run("x.join(',')", json!(["a", 1])).unwrap_err(), "join: invalid input: 1");
    }

    #[test]
    fn the_sum_of_nothing_is_of_the_type_of_the_elements() {
        let none = json!([]);
        holds("x.map(v, duration('1s')).sum() == duration('0s')", none.clone());
        holds("type(x.map(v, 1.5).sum()) == double && type(x.map(v, 1u).sum()) == uint", none.clone());
        holds(
            "type(x.map(v, 1).sum()) == int && type(x.sum()) == int && [duration('1s')].sum() == duration('1s')",
            none,
        );
    }

    #[test]
    fn lists_are_sorted_if_their_elements_have_an_order() {
        holds("x.sort() == [1, 2, 3]", json!([3, 1, 2]));
        holds("['b', 'a'].sort() == ['a', 'b'] && [true, false].sort() == [false, true]", Value::Null);
        holds("[2.5, double('NaN'), 1.5, -1.0].sort().slice(0, 3) == [-1.0, 1.5, 2.5]", Value::Null);
        holds("[duration('1h'), duration('1m')].sort()[0] == duration('1m')", Value::Null);
        assert_eq!(run("x.sort()", json!([1, "a"])).unwrap_err(), "list elements must have the same type");
        assert_eq!(run("x.sort()", json!([[1], [2]])).unwrap_err(), "list elements must be comparable");
        assert!(run("[[1]].sort()", Value::Null).unwrap_err().contains("'sort' applied to 'list(list(int)).()'"));
    }
}
