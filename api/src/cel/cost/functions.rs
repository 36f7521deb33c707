//! What functions cost, above what their arguments do.

use ::cel::common::ast::{Expr, LiteralValue};

use super::super::Type;
use super::size::{Size, UNBOUNDED};
use super::{Estimator, Known, Part, Place, Way};

/// Cost of going through one character.
const CHARACTER: f64 = 0.1;
/// Cost of one character of a pattern.
const PATTERN: f64 = 0.25;
/// Characters of the longest pattern of a format.
const LONGEST_PATTERN: f64 = 128.0;
/// Size of the largest format.
const LONGEST_FORMAT: f64 = 64.0;
/// Cost of a call that makes a list.
const LIST_CALL: f64 = 11.0;
/// Cost of asking an authorizer.
const CHECK: f64 = 350_000.0;
/// Cost of comparing two addresses of at most sixteen bytes.
const ADDRESSES: f64 = 4.0;
/// Cost of comparing two ranges of addresses.
const RANGES: f64 = 7.0;

impl<'v> Estimator<'v> {
    /// What a call costs by itself, and what is known of what comes of it.
    pub(super) fn function(
        &self,
        name: &str,
        target: Option<&Part<'_, 'v>>,
        args: &[Part<'_, 'v>],
    ) -> (f64, Known<'v>) {
        if let Some(found) = self.passing(name, target, args) {
            return found;
        }
        let sized = |(cost, size): (f64, Size)| (cost, Known::sized(size));
        let found = strings(name, target, args).or_else(|| lists(name, target, args)).map(sized);
        let plain = || {
            let own =
                self.traversal(name, target).or_else(|| operators(name, args)).or_else(|| calls(name, target, args));
            (own.unwrap_or(1.0), Known::default())
        };
        found.unwrap_or_else(plain)
    }

    /// Functions whose values come out of their arguments.
    fn passing(&self, name: &str, target: Option<&Part<'_, 'v>>, args: &[Part<'_, 'v>]) -> Option<(f64, Known<'v>)> {
        Some(match (name, target, args) {
            ("_[_]", None, [of, _]) if !matches!(of.of, Type::Optional(_)) => {
                let size = of.known.elements.map(|elements| elements.value);
                (1.0, Known { size, way: self.step(of.known.way, Place::below), elements: None })
            }
            ("dyn", None, [of]) => (1.0, Known { way: Way::Made, ..of.known }),
            ("join", Some(list), separator) => {
                let made = joined(size(list), self.element_size(list), separator.first().map(size));
                (made.at(CHARACTER), Known::sized(made))
            }
            ("_+_", None, [one, other]) if is_list(one.of) || is_list(other.of) => {
                let elements = one.known.elements.zip(other.known.elements).map(|(one, other)| one.or(other));
                (1.0, Known { elements, ..Known::sized(size(one).plus(size(other))) })
            }
            _ => return None,
        })
    }

    /// Functions that look at all elements of a list, or go through a text.
    fn traversal(&self, name: &str, target: Option<&Part<'_, 'v>>) -> Option<f64> {
        let of = target?;
        if !matches!(name, "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf") {
            return None;
        }
        let Type::List(element) = of.of else { return Some(size(of).at(CHARACTER)) };
        let each = if is_text(element) { 1.0 + self.element_size(of).at(CHARACTER) } else { 1.0 };
        Some(size(of).times_cost(each))
    }

    /// The size of the elements of a list. Of lists that the expression makes it is not known, even of those it spells.
    fn element_size(&self, list: &Part<'_, 'v>) -> Size {
        let way = match list.known.way {
            Way::Made => Way::Lost,
            way => self.step(way, Place::below),
        };
        self.most(way).unwrap_or(Size::ENDLESS)
    }
}

fn size(part: &Part<'_, '_>) -> Size {
    part.known.size()
}

fn is_list(of: &Type) -> bool {
    matches!(of, Type::List(_))
}

fn is_text(of: &Type) -> bool {
    matches!(of, Type::Text | Type::Bytes)
}

