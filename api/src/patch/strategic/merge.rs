use serde_json::{Map, Value};

use super::order::{arrange, go_type, key_of, map_of, same};
use super::place::{Place, Strategy};
use super::{DELETE_PRIMITIVES, DIRECTIVE, MergeError, RETAIN_KEYS, SET_ORDER};
use crate::field::go_value;

type Object = Map<String, Value>;

/// Merges a patch into a map.
pub(super) fn map(mut original: Object, mut patch: Object, place: Place) -> Result<Object, MergeError> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Object::new()),
            _ => Err(MergeError::unknown_directive(directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    ordered_lists(&mut original, &mut patch, place)?;
    for (name, value) in patch {
        field(&mut original, &name, value, place)?;
    }
    Ok(original)
}

fn field(original: &mut Object, name: &str, value: Value, place: Place) -> Result<(), MergeError> {
    let (name, deletes) = match name.split_once('/') {
        Some((DELETE_PRIMITIVES, name)) => (name, true),
        _ if name.starts_with(DELETE_PRIMITIVES) => return Err(MergeError::PrimitiveList),
        _ => (name, false),
    };
    if value.is_null() {
        original.remove(name);
        return Ok(());
    }
    let merged = match (original.remove(name), value) {
        (None, _) if deletes => None,
        (Some(kept), value) if deletes && go_type(&kept) != go_type(&value) => Some(kept),
        (Some(Value::Object(live)), Value::Object(patch)) => {
            let strategy = place.declared(name)?;
            // What replaces as a whole is taken as it stands.
            Some(Value::Object(if strategy.replace { patch } else { map(live, patch, strategy.inside)? }))
        }
        (Some(Value::Array(live)), Value::Array(patch)) => {
            let strategy = place.declared(name)?;
            let merges = strategy.merge || deletes;
            Some(Value::Array(if merges { list(live, patch, strategy, deletes)? } else { patch }))
        }
        (_, value) => without_nulls(value).and_then(without_directives),
    };
    if let Some(merged) = merged {
        original.insert(name.to_owned(), merged);
    }
    Ok(())
}

/// The value without the nulls in its maps: there is nothing that they could take away. None for null.
fn without_nulls(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(name, value)| Some((name, without_nulls(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => {
            let items = list.into_iter().map(|item| without_nulls(item).unwrap_or_default());
            Some(Value::Array(items.collect()))
        }
        other => Some(other),
    }
}

/// The value of a patch that meets nothing to merge with. Whatever `$patch` says, there was nothing to do it to: its
/// map goes. Other directives stay, as fields that nobody knows.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(Value::Array(list.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

/// `$retainKeys`: the keys that a union keeps.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), MergeError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(MergeError::RetainKeys) };
    let kept = |name: &str| keys.iter().any(|key| key == name);
    for (name, value) in patch.iter() {
        let exempt = value.is_null() || name.starts_with(DELETE_PRIMITIVES) || name.starts_with(SET_ORDER);
        if !exempt && !kept(name) {
            return Err(MergeError::RetainKeys);
        }
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

/// `$setElementOrder/x`: merges the list `x` and puts it into the order given.
fn ordered_lists(original: &mut Object, patch: &mut Object, place: Place) -> Result<(), MergeError> {
    let directives: Vec<String> = patch.keys().filter(|name| name.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = take_list(patch.remove(&directive))?.unwrap_or_default();
        let Some((SET_ORDER, name)) = directive.split_once('/') else {
            return Err(MergeError::SetElementOrder);
        };
        let live = take_list(original.get(name).cloned())?;
        let change = take_list(patch.get(name).cloned())?;
        let strategy = place.declared(name)?;
        check_order(change.as_deref().unwrap_or_default(), &order, strategy.key)?;
        let empty = |list: &Option<Vec<Value>>| list.as_ref().is_none_or(Vec::is_empty);
        let nothing = empty(&live) && empty(&change);
        let merged = match (live.clone(), change) {
            (None, None) => continue,
            (Some(live), None) => live,
            (None, Some(change)) => match without_directives(Value::Array(change)) {
                Some(Value::Array(change)) => change,
                _ => continue,
            },
            (Some(live), Some(change)) if strategy.merge => list(live, change, strategy, false)?,
            (Some(_), Some(change)) => change,
        };
        if nothing {
            return Err(MergeError::Other("no elements in any of the given slices".to_owned()));
        }
        check_keys(&merged, &order, strategy.key)?;
        patch.remove(name);
        let arranged = arrange(merged, &order, &live.unwrap_or_default(), strategy.key)?;
        original.insert(name.to_owned(), Value::Array(arranged));
    }
    Ok(())
}

fn take_list(value: Option<Value>) -> Result<Option<Vec<Value>>, MergeError> {
    match value {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(other) => {
            Err(MergeError::Other(format!("expected a []interface {{}}, but received a {}", go_type(&other))))
        }
    }
}

/// The elements of the patch must appear in the order given, in the same sequence. Those that the patch deletes need
/// not; other directives are passed over, but not once the order is at its end.
fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<(), MergeError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    if !key.is_empty() {
        patch.iter().try_for_each(|item| map_of(item).map(drop))?;
    }
    let deletes = |item: &Value| !key.is_empty() && item.get(DIRECTIVE).is_some_and(|directive| directive == "delete");
    let mut items = patch.iter().filter(|item| !deletes(item)).peekable();
    let mut ahead = order.iter();
    while let Some(item) = items.peek().copied() {
        let Some(wanted) = ahead.as_slice().first() else { return Err(MergeError::order(patch, order)) };
        if item.get(DIRECTIVE).is_some() {
            items.next();
            continue;
        }
        if !key.is_empty() {
            map_of(wanted)?;
        }
        key_of(item, key)?;
        key_of(wanted, key)?;
        if same(wanted, item, key) {
            items.next();
        }
        ahead.next();
    }
    Ok(())
}

/// The elements of an order must tell which elements they stand for.
fn check_keys(merged: &[Value], order: &[Value], key: &str) -> Result<(), MergeError> {
    if key.is_empty() {
        return Ok(());
    }
    merged.iter().try_for_each(|item| key_of(item, key))?;
    if let Some(at) = order.iter().position(|item| !item.is_object()) {
        // Each element is looked for in the order, until it is found.
        let passes = |item: &Value| !order[..at].iter().any(|wanted| same(wanted, item, key));
        if merged.iter().any(passes) {
            return Err(MergeError::Other(format!("value for key {at} is not a map")));
        }
    }
    order.iter().try_for_each(|item| key_of(item, key))
}

/// Merges two lists: sets of scalars, or structs by key.
fn list(live: Vec<Value>, patch: Vec<Value>, strategy: Strategy, deletes: bool) -> Result<Vec<Value>, MergeError> {
    let Some(first) = live.first().or(patch.first()) else { return Ok(live) };
    check_types(first, &live, &patch)?;
    if !first.is_object() {
        if deletes {
            return Ok(live.into_iter().filter(|item| !patch.contains(item)).collect());
        }
        let mut merged: Vec<Value> = Vec::new();
        for item in live.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return arrange(merged, &patch, &live, strategy.key);
    }
    if strategy.key.is_empty() {
        return Err(MergeError::Other("cannot merge lists without merge key for struct".to_owned()));
    }
    let (live, patch) = special_elements(live, patch, strategy.key)?;
    let mut merged = live.clone();
    for item in &patch {
        let Value::Object(change) = item else { continue };
        if !change.contains_key(strategy.key) {
            return Err(MergeError::no_merge_key(change, strategy.key));
        }
        match merged.iter_mut().find(|other| same(other, item, strategy.key)) {
            Some(slot) => {
                let found = std::mem::take(slot);
                let found = if let Value::Object(found) = found { found } else { Object::new() };
                *slot = Value::Object(map(found, change.clone(), strategy.elements)?);
            }
            None => merged.push(item.clone()),
        }
    }
    arrange(merged, &patch, &live, strategy.key)
}

fn check_types(first: &Value, live: &[Value], patch: &[Value]) -> Result<(), MergeError> {
    if first.is_array() {
        return Err(MergeError::ListOfLists);
    }
    let wanted = go_type(first);
    if live.iter().chain(patch).all(|item| go_type(item) == wanted) {
        return Ok(());
    }
    let lists = Value::Array(vec![Value::Array(live.to_vec()), Value::Array(patch.to_vec())]);
    Err(MergeError::Other(format!("list element types are not identical: {}", go_value(&lists))))
}

/// Carries out the elements that are directives, and takes them out.
fn special_elements(
    mut live: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), MergeError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(change) = &item else { continue };
        let Some(directive) = change.get(DIRECTIVE) else {
            rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                if !change.contains_key(key) {
                    return Err(MergeError::no_merge_key(change, key));
                }
                live.retain(|other| !same(other, &item, key));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(MergeError::Other("merging lists cannot yet be specified in the patch".to_owned()));
            }
            _ => return Err(MergeError::unknown_directive(directive, change)),
        }
    }
    Ok(if replace { (rest, Vec::new()) } else { (live, rest) })
}
