//! Percent encoding: one reading of it for those who judge requests and those who answer them.

/// Undoes it; malformed escapes stay as they are.
pub(crate) fn unescape(text: &str) -> String {
    let (mut rest, mut out) = (text.as_bytes(), Vec::with_capacity(text.len()));
    while let Some((byte, after)) = rest.split_first() {
        let escaped = if *byte == b'%' { code(after) } else { None };
        let (byte, behind) = escaped.unwrap_or((*byte, after));
        out.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte that two digits stand for, and what is behind them.
fn code(digits: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], behind) = digits.split_first_chunk::<2>()?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    Some((u8::try_from(digit(high)? * 16 + digit(low)?).ok()?, behind))
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escapes_are_undone_and_others_stay() {
        assert_eq!(unescape("/a%2Fb%20%c3%a9"), "/a/b é");
        for odd in ["", "plain", "%", "%4", "%zz", "%+f", "100%é"] {
            assert_eq!(unescape(odd), odd);
        }
        assert_eq!(unescape("%2525"), "%25");
    }
}
