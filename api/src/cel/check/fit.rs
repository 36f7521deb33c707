//! Which types fit where.

use std::collections::HashMap;

use crate::cel::Type;

/// Whether a value of type `found` can be where `wanted` is expected.
pub(super) fn fits(wanted: &Type, found: &Type, bound: &mut HashMap<char, Type>) -> bool {
    match (wanted, found) {
        (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error | Type::Var(_)) => true,
        (Type::Var(letter), found) => match bound.get(letter).cloned() {
            None => {
                bound.insert(*letter, found.clone());
                true
            }
            Some(known) => {
                let same = fits(&known, found, bound) || fits(found, &known, bound);
                if known == Type::Dyn || known == Type::Null {
                    bound.insert(*letter, found.clone());
                }
                same
            }
        },
        (Type::Object(_) | Type::Optional(_) | Type::Named(_) | Type::Time | Type::Duration, Type::Null)
        | (Type::Null, Type::Object(_) | Type::Optional(_) | Type::Named(_) | Type::Time | Type::Duration) => true,
        (Type::List(wanted), Type::List(found)) | (Type::Optional(wanted), Type::Optional(found)) => {
            fits(wanted, found, bound)
        }
        (Type::Map(key, value), Type::Map(found_key, found_value)) => {
            fits(key, found_key, bound) && fits(value, found_value, bound)
        }
        // A type is a type, whichever it is.
        (Type::Kind(_), Type::Kind(_)) => true,
        (wanted, found) => wanted == found,
    }
}

/// A result with the types in it that its parameters were bound to.
pub(super) fn settled(of: &Type, bound: &HashMap<char, Type>) -> Type {
    match of {
        Type::Var(letter) => bound.get(letter).cloned().unwrap_or(Type::Dyn),
        Type::List(of) => Type::list(settled(of, bound)),
        Type::Optional(of) => Type::Optional(Box::new(settled(of, bound))),
        Type::Kind(of) => Type::Kind(Box::new(settled(of, bound))),
        Type::Map(key, value) => Type::Map(Box::new(settled(key, bound)), Box::new(settled(value, bound))),
        other => other.clone(),
    }
}
