//! Values that stand together in a list or a map.

use std::collections::HashMap;

use ::cel::common::ast::{EntryExpr, ListExpr, MapExpr};

use super::Checker;
use super::fit::fits;
use crate::cel::Type;

impl Checker<'_> {
    /// The type of what an entry adds that may be none.
    pub(super) fn unwrapped(&mut self, found: Type, id: u64) -> Type {
        match found {
            Type::Optional(inner) => *inner,
            Type::Dyn => Type::Dyn,
            other => {
                self.fail(id, format!("expected type 'optional_type({other})' but found '{other}'"));
                other
            }
        }
    }

    /// One type for all elements.
    fn join(&mut self, found: Option<Type>, next: Type, id: u64) -> Option<Type> {
        match found {
            None | Some(Type::Error) => Some(next),
            Some(Type::Dyn) => Some(Type::Dyn),
            Some(first) if self.mixed => Some(if first == next { first } else { Type::Dyn }),
            Some(first) => {
                let mut bound = HashMap::new();
                if next == Type::Dyn {
                    return Some(Type::Dyn);
                }
                if !fits(&first, &next, &mut bound) {
                    return Some(self.fail(id, format!("expected type '{first}' but found '{next}'")));
                }
                Some(first)
            }
        }
    }

    /// Whether, of two values that stand together, the type of one is known and that of the other is not.
    fn differ(&mut self, first: &mut Option<Type>, next: &Type, id: u64) -> bool {
        let first = first.get_or_insert_with(|| next.clone());
        let differ = !self.mixed && (*first == Type::Dyn) != (*next == Type::Dyn);
        if differ {
            self.unlike.push((id, format!("expected type '{first}' but found '{next}'")));
        }
        differ
    }

    pub(super) fn list(&mut self, list: &ListExpr) -> Type {
        let (mut of, mut first, mut told) = (None, None, false);
        for (index, element) in list.elements.iter().enumerate() {
            let mut found = self.check(element);
            if list.optional_indices.contains(&index) {
                found = self.unwrapped(found, element.id);
            }
            told = told || self.differ(&mut first, &found, element.id);
            of = self.join(of, found, element.id);
        }
        Type::list(of.unwrap_or(Type::Dyn))
    }

    pub(super) fn map(&mut self, map: &MapExpr) -> Type {
        let (mut keys, mut values, mut key_kind, mut value_kind) = (None, None, None, None);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.check(&entry.key);
            self.differ(&mut key_kind, &key, entry.key.id);
            keys = self.join(keys, key, entry.key.id);
            let mut value = self.check(&entry.value);
            if entry.optional {
                value = self.unwrapped(value, entry.value.id);
            }
            self.differ(&mut value_kind, &value, entry.value.id);
            values = self.join(values, value, entry.value.id);
        }
        // What consists of other values is no key. Were its type one, types could double with each map around them.
        let key = keys.filter(|key| !matches!(key, Type::List(_) | Type::Map(..) | Type::Optional(_) | Type::Kind(_)));
        Type::Map(Box::new(key.unwrap_or(Type::Dyn)), Box::new(values.unwrap_or(Type::Dyn)))
    }
}
