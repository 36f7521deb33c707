//! The limits of a number, compared and told as Kubernetes does it: a whole number with the whole part of a limit, any
//! other with the limit itself.

use std::cmp::Ordering;

use serde_json::Value;

use super::{flag, formats, text};
use crate::field::go_float;

/// How far a quotient may be from a whole number, relative to their sum.
const TOLERANCE: f64 = 1e-9;

/// The largest whole number of which a float tells each digit; no quotient may be larger.
const LARGEST: f64 = 9_007_199_254_740_991.0;

/// The limits, in the order in which they are told, and their names.
const LIMITS: [(&str, &str); 3] =
    [("multipleOf", "MultipleOf"), ("minimum", "Minimum boundary"), ("maximum", "Maximum boundary")];

/// What is wrong with a number.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It breaks a limit: the number as it was compared, and words that follow its name.
    Number(Value, String),
    /// What is named is out of the range of the format: the number, or one of its limits. A CRD may well have such a
    /// limit, then no number passes.
    Format(&'static str),
}

/// What is wrong with a number.
pub(super) fn faults(value: &Value, of: &Value) -> Vec<Fault> {
    let (kind, format) = (text(of, "type"), format(of));
    let mut found = Vec::new();
    if !formats::in_range(kind, format, value) {
        found.push(Fault::Format("Checked"));
    }
    for (key, name) in LIMITS {
        let Some((written, limit)) = of.get(key).and_then(|limit| Some((limit, limit.as_f64()?))) else { continue };
        // As it is written: as a float the largest int64 would be out of its own range. With a limit that is out of it, numbers
        // are compared as floats.
        let number = if formats::in_range(kind, format, written) {
            value.clone()
        } else {
            found.push(Fault::Format(name));
            value.as_f64().into()
        };
        let why = Number::of(&number).fault(key, limit, of);
        found.extend(why.map(|why| Fault::Number(number, why)));
    }
    found
}

