//! Lists, maps, sets and numbers.

use std::sync::Arc;

use super::Val;
use super::call::{Outcome, call as function, fail, no_overload};

fn int(number: usize) -> Val {
    Val::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    if let Some(found) = numbers(name, values) {
        return Some(found);
    }
    Some(match (name, values) {
        ("size", [Val::List(list)]) => Ok(int(list.len())),
        ("size", [Val::Map(map)]) => Ok(int(map.len())),
        ("size", [Val::Bytes(bytes)]) => Ok(int(bytes.len())),
        ("join", [Val::List(list), by @ ..]) => join(list, by),
        ("isSorted", [Val::List(list)]) => {
            Ok(Val::Bool(list.windows(2).all(|pair| pair[0].compare(&pair[1]).is_some_and(std::cmp::Ordering::is_le))))
        }
        ("sum", [Val::List(list)]) => sum(list),
        ("min", [Val::List(list)]) => extreme(list, name, std::cmp::Ordering::is_lt),
        ("max", [Val::List(list)]) => extreme(list, name, std::cmp::Ordering::is_gt),
        ("indexOf", [Val::List(list), item]) => Ok(list.iter().position(|own| own == item).map_or(Val::Int(-1), int)),
        ("lastIndexOf", [Val::List(list), item]) => {
            Ok(list.iter().rposition(|own| own == item).map_or(Val::Int(-1), int))
        }
        ("flatten", [Val::List(list)]) => Ok(Val::List(Arc::new(flatten(list, 1)))),
        ("flatten", [Val::List(list), Val::Int(depth)]) => Ok(Val::List(Arc::new(flatten(list, *depth)))),
        ("slice", [Val::List(list), Val::Int(from), Val::Int(to)]) => slice(list, *from, *to),
        ("distinct", [Val::List(list)]) => Ok(Val::list(distinct(list))),
        ("reverse", [Val::List(list)]) => Ok(Val::list(list.iter().rev().cloned())),
        ("sort", [Val::List(list)]) => {
            let mut sorted = (**list).clone();
            sorted.sort_by(|a, b| a.compare(b).unwrap_or(std::cmp::Ordering::Equal));
            Ok(Val::list(sorted))
        }
        ("lists.range", [Val::Int(count)]) => Ok(Val::list((0..(*count).clamp(0, 100_000)).map(Val::Int))),
        ("sets.contains", [Val::List(a), Val::List(b)]) => Ok(Val::Bool(b.iter().all(|item| a.contains(item)))),
        ("sets.intersects", [Val::List(a), Val::List(b)]) => Ok(Val::Bool(b.iter().any(|item| a.contains(item)))),
        ("sets.equivalent", [Val::List(a), Val::List(b)]) => {
            Ok(Val::Bool(b.iter().all(|item| a.contains(item)) && a.iter().all(|item| b.contains(item))))
        }
        _ => return None,
    })
}

fn numbers(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("math.greatest", [Val::List(list)]) => extreme(list, "max", std::cmp::Ordering::is_gt),
        ("math.least", [Val::List(list)]) => extreme(list, "min", std::cmp::Ordering::is_lt),
        ("math.greatest", list) => extreme(list, "max", std::cmp::Ordering::is_gt),
        ("math.least", list) => extreme(list, "min", std::cmp::Ordering::is_lt),
        ("math.abs", [Val::Int(number)]) => {
            number.checked_abs().map_or_else(|| fail("integer overflow"), |n| Ok(Val::Int(n)))
        }
        ("math.abs", [Val::Double(number)]) => Ok(Val::Double(number.abs())),
        ("math.abs", [Val::Uint(number)]) => Ok(Val::Uint(*number)),
        ("math.ceil", [Val::Double(number)]) => Ok(Val::Double(number.ceil())),
        ("math.floor", [Val::Double(number)]) => Ok(Val::Double(number.floor())),
        ("math.round", [Val::Double(number)]) => Ok(Val::Double(number.round())),
        _ => return None,
    })
}

fn join(list: &[Val], by: &[Val]) -> Outcome {
    let by = match by {
        [] => "",
        [Val::Text(by)] => by,
        _ => return no_overload(),
    };
    let texts: Option<Vec<&str>> =
        list.iter().map(|item| if let Val::Text(text) = item { Some(&**text) } else { None }).collect();
    texts.map_or_else(no_overload, |texts| Ok(Val::text(texts.join(by))))
}

fn sum(list: &[Val]) -> Outcome {
    let mut items = list.iter().cloned();
    let Some(first) = items.next() else { return Ok(Val::Int(0)) };
    items.try_fold(first, |sum, item| function("_+_", false, vec![sum, item]))
}

fn extreme(list: &[Val], name: &str, better: fn(std::cmp::Ordering) -> bool) -> Outcome {
    let mut items = list.iter();
    let Some(mut best) = items.next() else { return fail(format!("{name} called on empty list")) };
    for item in items {
        match item.compare(best) {
            Some(order) if better(order) => best = item,
            Some(_) => {}
            None => return no_overload(),
        }
    }
    Ok(best.clone())
}

fn flatten(list: &[Val], depth: i64) -> Vec<Val> {
    let mut out = Vec::new();
    for item in list {
        match item {
            Val::List(inner) if depth > 0 => out.extend(flatten(inner, depth - 1)),
            other => out.push(other.clone()),
        }
    }
    out
}

fn slice(list: &[Val], from: i64, to: i64) -> Outcome {
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= list.len() => Ok(Val::list(list[from..to].iter().cloned())),
        _ => fail(format!("cannot slice({from}, {to}), list length is {}", list.len())),
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
