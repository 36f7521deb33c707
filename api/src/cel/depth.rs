//! How deep an expression can nest, told from its text: the parser bounds brackets, but a long chain of operators or
//! members makes a tree as deep as the chain, and whoever walks that could run out of stack.

/// Deepest tree, as in cel-go.
pub(super) const LIMIT: u32 = 250;

/// One level of brackets: the logical operators so far, and what one of their operands holds.
#[derive(Clone, Copy, Default)]
struct Level {
    logic: u32,
    operand: u32,
}

/// Whether the tree of an expression may be deeper than [`LIMIT`]; a few that are not are taken for such.
pub(super) fn exceeds(text: &str) -> bool {
    let bytes = text.as_bytes();
    tree_exceeds(bytes).unwrap_or_else(|| is_crowded(bytes))
}

/// Told from the tokens; `None` if they are not regular: then nobody knows where the parser goes on reading.
fn tree_exceeds(bytes: &[u8]) -> Option<bool> {
    let (mut levels, mut total) = (vec![Level::default()], 0);
    let mut at = 0;
    while at < bytes.len() {
        let (end, byte) = token(bytes, at)?;
        at = end;
        let level = levels.last_mut()?;
        let before = level.logic + level.operand;
        match byte {
            b'(' | b'[' | b'{' => {
                level.operand += 1;
                total += 1;
                levels.push(Level::default());
                continue;
            }
            b')' | b']' | b'}' => {
                total -= before;
                levels.pop();
                if levels.is_empty() {
                    levels.push(Level::default());
                    total = 0;
                }
                continue;
            }
            b',' => *level = Level::default(),
            b'&' | b'|' | b'?' | b':' => *level = Level { logic: level.logic + 1, operand: 0 },
            byte if is_operator(byte) => level.operand += 1,
            _ => {}
        }
        total = total + level.logic + level.operand - before;
        if total > 2 * LIMIT {
            return Some(true);
        }
    }
    Some(false)
}

fn is_operator(byte: u8) -> bool {
    matches!(byte, b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!')
}

/// Whether a text could make too deep a tree however it is read.
fn is_crowded(bytes: &[u8]) -> bool {
    let joins = |byte: u8| is_operator(byte) || matches!(byte, b'(' | b'[' | b'{' | b'&' | b'|' | b'?' | b':');
    let signs = bytes.iter().filter(|byte| joins(**byte)).count();
    let words = bytes.windows(2).filter(|pair| *pair == b"in").count();
    signs + words > 2 * LIMIT as usize
}

/// Where the token that begins here ends, and the sign that it counts as; a space counts as nothing.
fn token(bytes: &[u8], at: usize) -> Option<(usize, u8)> {
    let rest = &bytes[at..];
    match rest[0] {
        b'"' | b'\'' => Some((end_of_string(bytes, at, false)?, b' ')),
        b'/' if rest.starts_with(b"//") => {
            Some((rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length), b' '))
        }
        b'`' => {
            let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b' ');
            let length = rest[1..].iter().take_while(|byte| is_inner(**byte)).count();
            (length > 0 && rest.get(length + 1) == Some(&b'`')).then_some((at + length + 2, b' '))
        }
        byte if is_of_word(byte) => word(bytes, at),
        byte => Some((at + 1, byte)),
    }
}

fn is_of_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// A name, a number, the operator `in`, or a string with what is said of it in front.
fn word(bytes: &[u8], at: usize) -> Option<(usize, u8)> {
    let end = at + bytes[at..].iter().take_while(|byte| is_of_word(**byte)).count();
    let word = bytes[at..end].to_ascii_lowercase();
    if matches!(bytes.get(end), Some(b'"' | b'\'')) {
        return match word.as_slice() {
            b"r" | b"br" => Some((end_of_string(bytes, end, true)?, b' ')),
            // Such a word is not the parser's if a number is in front.
            word if word.ends_with(b"r") => None,
            _ => Some((end, b' ')),
        };
    }
    let joins = word == b"in" || (word[0].is_ascii_digit() && word.ends_with(b"in"));
    Some((end, if joins { b'<' } else { b' ' }))
}

