//! Names in expressions: what may be one, and how a field is called whose name may not.

use ::cel::common::ast::{Expr, SelectExpr};

/// Words of the language, which name nothing.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// How expressions spell what no name of theirs can hold, and what it stands for.
const SPELLED: [(&str, &str); 4] = [("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/")];

/// Whether a variable can have this name.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    !RESERVED.contains(&name)
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A type that an expression names with dots, as the name and what it begins with.
pub(super) fn dotted_type(select: &SelectExpr) -> Option<(&'static str, &'static str)> {
    let is = |expr: &Expr, name: &str| matches!(expr, Expr::Ident(own) if own.trim_start_matches('.') == name);
    let operand = &select.operand.expr;
    match select.field.as_str() {
        _ if select.test => None,
        "IP" if is(operand, "net") => Some(("net.IP", "net")),
        "CIDR" if is(operand, "net") => Some(("net.CIDR", "net")),
        field @ ("Timestamp" | "Duration") => {
            let Expr::Select(space) = operand else { return None };
            let known = !space.test && space.field == "protobuf" && is(&space.operand.expr, "google");
            let name = if field == "Timestamp" { "google.protobuf.Timestamp" } else { "google.protobuf.Duration" };
            known.then_some((name, "google"))
        }
        _ => None,
    }
}

/// What a field is called whose name is a word of the language; `None` for other names.
pub(super) fn escaped_word(name: &str) -> Option<String> {
    RESERVED.contains(&name).then(|| format!("__{name}__"))
}

/// A field name as expressions can say it; `None` if they cannot.
pub(super) fn escaped(name: &str) -> Option<String> {
    if let Some(word) = escaped_word(name) {
        return Some(word);
    }
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '_' if chars.peek() == Some(&'_') => {
                chars.next();
                out.push_str("__underscores__");
            }
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            c if c.is_ascii_alphanumeric() || c == '_' => out.push(c),
            _ => return None,
        }
    }
    let starts = out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts.then_some(out)
}

/// The name of the field that [`escaped`] makes this of.
pub(super) fn unescaped(name: &str) -> String {
    let word = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(word) = word.filter(|word| RESERVED.contains(word)) {
        return word.to_owned();
    }
    let (mut out, mut rest) = (String::with_capacity(name.len()), name);
    while let Some(first) = rest.chars().next() {
        let found = SPELLED.iter().find_map(|(spelled, sign)| Some((*sign, rest.strip_prefix(spelled)?)));
        if let Some((sign, after)) = found {
            out.push_str(sign);
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_far_as_that_goes() {
        let shown = ["plain", "namespace", "x-y.z/w", "a__b", "$ref", "1st"].map(escaped);
        let words = ["plain", "__namespace__", "x__dash__y__dot__z__slash__w", "a__underscores__b"];
        assert_eq!(shown[..4], words.map(|word| Some(word.to_owned())));
        assert_eq!(shown[4..], [None, None]);
    }

    #[test]
    fn what_was_escaped_is_told_again() {
        for name in ["plain", "namespace", "x-y.z/w", "a__b", "a__dot__b", "a_-", "___", "__in__", "a.__", "_"] {
            assert_eq!(unescaped(&escaped(name).unwrap()), name);
        }
        assert_eq!(unescaped("namespace"), "namespace");
    }

    #[test]
    fn words_of_the_language_are_no_variables() {
        assert!(is_identifier("replicas") && is_identifier("_a1"));
        assert!(!is_identifier("namespace") && !is_identifier("1a") && !is_identifier("a-b") && !is_identifier(""));
    }
}