/// Whether an operator can be that of texts.
fn may_be_texts(one: &Part<'_, '_>, other: &Part<'_, '_>) -> bool {
    is_text(one.of) || is_text(other.of) || (*one.of == Type::Dyn && *other.of == Type::Dyn)
}

/// What it costs to compare a value of a library with another of its type.
fn same(other: &Part<'_, '_>) -> f64 {
    match other.of {
        Type::Named(name) if name == "kubernetes.URL" => other.known.size.unwrap_or(Size::exactly(1.0)).at(CHARACTER),
        Type::Named(name) if name == "kubernetes.NamedFormat" => Size::exactly(LONGEST_FORMAT).at(CHARACTER),
        _ => 1.0,
    }
}

fn operators(name: &str, args: &[Part<'_, '_>]) -> Option<f64> {
    let [one, other] = args else { return None };
    let smaller = || Size::at_most(size(one).most.min(size(other).most)).at(CHARACTER);
    Some(match name {
        "_&&_" | "_||_" => 0.0,
        "@in" if !matches!(other.of, Type::Map(..)) => size(other).at(1.0),
        "_<_" | "_<=_" | "_>_" | "_>=_" if may_be_texts(one, other) => smaller(),
        "_==_" if one.of == other.of && matches!(one.of, Type::Named(_)) => same(other),
        "_==_" | "_!=_" => smaller(),
        _ => return None,
    })
}

fn calls(name: &str, target: Option<&Part<'_, '_>>, args: &[Part<'_, '_>]) -> Option<f64> {
    let parsed = |text: &Part<'_, '_>| if *text.of == Type::Text { size(text).at(CHARACTER) } else { 0.0 };
    Some(match (name, target, args) {
        ("startsWith" | "endsWith", Some(_), [part]) => size(part).at(CHARACTER),
        ("matches", Some(text), [pattern]) => matching(size(text), size(pattern)),
        ("contains", Some(text), [part]) => size(text).at(CHARACTER) * size(part).at(CHARACTER),
        ("format", Some(text), _) => size(text).at(CHARACTER),
        ("check", Some(_), _) => CHECK,
        // A list, the characters, and a list with a structure for every other one of them.
        ("fieldSelector" | "labelSelector", Some(_), [text]) => {
            10.0 + size(text).at(CHARACTER) + size(text).at(0.5) * 50.0
        }
        ("containsIP", Some(_), [other]) => ADDRESSES + parsed(other),
        ("containsCIDR", Some(_), [other]) => RANGES + parsed(other),
        ("validate", Some(_), [text]) => (size(text).at(CHARACTER) * LONGEST_PATTERN * PATTERN).ceil(),
        ("sets.contains" | "sets.intersects", None, [one, other]) => 1.0 + size(one).times(size(other)).at(1.0),
        ("sets.equivalent", None, [one, other]) => 1.0 + size(one).times(size(other)).at(2.0),
        _ => return None,
    })
}

/// Going through a text with a pattern, which also costs where the text is empty.
fn matching(text: Size, pattern: Size) -> f64 {
    text.plus(Size::exactly(1.0)).at(CHARACTER) * pattern.at(PATTERN)
}