/// After the string whose quotes, which may be three, begin here; `None` if it is none.
fn end_of_string(bytes: &[u8], from: usize, raw: bool) -> Option<usize> {
    let three = [bytes[from]; 3];
    let is_long = bytes[from..].starts_with(&three);
    let quotes = if is_long { &three[..] } else { &three[..1] };
    let mut at = from + quotes.len();
    loop {
        let rest = bytes.get(at..)?;
        if rest.starts_with(quotes) {
            return Some(at + quotes.len());
        }
        at += match rest.first()? {
            b'\\' if !raw => escape(rest)?,
            b'\n' | b'\r' if !is_long => return None,
            _ => 1,
        };
    }
}

/// The length of the escape that begins here.
fn escape(bytes: &[u8]) -> Option<usize> {
    let (digits, radix) = match bytes.get(1)? {
        b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`' => (0, 16),
        b'x' | b'X' => (2, 16),
        b'u' => (4, 16),
        b'U' => (8, 16),
        b'0'..=b'3' => (2, 8),
        _ => return None,
    };
    let found = bytes.get(2..2 + digits)?;
    found.iter().all(|byte| char::from(*byte).is_digit(radix)).then_some(2 + digits)
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;
    use serde_json::json;

    fn chain(first: &str, link: &str, times: usize) -> String {
        format!("{first}{}", link.repeat(times))
    }

    #[test]
    fn long_chains_are_refused_and_short_ones_run() {
        let object = json!({"a": 1});
        for (first, link) in
            [("1", " + 1"), ("x", ".a"), ("x", "[0]"), ("true", " && true"), ("x", ".size()"), ("1", "==1")]
        {
            for times in [10, 100, 200] {
                // Whether it makes sense does not matter: it comes to an end.
                drop(run(&chain(first, link, times), object.clone()));
            }
            for times in [600, 5000, 20_000] {
                assert!(exceeds(&chain(first, link, times)), "{first}{link} {times}");
                assert!(run(&chain(first, link, times), object.clone()).is_err());
            }
        }
        // The longest that are taken do not run out of stack either.
        for (first, link) in [("1", " + 1"), ("x", ".a"), ("x", "[0]"), ("x", " in x")] {
            assert!(!exceeds(&chain(first, link, 480)));
            drop(run(&chain(first, link, 480), object.clone()));
        }
        for open in ["(", "[", "{", "!", "-", "x[", "has(", "true ? "] {
            drop(run(&open.repeat(5000), object.clone()));
        }
    }

    #[test]
    fn nothing_hides_a_long_chain() {
        for chain in [" + 1".repeat(20_000), " in x".repeat(20_000)] {
            for before in [
                r#"r"\" == x || 1"#,
                r#"bR'\' == x || 1"#,
                "1 // \"\n",
                "x.`a//b`",
                "'\n1",
                r#""\q 1"#,
                r#""\x" + 1"#,
                r#"1r"\" + 1"#,
                "\"\"\" 1",
                "'",
            ] {
                let text = format!("{before}{chain}");
                assert!(exceeds(&text), "{before}");
                assert!(run(&text, json!({})).is_err());
            }
        }
        assert!(!exceeds(&format!(r#"r"\" != '{}'"#, "a + ".repeat(900))));
        assert!(!exceeds(&format!("true // {}", "a + ".repeat(900))));
        assert!(!exceeds(r#"self.matches("\d+")"#));
    }

    #[test]
    fn what_is_long_but_flat_is_taken() {
        let list = format!("[{}].size() == 2000", vec!["1 + 1"; 2000].join(", "));
        assert!(!exceeds(&list));
        let text = format!("'{}' != \"{}\"", "a.b+c ".repeat(500), "\\\"(((".repeat(300));
        assert!(!exceeds(&text));
        assert!(!exceeds(&"self.a.b == 'x' && ".repeat(100)));
        assert!(!exceeds(")))"));
    }
}
