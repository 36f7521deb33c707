//! Amounts of resources: `100m`, `1Gi`, `1e3`.

use std::cmp::Ordering;

use serde_json::Value;

mod parse;

pub use parse::ParseError;

/// How many of the smallest amount (a billionth) make one.
const NANO: i128 = 1_000_000_000;

/// Which suffixes an amount is written with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Powers of 1000: `n u m k M G T P E`.
    #[default]
    DecimalSi,
    /// Powers of 1024: `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// `e3`, `e6`.
    DecimalExponent,
}

/// How Kubernetes holds an amount, which shows where an expression asks for a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A number of 64 bits times this power of ten.
    Short(i32),
    /// A number of any length.
    Long,
}

impl Default for Form {
    fn default() -> Self {
        Self::Short(0)
    }
}

/// An exact amount, down to a billionth. Amounts are equal by value, in whichever form they were written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
    form: Form,
}

impl Quantity {
    /// Whole units.
    #[must_use]
    pub fn new(value: i64, format: Format) -> Quantity {
        Quantity { nanos: i128::from(value) * NANO, format, form: Form::Short(0) }
    }

    /// Thousandths.
    #[must_use]
    pub fn from_milli(milli: i64, format: Format) -> Quantity {
        Quantity { nanos: i128::from(milli) * (NANO / 1000), format, form: Form::Short(-3) }
    }

    /// Nothing.
    #[must_use]
    pub fn zero() -> Quantity {
        Quantity::default()
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// In Kubernetes' words, if it is not an amount.
    pub fn parse(text: &str) -> Result<Quantity, ParseError> {
        parse::parse(text)
    }

    /// The text that a JSON value is stored as: canonical, or as it was written where Kubernetes keeps that.
    ///
    /// # Errors
    /// In Kubernetes' words, if it is not an amount.
    pub fn stored_text(value: &Value) -> Result<String, ParseError> {
        let read = Quantity::from_json(value)?;
        let written = match value {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        Ok(if parse::keeps(&written) { written } else { read.to_string() })
    }

    /// Reads a JSON value: a string, a bare number, or null for zero.
    ///
    /// # Errors
    /// In Kubernetes' words, if it is not an amount.
    pub fn from_json(value: &Value) -> Result<Quantity, ParseError> {
        match value {
            Value::Null => Ok(Quantity::zero()),
            Value::String(text) => Quantity::parse(text.trim()),
            Value::Number(number) => Quantity::parse(&number.to_string()),
            _ => Err(ParseError::Format),
        }
    }

    /// The form it is written in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whole units, rounded away from zero, held within i64.
    #[must_use]
    pub fn value(&self) -> i64 {
        clamp(div_away(self.nanos, NANO))
    }

    /// Thousandths, rounded away from zero, held within i64.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        clamp(div_away(self.nanos, NANO / 1000))
    }

    /// Whole units, if Kubernetes holds the amount as a number of those. One that was written in smaller units it does
    /// not, even if it is whole.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.form {
            Form::Short(0..) => i64::try_from(self.nanos / NANO).ok(),
            Form::Short(_) | Form::Long => None,
        }
    }

    /// The nearest float.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an approximation is what is asked for")]
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// Whether the number of units fits 64 bits.
    #[must_use]
    pub fn fits_i64(&self) -> bool {
        i64::try_from(self.nanos / NANO).is_ok()
    }

    /// Whether it is a whole number of units.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Rounded away from zero to thousandths, as the amounts of resource lists are kept.
    #[must_use]
    pub fn round_up_to_milli(self) -> Quantity {
        let unit = NANO / 1000;
        let form = match self.form {
            Form::Short(scale) => Form::Short(scale.max(-3)),
            Form::Long => Form::Long,
        };
        Quantity { nanos: div_away(self.nanos, unit).saturating_mul(unit), form, ..self }
    }

    /// The sum, in the form of the first unless that is zero.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "saturates and chooses a form, which an operator would hide")]
    pub fn add(self, other: Quantity) -> Quantity {
        self.combine(other, self.nanos.saturating_add(other.nanos))
    }

    /// The difference, in the form of the first unless that is zero.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "saturates and chooses a form, which an operator would hide")]
    pub fn sub(self, other: Quantity) -> Quantity {
        self.combine(other, self.nanos.saturating_sub(other.nanos))
    }

    /// The amount with the other sign.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "saturates and chooses a form, which an operator would hide")]
    pub fn neg(self) -> Quantity {
        Quantity { nanos: self.nanos.saturating_neg(), ..self }
    }

    fn combine(self, other: Quantity, nanos: i128) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { nanos, format, form: self.form_with(other, nanos) }
    }

    /// The form of the sum of both: in the smaller units, as long as all three fit there.
    fn form_with(self, other: Quantity, sum: i128) -> Form {
        match (self.form, other.form) {
            (own, Form::Short(_)) if other.is_zero() => own,
            (Form::Short(_), Form::Short(scale)) if self.is_zero() => Form::Short(scale),
            (Form::Short(one), Form::Short(two)) => {
                let scale = one.min(two);
                let fit = [self.nanos, other.nanos, sum].into_iter().all(|nanos| fits(nanos, scale));
                if fit { Form::Short(scale) } else { Form::Long }
            }
            _ => Form::Long,
        }
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Whether an amount is a number of 64 bits in units of this power of ten.
fn fits(nanos: i128, scale: i32) -> bool {
    let unit = u32::try_from(scale.saturating_add(9)).ok().and_then(|power| 10_i128.checked_pow(power));
    unit.is_some_and(|unit| i64::try_from(nanos / unit).is_ok())
}

/// Division rounded away from zero.
fn div_away(value: i128, by: i128) -> i128 {
    value / by + (value % by).signum()
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::str::FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Quantity, ParseError> {
        Quantity::parse(text)
    }
}

/// The canonical form: no fraction, the largest suffix that keeps the number whole.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.is_integer() {
            let (number, power) = reduce(self.nanos / NANO, 1024, 6);
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
        }
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::DecimalExponent {
            let (number, power) = reduce(self.nanos, 1000, usize::MAX);
            return match i64::try_from(power).unwrap_or_default() * 3 - 9 {
                0 => write!(f, "{number}"),
                exponent => write!(f, "{number}e{exponent}"),
            };
        }
        let (number, power) = reduce(self.nanos, 1000, 9);
        write!(f, "{number}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][power])
    }
}

/// Divides by `base` as often as it goes, at most `limit` times.
fn reduce(mut number: i128, base: i128, limit: usize) -> (i128, usize) {
    let mut power = 0;
    while power < limit && number != 0 && number % base == 0 {
        number /= base;
        power += 1;
    }
    (number, power)
}

#[cfg(test)]
mod tests;
