//! Regular expressions that do not compile, in the words of Go's regexp.

use regex::Regex;

/// Why a pattern does not compile; `None` if it does.
pub(crate) fn error(pattern: &str) -> Option<String> {
    let error = Regex::new(pattern).err()?;
    let text = error.to_string();
    let reason = if text.contains("unclosed character class") {
        let from = unclosed_class(pattern);
        format!("missing closing ]: `{}`", &pattern[from..])
    } else if text.contains("unclosed group") {
        format!("missing closing ): `{pattern}`")
    } else if text.contains("unopened group") {
        format!("unexpected ): `{pattern}`")
    } else if text.contains("repetition operator missing expression") {
        let at = pattern.find(['*', '+', '?', '{']).unwrap_or_default();
        format!("missing argument to repetition operator: `{}`", pattern[at..].chars().take(1).collect::<String>())
    } else if text.contains("look-around") {
        let at = pattern.find("(?").unwrap_or_default();
        format!("invalid or unsupported Perl syntax: `{}`", pattern[at..].chars().take(3).collect::<String>())
    } else if text.contains("unrecognized escape sequence") || text.contains("backreferences are not supported") {
        let at = pattern.find('\\').unwrap_or_default();
        format!("invalid escape sequence: `{}`", pattern[at..].chars().take(2).collect::<String>())
    } else {
        format!("invalid regexp: `{pattern}`")
    };
    Some(format!("error parsing regexp: {reason}"))
}

/// Where a class begins that does not end.
fn unclosed_class(pattern: &str) -> usize {
    let bytes = pattern.as_bytes();
    let mut at = 0;
    let mut open = None;
    while at < bytes.len() {
        match (bytes[at], open) {
            (b'\\', _) => at += 1,
            (b'[', None) => open = Some(at),
            (b']', Some(start)) if at > start + 1 => open = None,
            _ => {}
        }
        at += 1;
    }
    open.unwrap_or_default()
}
