//! Percent encoding: one reading of it for those who judge requests and those who answer them.

/// Undoes it; malformed escapes stay as they are.
pub(crate) fn unescape(text: &str) -> String {
    String::from_utf8_lossy(&unescaped(text)).into_owned()
}

/// The bytes that come of that, which need not be a text.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let (mut rest, mut out) = (text.as_bytes(), Vec::with_capacity(text.len()));
    while let Some((byte, after)) = rest.split_first() {
        let escaped = if *byte == b'%' { code(after) } else { None };
        let (byte, behind) = escaped.unwrap_or((*byte, after));
        out.push(byte);
        rest = behind;
    }
    out
}

/// A path with these bytes, with no more escapes than Go takes for one.
pub(crate) fn path(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The byte that two digits stand for, and what is behind them.
fn code(digits: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], behind) = digits.split_first_chunk::<2>()?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    Some((u8::try_from(digit(high)? * 16 + digit(low)?).ok()?, behind))
}

#[cfg(test)]
mod tests {
    use super::{path, unescape, unescaped};

    #[test]
    fn escapes_are_undone_and_others_stay() {
        assert_eq!(unescape("/a%2Fb%20%c3%a9"), "/a/b é");
        for odd in ["", "plain", "%", "%4", "%zz", "%+f", "100%é"] {
            assert_eq!(unescape(odd), odd);
        }
        assert_eq!(unescape("%2525"), "%25");
    }

    #[test]
    fn a_path_is_escaped_where_it_has_to_be() {
        let anew = |text: &str| path(&unescaped(text));
        assert_eq!(anew("/a%2Fb%3fc%20%ff"), "/a/b%3Fc%20%FF");
        assert_eq!(anew("/%7Ea:1;b=c,d@e$f&g+h"), "/~a:1;b=c,d@e$f&g+h");
        assert_eq!(anew("/(a)!*'\u{e9}%"), "/%28a%29%21%2A%27%C3%A9%25");
    }
}