/// The format that a schema asks for, or none if it is not known: whole numbers have the range of `int64` then.
pub(super) fn format(of: &Value) -> &str {
    let (kind, format) = (text(of, "type"), text(of, "format"));
    if !kind.is_empty() && formats::is_known(kind, format) { format } else { "" }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Self {
        value.as_i64().map_or_else(|| Number::Float(value.as_f64().unwrap_or_default()), Number::Whole)
    }

    fn fault(self, key: &str, limit: f64, of: &Value) -> Option<String> {
        match key {
            "minimum" => self.beyond(Ordering::Less, "greater than", limit, flag(of, "exclusiveMinimum")),
            "maximum" => self.beyond(Ordering::Greater, "less than", limit, flag(of, "exclusiveMaximum")),
            _ => self.multiple_fault(limit),
        }
    }

    /// Whether this is above, at or below a limit, and the limit as it is told.
    fn beside(self, limit: f64) -> (Option<Ordering>, String) {
        match self {
            Number::Whole(own) => {
                let limit = whole(limit);
                (Some(own.cmp(&limit)), limit.to_string())
            }
            Number::Float(own) => (own.partial_cmp(&limit), go_float(limit)),
        }
    }

    /// What to tell of a number on the `wrong` side of a limit, or on one that is exclusive.
    fn beyond(self, wrong: Ordering, side: &str, limit: f64, exclusive: bool) -> Option<String> {
        let (order, shown) = self.beside(limit);
        let order = order?;
        let or_equal = if exclusive { "" } else { " or equal to" };
        (order == wrong || exclusive && order == Ordering::Equal).then(|| format!("should be {side}{or_equal} {shown}"))
    }

    fn multiple_fault(self, factor: f64) -> Option<String> {
        if factor <= 0.0 {
            return None;
        }
        let (fits, shown) = match (self, whole(factor)) {
            // No whole number can be divided by a factor below one.
            (Number::Whole(own), 0) => (is_whole(quotient(float(own), factor)), go_float(factor)),
            (Number::Whole(own), factor) => (own.checked_rem(factor) == Some(0), factor.to_string()),
            (Number::Float(own), _) => (is_whole(quotient(own, factor)), go_float(factor)),
        };
        (!fits).then(|| format!("should be a multiple of {shown}"))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a limit of whole numbers loses its fraction")]
fn whole(limit: f64) -> i64 {
    limit as i64
}

#[expect(clippy::cast_precision_loss, reason = "a quotient is compared with a tolerance")]
fn float(own: i64) -> f64 {
    own as f64
}

fn quotient(number: f64, factor: f64) -> f64 {
    if factor < 1.0 { 1.0 / factor * number } else { number / factor }
}

fn is_whole(number: f64) -> bool {
    if number.abs() > LARGEST {
        return false;
    }
    let rest = (number - number.trunc()).abs();
    rest == 0.0 || number.trunc() != 0.0 && rest / (number.abs() + number.trunc().abs()) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Fault, faults};

    fn fault(value: Value, of: &Value) -> String {
        let told = faults(&value, of).into_iter().map(|fault| match fault {
            Fault::Number(number, why) if number == value => why,
            Fault::Number(number, why) => format!("{number} {why}"),
            Fault::Format(what) => format!("{what}!"),
        });
        told.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn limits_must_be_of_the_format_too() {
        let of = json!({"type": "integer", "format": "int32", "minimum": 0.5, "maximum": 4_294_967_295_u32});
        assert_eq!(fault(json!(1), &of), "Minimum boundary!; Maximum boundary!");
        assert_eq!(
            fault(json!(0), &of),
            "Minimum boundary!; 0.0 should be greater than or equal to 0.5; Maximum boundary!"
        );
        assert_eq!(
            fault(json!(5_000_000_000_i64), &of),
            "Checked!; Minimum boundary!; Maximum boundary!; 5000000000.0 should be less than or equal to 4.294967295e+09"
        );
        let of = json!({"type": "integer", "format": "int64", "maximum": i64::MAX});
        assert_eq!(fault(json!(1), &of), "");
        let of = json!({"type": "number", "format": "float", "maximum": 1e39, "multipleOf": 0.5});
        assert_eq!(fault(json!(1.5), &of), "Maximum boundary!");
        let of = json!({"type": "integer", "format": "int32", "minimum": 1.0, "maximum": 2});
        assert_eq!(fault(json!(1.0), &of), "");
        assert_eq!(fault(json!(3), &of), "should be less than or equal to 2");
    }

    #[test]
    fn integers_have_limits_of_their_own_kind() {
        let of = json!({"type": "integer", "minimum": 0.5, "multipleOf": 1.5, "maximum": 10});
        assert_eq!(fault(json!(3), &of), "MultipleOf!; Minimum boundary!");
        assert_eq!(fault(json!(0), &of), "MultipleOf!; Minimum boundary!; 0.0 should be greater than or equal to 0.5");
        assert_eq!(fault(json!(2.5), &json!({"type": "integer", "maximum": 3})), "Checked!");
        assert_eq!(fault(json!(1), &json!({"type": "integer", "maximum": 1e19})), "Maximum boundary!");
        assert_eq!(fault(json!(2.0), &json!({"type": "integer", "minimum": 1.0})), "");
        assert_eq!(fault(json!(1), &json!({"type": "number", "minimum": 0.5})), "");
    }

    #[test]
    fn whole_numbers_meet_whole_limits() {
        let of = json!({"minimum": 1.5, "maximum": 2_000_000});
        assert_eq!(fault(json!(1), &of), "");
        assert_eq!(fault(json!(0), &of), "should be greater than or equal to 1");
        assert_eq!(fault(json!(1.25), &of), "should be greater than or equal to 1.5");
        assert_eq!(fault(json!(2_000_001), &of), "should be less than or equal to 2000000");
        assert_eq!(fault(json!(2_000_000.5), &of), "should be less than or equal to 2e+06");
    }

    #[test]
    fn limits_may_be_exclusive() {
        let of = json!({"minimum": 0, "exclusiveMinimum": true, "maximum": 1, "exclusiveMaximum": true});
        assert_eq!(fault(json!(0), &of), "should be greater than 0");
        assert_eq!(fault(json!(1.0), &of), "should be less than 1");
        assert_eq!(fault(json!(0.5), &of), "");
    }

    #[test]
    fn multiples_may_be_off_by_what_floats_lose() {
        assert_eq!(fault(json!(0.3), &json!({"multipleOf": 0.1})), "");
        assert_eq!(fault(json!(0.7), &json!({"multipleOf": 0.5})), "should be a multiple of 0.5");
        assert_eq!(fault(json!(3), &json!({"multipleOf": 0.5})), "");
        assert_eq!(fault(json!(7), &json!({"multipleOf": 5})), "should be a multiple of 5");
        assert_eq!(fault(json!(10), &json!({"multipleOf": 5})), "");
        assert_eq!(fault(json!(1e300), &json!({"multipleOf": 0.5})), "should be a multiple of 0.5");
    }
}
