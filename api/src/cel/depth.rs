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
    let (mut levels, mut total) = (vec![Level::default()], 0);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let Some(level) = levels.last_mut() else { return false };
        let before = level.logic + level.operand;
        match byte {
            b'"' | b'\'' => {
                at = end_of_string(bytes, at);
                continue;
            }
            b'(' | b'[' | b'{' => {
                level.operand += 1;
                total += 1;
                levels.push(Level::default());
                at += 1;
                continue;
            }
            b')' | b']' | b'}' => {
                total -= before;
                levels.pop();
                if levels.is_empty() {
                    levels.push(Level::default());
                    total = 0;
                }
                at += 1;
                continue;
            }
            b',' => *level = Level::default(),
            b'&' | b'|' | b'?' | b':' => *level = Level { logic: level.logic + 1, operand: 0 },
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' => level.operand += 1,
            _ => {}
        }
        total = total + level.logic + level.operand - before;
        if total > 2 * LIMIT {
            return true;
        }
        at += 1;
    }
    false
}

/// After the string that begins here, whose quotes may be three; an escape hides what follows it.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let quote = bytes[from];
    let three = bytes.get(from + 1) == Some(&quote) && bytes.get(from + 2) == Some(&quote);
    let length = if three { 3 } else { 1 };
    let mut at = from + length;
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].iter().take(length).filter(|byte| **byte == quote).count() == length {
            return at + length;
        } else {
            at += 1;
        }
    }
    bytes.len()
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
        for (first, link) in [("1", " + 1"), ("x", ".a"), ("x", "[0]")] {
            assert!(!exceeds(&chain(first, link, 480)));
            drop(run(&chain(first, link, 480), object.clone()));
        }
        for open in ["(", "[", "{", "!", "-", "x[", "has(", "true ? "] {
            drop(run(&open.repeat(5000), object.clone()));
        }
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