/// Functions that make texts, or lists of them, whose size is known.
fn strings(name: &str, target: Option<&Part<'_, '_>>, args: &[Part<'_, '_>]) -> Option<(f64, Size)> {
    Some(match (name, target, args) {
        ("_+_", None, [one, other]) if may_be_texts(one, other) => {
            let sum = size(one).plus(size(other));
            (sum.at(CHARACTER), sum)
        }
        ("bytes", None, [text]) if *text.of != Type::Bytes => {
            (size(text).at(CHARACTER), Size { most: size(text).most * 4.0, ..size(text) })
        }
        ("string", None, [bytes]) if matches!(bytes.of, Type::Bytes | Type::Dyn) => {
            let made = size(bytes);
            (made.at(CHARACTER).max(1.0), Size { least: (made.least / 4.0).floor(), ..made })
        }
        ("strings.quote", None, [text]) => {
            let own = size(text);
            (own.at(CHARACTER), Size { least: own.least + 2.0, most: own.most * 2.0 + 2.0 })
        }
        ("url" | "jsonpatch.escapeKey", None, [text]) => (size(text).at(CHARACTER), size(text)),
        ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(text), _) => (size(text).at(CHARACTER), size(text)),
        ("replace", Some(text), [from, to, ..]) => {
            (size(text).at(2.0 * CHARACTER), replaced(size(text), size(from), size(to)))
        }
        ("split", Some(text), [_, limit @ ..]) => {
            // Less than nothing means all of them, which the estimate takes for a number without a sign.
            let limit = limit.first().and_then(spelled).map(|most| if most < 0.0 { UNBOUNDED } else { most });
            let most = limit.unwrap_or(size(text).most);
            (size(text).at(2.0 * CHARACTER), Size::at_most(most))
        }
        ("find" | "findAll", Some(text), [pattern, ..]) => {
            (matching(size(text), size(pattern)), Size::at_most(size(text).most))
        }
        _ => return None,
    })
}

/// A text in which something gives way to something else.
fn replaced(text: Size, from: Size, to: Size) -> Size {
    let (count, kept) = if from.least == 0.0 {
        (text.most + 1.0, text.most)
    } else if to.most <= from.least {
        (0.0, text.most)
    } else {
        ((text.most / from.least).ceil(), 0.0)
    };
    // What is left at the least counts for nothing but the replacing of what was replaced.
    Size::at_most(count).times(to).plus(Size::at_most(kept))
}

/// Functions of lists, which cost by how much they make or compare.
fn lists(name: &str, target: Option<&Part<'_, '_>>, args: &[Part<'_, '_>]) -> Option<(f64, Size)> {
    let square = |list: &Part<'_, '_>| size(list).times(size(list));
    let (factor, made) = match (name, target, args) {
        ("slice", Some(list), [from, to]) => {
            let end = whole(to).unwrap_or(size(list).most);
            (1.0, difference(whole(from).unwrap_or(0.0), end))
        }
        ("reverse", Some(list), []) | ("flatten", Some(list), []) => (1.0, size(list)),
        ("flatten", Some(list), [depth]) => (whole(depth).unwrap_or(Size::ENDLESS.most), size(list)),
        ("lists.range", None, [count]) => (1.0, Size::exactly(whole(count).unwrap_or(Size::ENDLESS.most))),
        ("distinct", Some(list), []) => (2.0, square(list)),
        ("sort", Some(list), []) => (comparison(list), square(list)),
        ("@sortByAssociatedKeys", Some(_), [keys]) => (comparison(keys), square(keys)),
        _ => return None,
    };
    Some((LIST_CALL + made.at(factor), made))
}

/// What comparing two elements of a list costs.
fn comparison(list: &Part<'_, '_>) -> f64 {
    if matches!(list.of, Type::List(of) if is_text(of)) { 2.0 + CHARACTER } else { 2.0 }
}

/// The text of a list of texts with a separator between them.
fn joined(list: Size, element: Size, separator: Option<Size>) -> Size {
    let between = Size { least: (list.least - 1.0).max(0.0), most: (list.most - 1.0).max(0.0) };
    let made = list.times(element);
    separator.map_or(made, |separator| made.plus(separator.times(between)))
}

/// An argument that stands in the expression as a whole number.
fn spelled(part: &Part<'_, '_>) -> Option<f64> {
    match &part.expr.expr {
        #[expect(clippy::cast_precision_loss, reason = "estimates are no more precise")]
        Expr::Literal(LiteralValue::Int(number)) => Some(*number.inner() as f64),
        _ => None,
    }
}

/// The same where what is less than nothing is nothing.
fn whole(part: &Part<'_, '_>) -> Option<f64> {
    spelled(part).map(|number| number.max(0.0))
}

/// The difference of two sizes. What would be less than nothing wraps around, as Go's whole numbers do.
fn difference(from: f64, to: f64) -> Size {
    Size::exactly(if to < from { UNBOUNDED } else { to - from })
}
