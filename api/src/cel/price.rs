//! What a call costs when it runs, above the one step that every call costs.

use super::{CALL_BUDGET, Val};

/// What the making of a list costs.
const LIST: u64 = 10;
/// Parts of values that are looked at for what one step costs.
const PARTS: u64 = 10;

/// The price of a call with these values, which is paid before it is made: nothing is done that cannot be paid for.
pub(super) fn of(name: &str, values: &[Val]) -> u64 {
    let own = own(name, values);
    if looks_deep(name, values) { own.max(parts(values) / PARTS) } else { own }
}

/// Whether a function looks at all that is in its values. Lists that hold the same list twice are made for little, and
/// with each of them around the other that doubles.
fn looks_deep(name: &str, values: &[Val]) -> bool {
    match name {
        "_==_" | "_!=_" | "format" | "distinct" | "indexOf" | "lastIndexOf" | "sets.contains" | "sets.intersects"
        | "sets.equivalent" => true,
        "@in" => matches!(values, [_, Val::List(_)]),
        _ => false,
    }
}

/// How many parts values have; no more are counted than can be paid for.
fn parts(values: &[Val]) -> u64 {
    let most = CALL_BUDGET.saturating_add(1).saturating_mul(PARTS);
    let mut left = most;
    values.iter().for_each(|value| count(value, &mut left));
    most - left
}

fn count(value: &Val, left: &mut u64) {
    *left = left.saturating_sub(1);
    if *left == 0 {
        return;
    }
    match value {
        Val::List(list) => list.iter().for_each(|value| count(value, left)),
        Val::Map(map) => map.values().for_each(|value| count(value, left)),
        Val::Made(made) => made.fields.values().for_each(|value| count(value, left)),
        Val::Optional(Some(value)) => count(value, left),
        _ => {}
    }
}

fn own(name: &str, values: &[Val]) -> u64 {
    match (name, values) {
        ("first" | "last", [Val::List(_)]) => 0,
        ("slice", [Val::List(list), Val::Int(from), Val::Int(to)]) => {
            let end = size(*to).min(list.len() as u64);
            LIST + end.saturating_sub(size(*from))
        }
        ("reverse" | "flatten", [Val::List(list)]) => LIST + list.len() as u64,
        ("flatten", [Val::List(list), Val::Int(depth)]) => {
            LIST.saturating_add(size(*depth).saturating_mul(list.len() as u64))
        }
        ("lists.range", [Val::Int(count)]) => LIST.saturating_add(size(*count)),
        ("sort" | "distinct", [Val::List(list)]) => every_pair(list),
        ("@sortByAssociatedKeys", [_, Val::List(keys)]) => every_pair(keys),
        ("sets.contains" | "sets.intersects", [Val::List(one), Val::List(other)]) => pairs(one, other),
        ("sets.equivalent", [Val::List(one), Val::List(other)]) => pairs(one, other).saturating_mul(2),
        ("fieldSelector" | "labelSelector", [_, Val::Text(selector)]) => reading(selector.len() as u64),
        _ => values.iter().map(Val::size).sum::<u64>() / 10,
    }
}

fn size(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn pairs(one: &[Val], other: &[Val]) -> u64 {
    (one.len() as u64).saturating_mul(other.len() as u64)
}

/// Comparing all values of a list with each other, texts for a little more.
fn every_pair(list: &[Val]) -> u64 {
    let pairs = pairs(list, list);
    let texts = matches!(list.first(), Some(Val::Text(_) | Val::Bytes(_)));
    let longer = if texts { pairs / 10 } else { 0 };
    LIST.saturating_add(pairs.saturating_mul(2)).saturating_add(longer)
}

/// Reading a selector: a list, its characters, and a list with a structure for every other one of them.
fn reading(length: u64) -> u64 {
    const REQUIREMENT: u64 = 50;
    LIST + length.div_ceil(10) + length.div_ceil(2) * REQUIREMENT
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::run;
    use super::*;

    fn list(length: i64) -> Val {
        Val::list((0..length).map(Val::Int))
    }

    #[test]
    fn lists_cost_what_is_made_of_them() {
        let costs = |name: &str, more: &[Val]| of(name, &[&[list(20)][..], more].concat());
        assert_eq!(costs("first", &[]), 0);
        assert_eq!(costs("slice", &[Val::Int(5), Val::Int(8)]), 13);
        assert_eq!(costs("slice", &[Val::Int(-5), Val::Int(1_000_000)]), 30);
        assert_eq!(costs("reverse", &[]), 30);
        assert_eq!(costs("flatten", &[]), 30);
        assert_eq!(costs("flatten", &[Val::Int(3)]), 70);
        assert_eq!(costs("flatten", &[Val::Int(i64::MAX)]), u64::MAX);
        assert_eq!(of("lists.range", &[Val::Int(7)]), 17);
        assert_eq!(of("lists.range", &[Val::Int(-7)]), 10);
    }

    #[test]
    fn sorting_costs_a_comparison_of_all_with_all() {
        let texts = Val::list(["a", "b", "c", "d"].map(Val::text));
        assert_eq!(of("sort", &[list(20)]), 810);
        assert_eq!(of("distinct", std::slice::from_ref(&texts)), 10 + 32 + 1);
        assert_eq!(of("@sortByAssociatedKeys", &[texts, list(4)]), 10 + 32);
        assert_eq!(of("sort", &[Val::list([])]), 10);
        assert_eq!(of("sets.contains", &[list(20), list(4)]), 80);
        assert_eq!(of("sets.equivalent", &[list(20), list(4)]), 160);
    }

    #[test]
    fn selectors_cost_by_their_length() {
        assert_eq!(of("fieldSelector", &[Val::Null, Val::text("a=b")]), 10 + 1 + 100);
        assert_eq!(of("labelSelector", &[Val::Null, Val::text("")]), 10);
    }

    #[test]
    fn what_is_too_expensive_is_not_begun() {
        let over = "operation cancelled: actual cost limit exceeded";
        let long: Vec<i64> = (0..1000).collect();
        for text in
            ["x.sort()", "x.distinct()", "x.sortBy(e, e)", "lists.range(9223372036854775807)", "x.flatten(2000)"]
        {
            assert_eq!(run(text, json!(long)).unwrap_err(), over, "{text}");
        }
        assert!(run("lists.range(900000).size() == 900000", json!(0)).is_ok());
    }

    #[test]
    fn what_is_compared_is_paid_for_with_all_that_is_in_it() {
        let pair = |value: &Val| Val::list([value.clone(), value.clone()]);
        let doubled = |times: usize| (0..times).fold(Val::Int(1), |value, _| pair(&value));
        assert_eq!(of("_==_", &[doubled(4), doubled(4)]), 2 * 31 / 10);
        assert!(of("_==_", &[doubled(60), doubled(60)]) > CALL_BUDGET);
        assert!(of("size", &[doubled(60)]) < 10);
        let text = format!("[[1]]{}.all(v, v == v)", ".map(a, [a, a])".repeat(60));
        assert_eq!(run(&text, json!(null)).unwrap_err(), "operation cancelled: actual cost limit exceeded");
    }
}
