//! The order that `--sort-by` asks for.

use std::cmp::Ordering;

use mainstay_api::quantity::Quantity;
use serde_json::Value;

use super::jsonpath::JsonPath;

/// Puts first what has the least at a path, and what has nothing there before all; `object` leads to it from an element.
pub(super) fn sort_by<T>(list: &mut [T], path: &JsonPath, object: fn(&T) -> &Value) {
    list.sort_by(|a, b| match (path.first(object(a)), path.first(object(b))) {
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => texts(a, b),
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => sort(a).cmp(&sort(b)),
    }
}

/// Values of several sorts need an order too: of a list whose elements have none sorting may panic.
fn sort(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// Quantities, such as `500Mi`, by how much they are, and before other texts.
fn texts(a: &str, b: &str) -> Ordering {
    match (Quantity::parse(a), Quantity::parse(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Err(_), Err(_)) => natural(a, b),
        (a, b) => b.is_ok().cmp(&a.is_ok()),
    }
}

/// As people count: `a2` before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (left, right) = (digits(a), digits(b));
        let order = if left > 0 && right > 0 {
            let (x, y) = (a[..left].trim_start_matches('0'), b[..right].trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| left.cmp(&right))
        } else {
            a.chars().next().cmp(&b.chars().next())
        };
        if order.is_ne() || a.is_empty() {
            return order;
        }
        let first = |text: &str| text.chars().next().map_or(0, char::len_utf8);
        (a, b) = (&a[left.max(first(a)).min(a.len())..], &b[right.max(first(b)).min(b.len())..]);
    }
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sorted(path: &str, mut list: Vec<Value>) -> Vec<Value> {
        sort_by(&mut list, &path.parse().unwrap(), |element| element);
        list
    }

    #[test]
    fn names_are_sorted_as_people_count() {
        let of = |names: &[&str]| names.iter().map(|name| json!({"n": name})).collect::<Vec<_>>();
        let names = of(&["a10", "b", "a2", "a", "a02"]);
        assert_eq!(sorted(".n", names), of(&["a", "a2", "a02", "a10", "b"]));
    }

    #[test]
    fn quantities_are_sorted_by_how_much_they_are() {
        let of = |sizes: &[&str]| sizes.iter().map(|size| json!({"n": size})).collect::<Vec<_>>();
        assert_eq!(sorted(".n", of(&["1Ti", "none", "5Gi", "10Mi"])), of(&["10Mi", "5Gi", "1Ti", "none"]));
    }

    #[test]
    fn values_of_several_sorts_have_an_order() {
        let of = |values: [Value; 5]| values.map(|value| json!({"n": value})).to_vec();
        let mixed = of([json!("http"), json!(80), json!([1]), json!(true), json!(8)]);
        assert_eq!(sorted(".n", mixed), of([json!(true), json!(8), json!(80), json!("http"), json!([1])]));
    }

    #[test]
    fn numbers_are_sorted_by_value_and_what_has_none_comes_first() {
        let list = vec![json!({"n": 10}), json!({"n": 9}), json!({})];
        assert_eq!(sorted("{.n}", list), [json!({}), json!({"n": 9}), json!({"n": 10})]);
    }
}
