//! Regular expressions as Go reads them, and what is wrong with those that do not compile, in the words of Go's regexp.

use regex::Regex;

mod fault;

/// Bytes of a pattern: a parsed one takes a hundred times as many.
const LONGEST: usize = 512 << 10;
/// Sets by name, such as `\p{Greek}`, in a pattern: each takes kilobytes.
const MOST_SETS: usize = 1_000;

/// Compiles a pattern as Go reads it.
///
/// # Errors
/// It is none in Go either, but for what Go alone refuses, and for patterns that are far too large.
pub(crate) fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    if is_large(pattern) {
        return Err(regex::Error::CompiledTooBig(LONGEST));
    }
    Regex::new(&translated(pattern))
}

fn is_large(pattern: &str) -> bool {
    let sets = |escape: &str| pattern.matches(escape).count();
    pattern.len() > LONGEST || sets("\\p") + sets("\\P") > MOST_SETS
}

/// Why a pattern does not compile; `None` if it does.
pub(crate) fn error(pattern: &str) -> Option<String> {
    if is_large(pattern) {
        return Some(format!("error parsing regexp: expression too large: `{pattern}`"));
    }
    let unread = || compiled(pattern).is_err().then(|| format!("invalid regexp: `{pattern}`"));
    let reason = fault::first(pattern).or_else(unread)?;
    Some(format!("error parsing regexp: {reason}"))
}

/// A pattern in our library's language, where braces and what stands in classes mean more than in Go.
fn translated(pattern: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(pattern.len()), pattern);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(item(rest));
        if part == "{" && fault::times(rest).is_none() {
            out.push_str("\\{");
        } else if part.starts_with('[') {
            class_into(part, &mut out);
        } else if let Some(plain) = part.strip_prefix("\\Q") {
            out.push_str(&regex::escape(plain.strip_suffix("\\E").unwrap_or(plain)));
        } else if part == "\\b" {
            out.push_str("(?-u:\\b)");
        } else {
            out.push_str(ascii_class(part).unwrap_or(part));
        }
        rest = after;
    }
    out
}

