use super::{Form, Format, NANO, Quantity, div_away};

/// Why a text is not an amount, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is not one.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The multiplier of a suffix.
enum Scale {
    Decimal(i32),
    Binary(u32),
    Exponent(i32),
}

struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

pub(super) fn parse(text: &str) -> Result<Quantity, ParseError> {
    let parts = split(text)?;
    let scale = scale(parts.suffix).ok_or(ParseError::Suffix)?;
    let (mut nanos, mut format) = match scale {
        Scale::Decimal(exponent) => (decimal(&parts, exponent), Format::DecimalSi),
        Scale::Exponent(exponent) => (decimal(&parts, exponent), Format::DecimalExponent),
        Scale::Binary(shift) => (binary(&parts, shift), Format::BinarySi),
    };
    if format == Format::BinarySi && nanos > 0 && nanos < NANO {
        format = Format::DecimalSi;
    }
    if parts.negative {
        nanos = -nanos;
    }
    let form = short(&parts, &scale).map_or(Form::Long, Form::Short);
    Ok(Quantity { nanos, format, form })
}

/// Whether a text is kept as it is written, though it may not be the canonical one: Kubernetes does not look further where
/// the number can be no shorter.
pub(super) fn keeps(text: &str) -> bool {
    let Some((parts, scale)) = split(text).ok().and_then(|parts| scale(parts.suffix).map(|scale| (parts, scale)))
    else {
        return false;
    };
    let Some(power) = short(&parts, &scale) else { return false };
    let whole = significant(parts.whole);
    match scale {
        Scale::Decimal(_) | Scale::Exponent(_) => {
            let digits = format!("{whole}{}", parts.fraction);
            power % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0')
        }
        Scale::Binary(_) => whole.parse::<u64>().is_ok_and(|number| number & 7 != 0),
    }
}

/// The power of ten that the digits of an amount count, if Kubernetes holds it as a number of 64 bits.
fn short(parts: &Parts, scale: &Scale) -> Option<i32> {
    let whole = significant(parts.whole);
    match scale {
        Scale::Decimal(exponent) | Scale::Exponent(exponent) => {
            let power = exponent.checked_sub(i32::try_from(parts.fraction.len()).ok()?)?;
            (whole.len() + parts.fraction.len() <= 18 && power >= -9).then_some(power)
        }
        Scale::Binary(shift) => {
            let room = 14_usize.checked_sub(*shift as usize * 3 / 10).is_some_and(|room| whole.len() <= room);
            (parts.fraction.is_empty() && room).then_some(0)
        }
    }
}

/// A number without the zeros that it begins with.
fn significant(whole: &str) -> &str {
    let digits = whole.trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }
}

fn split(text: &str) -> Result<Parts<'_>, ParseError> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
        None => return Err(ParseError::Format),
    };
    let (whole, rest) = take(rest, |b| b.is_ascii_digit());
    let (fraction, suffix, dotted) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, rest) = take(rest, |b| b.is_ascii_digit());
            (fraction, rest, true)
        }
        None => ("", rest, false),
    };
    if whole.is_empty() && fraction.is_empty() && !dotted {
        return Err(ParseError::Format);
    }
    let (_, tail) = take(suffix, |b| b"eEinumkKMGTP".contains(&b));
    let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    if !take(tail, |b| b.is_ascii_digit()).1.is_empty() {
        return Err(ParseError::Format);
    }
    Ok(Parts { negative, whole, fraction, suffix })
}

fn take(text: &str, wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !wanted(b)).unwrap_or(text.len());
    text.split_at(end)
}

fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "" => Scale::Decimal(0),
        "n" => Scale::Decimal(-9),
        "u" => Scale::Decimal(-6),
        "m" => Scale::Decimal(-3),
        "k" => Scale::Decimal(3),
        "M" => Scale::Decimal(6),
        "G" => Scale::Decimal(9),
        "T" => Scale::Decimal(12),
        "P" => Scale::Decimal(15),
        "E" => Scale::Decimal(18),
        "Ki" => Scale::Binary(10),
        "Mi" => Scale::Binary(20),
        "Gi" => Scale::Binary(30),
        "Ti" => Scale::Binary(40),
        "Pi" => Scale::Binary(50),
        "Ei" => Scale::Binary(60),
        _ => Scale::Exponent(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

/// Digits with a decimal exponent in billionths, rounded away from zero.
fn decimal(parts: &Parts, exponent: i32) -> i128 {
    // Beyond these the result is all nines or a billionth anyway.
    const DIGITS: usize = 38;
    let fraction_digits = i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX);
    let shift = exponent.saturating_add(9).saturating_sub(fraction_digits);
    let digits: Vec<u8> = parts.whole.bytes().chain(parts.fraction.bytes()).skip_while(|b| *b == b'0').collect();
    if digits.is_empty() {
        return 0;
    }
    let kept = digits.len().min(DIGITS);
    let dropped = &digits[kept..];
    let mut number =
        digits[..kept].iter().fold(0_i128, |n, b| n.saturating_mul(10).saturating_add(i128::from(b - b'0')));
    let mut shift = shift.saturating_add(i32::try_from(dropped.len()).unwrap_or(i32::MAX));
    let mut rest = dropped.iter().any(|b| *b != b'0');
    while shift < 0 && number != 0 {
        rest |= number % 10 != 0;
        number /= 10;
        shift += 1;
    }
    if shift > 0 {
        let power = 10_i128.checked_pow(shift.unsigned_abs()).unwrap_or(i128::MAX);
        number = number.saturating_mul(power);
    }
    number.saturating_add(i128::from(rest))
}

/// Digits times a power of two in billionths, rounded away from zero.
fn binary(parts: &Parts, shift: u32) -> i128 {
    let limit = i128::from(i64::MAX).saturating_mul(NANO);
    let unit = 1_i128 << shift;
    let whole = decimal(&Parts { negative: false, whole: parts.whole, fraction: "", suffix: "" }, 0);
    // Nineteen digits of a fraction are finer than a billionth of any binary unit.
    let fraction: String = parts.fraction.chars().take(19).collect();
    let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or_default());
    let digits: i128 = fraction.parse().unwrap_or_default();
    // digits < 10^19 and unit <= 2^60, so the product fits; times NANO it may not, hence the split.
    let product = digits * unit;
    let fraction_nanos = (product / scale).saturating_mul(NANO) + div_away((product % scale) * NANO, scale);
    whole.saturating_mul(unit).saturating_add(fraction_nanos).min(limit)
}