/// The class that an escape stands for: Go's have nothing that is not ASCII.
fn ascii_class(escape: &str) -> Option<&'static str> {
    Some(match escape {
        "\\d" => "[0-9]",
        "\\D" => "[^0-9]",
        "\\s" => r"[\t\n\f\r ]",
        "\\S" => r"[^\t\n\f\r ]",
        "\\w" => "[0-9A-Za-z_]",
        "\\W" => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// The length of `[:alpha:]` or its like, if one begins here.
fn named_class(text: &str) -> Option<usize> {
    const LONGEST: usize = 16;
    let name = text.strip_prefix("[:")?.as_bytes();
    Some(name.windows(2).take(LONGEST).position(|pair| pair == b":]")? + 4)
}

fn class_into(class: &str, out: &mut String) {
    let begin = if class.starts_with("[^") { 2 } else { 1 };
    out.push_str(&class[..begin]);
    let mut rest = &class[begin..];
    if let Some(after) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = after;
    }
    let mut before = ["", ""];
    while let Some(c) = rest.chars().next() {
        let escaped = (c == '\\').then(|| rest.chars().take(2).map(char::len_utf8).sum());
        let (part, after) = rest.split_at(named_class(rest).or(escaped).unwrap_or(c.len_utf8()));
        let special = matches!(part, "[" | "&" | "~") || part == "-" && out.ends_with('-');
        if special {
            out.push('\\');
        }
        // A class that ends a range has to stay what it is: both libraries refuse it.
        let ends_range = before[1] == "-" && !before[0].is_empty() && ascii_class(before[0]).is_none();
        out.push_str(ascii_class(part).filter(|_| !ends_range).unwrap_or(part));
        before = [before[1], part];
        rest = after;
    }
}

/// The length of a character, an escape, a class, or of what is quoted from `\Q` to `\E`.
fn item(text: &str) -> usize {
    if text.starts_with("\\Q") {
        return text.find("\\E").map_or(text.len(), |end| end + 2);
    }
    let mut chars = text.char_indices();
    match chars.next() {
        Some((_, '\\')) => chars.next().map_or(1, |(at, c)| at + c.len_utf8() + braces(c, chars.as_str())),
        Some((_, '[')) => class(text),
        // What begins a group with a question mark repeats nothing.
        Some((_, '(')) if text.starts_with("(?") => 2,
        Some((_, c)) => c.len_utf8(),
        None => 0,
    }
}

/// The length of the braces that belong to the escape of a character, such as those of `\p{Greek}` and `\x{e9}`.
fn braces(escaped: char, rest: &str) -> usize {
    const LONGEST: usize = 64;
    if !matches!(escaped, 'p' | 'P' | 'x') || !rest.starts_with('{') {
        return 0;
    }
    rest.bytes().take(LONGEST).position(|byte| byte == b'}').map_or(0, |end| end + 1)
}

fn class(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = if bytes.get(1) == Some(&b'^') { 2 } else { 1 };
    // A bracket that comes first is a member.
    at += usize::from(bytes.get(at) == Some(&b']'));
    while at < bytes.len() && bytes[at] != b']' {
        at += match bytes[at..] {
            [b'\\', ..] => 2,
            [b'[', b':', ..] => named_class(&text[at..]).unwrap_or(1),
            _ => 1,
        };
    }
    (at + 1).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{compiled, error};

    #[test]
    fn patterns_fail_in_the_words_of_go() {
        for (pattern, why) in [
            ("([", "missing closing ]: `[`"),
            ("a(b", "missing closing ): `a(b`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a*??b", "invalid nested repetition operator: `*??`"),
            ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            (r"\d\q", r"invalid escape sequence: `\q`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ] {
            assert_eq!(error(pattern), Some(format!("error parsing regexp: {why}")), "{pattern}");
        }
        for pattern in ["^[a-z]+-[0-9]*$", "a*?b+?", "[*+]*", r"\*+", "(?i)a+", "(?:a|b)*", "a{1,3}?", "[]a]+", "x{2,}"]
        {
            assert_eq!(error(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn classes_are_of_ascii() {
        for (pattern, text) in [(r"^\d$", "\u{663}"), (r"^[\w]$", "é"), (r"^\s$", "\u{a0}"), (r"^a\b", "aé")] {
            assert_eq!(compiled(pattern).unwrap().is_match(text), pattern == r"^a\b", "{pattern}");
        }
        assert!(compiled(r"^[\W][\D]\S$").unwrap().is_match("é\u{663}\u{a0}"));
    }

    #[test]
    fn a_range_does_not_end_with_a_class() {
        assert!(error(r"[+-\d]").is_some());
        for pattern in [r"^[-\d]$", r"^[\w-\s]$", r"^[a-z-\d]$"] {
            assert_eq!(error(pattern), None, "{pattern}");
            assert!(compiled(pattern).unwrap().is_match("-"), "{pattern}");
        }
    }

    #[test]
    fn nothing_is_searched_to_the_end_for_each_bracket() {
        for (part, first, next) in [("{", "\\{", "\\{"), ("a{1,", "a\\{1,", "a\\{1,"), ("[:", "[:", "\\[:")] {
            const COUNT: usize = 500_000;
            let found = super::translated(&part.repeat(COUNT));
            assert!(found == first.to_owned() + &next.repeat(COUNT - 1), "{part}");
        }
    }

    #[test]
    fn patterns_that_are_too_large_are_not_compiled() {
        for pattern in [r"\pL".repeat(1_001), "a".repeat(600 << 10)] {
            assert!(compiled(&pattern).is_err());
            assert!(
                error(&pattern).is_some_and(|why| why.starts_with("error parsing regexp: expression too large: `"))
            );
        }
    }

    #[test]
    fn what_means_nothing_in_go_stands_for_itself() {
        for (pattern, text) in [
            ("^{a}$", "{a}"),
            (r"^[^[\]]+$", "a"),
            ("^[[&&~~]+$", "[&~"),
            ("^[+--]$", "-"),
            ("^[]]$", "]"),
            ("^[[:alpha:]]$", "x"),
            ("^[[:]+$", "[:"),
            (r"^\p{L}\x{e9}[\p{L}]$", "ééé"),
            (r"^\x{2014}$", "\u{2014}"),
            (r"^[\w-.]+\b$", "a-.b"),
            (r"^\d{2}[^\d\s]$", "12x"),
            (r"^\Qa.(\E+$", "a.(("),
            (r"^\Q[a\", "[a\\"),
        ] {
            assert_eq!(error(pattern), None, "{pattern}");
            assert!(compiled(pattern).unwrap().is_match(text), "{pattern}");
        }
    }
}
