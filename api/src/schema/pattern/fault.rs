//! What is wrong with a regular expression, found in the order in which Go's regexp reads it, and in its words.

use regex::RegexBuilder;

/// The most that Go repeats something.
const MOST_REPEATED: u32 = 1000;

/// A reason as Go prints it, with the part of the pattern that it is about.
fn reason(words: &str, part: &str) -> String {
    format!("{words}: `{part}`")
}

/// What a text has before the part of it that is left.
fn read<'p>(text: &'p str, left: &str) -> &'p str {
    &text[..text.len() - left.len()]
}

/// A reader of a pattern.
struct Reader<'p> {
    whole: &'p str,
    rest: &'p str,
    /// Groups that have begun and not ended.
    open: usize,
    /// Whether there is something before that can be repeated.
    repeatable: bool,
    /// The pattern from the repetition on that was read last, if that was just before.
    repetition: Option<&'p str>,
}

/// The first thing that is wrong with a pattern.
pub(super) fn first(pattern: &str) -> Option<String> {
    let mut reader = Reader { whole: pattern, rest: pattern, open: 0, repeatable: false, repetition: None };
    while !reader.rest.is_empty() {
        let before = reader.rest;
        match reader.step() {
            Err(reason) => return Some(reason),
            Ok(repeated) => reader.repetition = repeated.then_some(before),
        }
    }
    (reader.open > 0).then(|| reason("missing closing )", pattern))
}

impl<'p> Reader<'p> {
    /// Reads one part, and says whether that was a repetition.
    fn step(&mut self) -> Result<bool, String> {
        let text = self.rest;
        let Some(c) = text.chars().next() else { return Ok(false) };
        let after = &text[c.len_utf8()..];
        match c {
            '(' if after.starts_with('?') => self.group_with_flags()?,
            '(' => {
                self.open += 1;
                (self.rest, self.repeatable) = (after, false);
            }
            '|' => (self.rest, self.repeatable) = (after, false),
            ')' if self.open == 0 => return Err(reason("unexpected )", self.whole)),
            ')' => {
                self.open -= 1;
                (self.rest, self.repeatable) = (after, true);
            }
            '*' | '+' | '?' => return self.repeat(after),
            '{' => match times(text) {
                Some((least, most, after)) => {
                    if least > MOST_REPEATED || most.is_some_and(|most| most > MOST_REPEATED || most < least) {
                        return Err(reason("invalid repeat count", read(text, after)));
                    }
                    return self.repeat(after);
                }
                None => (self.rest, self.repeatable) = (after, true),
            },
            '[' => (self.rest, self.repeatable) = (class(text)?, true),
            '\\' => (self.rest, self.repeatable) = (escaped(text)?, true),
            _ => (self.rest, self.repeatable) = (after, true),
        }
        Ok(false)
    }

    /// A repetition, after which comes `after`.
    fn repeat(&mut self, after: &'p str) -> Result<bool, String> {
        let after = after.strip_prefix('?').unwrap_or(after);
        if let Some(before) = self.repetition {
            return Err(reason("invalid nested repetition operator", read(before, after)));
        }
        if !self.repeatable {
            return Err(reason("missing argument to repetition operator", read(self.rest, after)));
        }
        self.rest = after;
        Ok(true)
    }

    /// `(?` and what follows: a named group, flags, or a group with flags.
    fn group_with_flags(&mut self) -> Result<(), String> {
        let text = self.rest;
        let named = text.strip_prefix("(?P<").filter(|name| !name.is_empty());
        let named = named.or_else(|| text.strip_prefix("(?<").filter(|name| !name.is_empty()));
        if let Some(named) = named {
            let words = "invalid named capture";
            let (name, after) = named.split_once('>').ok_or_else(|| reason(words, text))?;
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(reason(words, read(text, after)));
            }
            self.open += 1;
            (self.rest, self.repeatable) = (after, false);
            return Ok(());
        }
        let (mut negative, mut flagged) = (false, false);
        let mut chars = text[2..].chars();
        while let Some(c) = chars.next() {
            match c {
                'i' | 'm' | 's' | 'U' => flagged = true,
                '-' if !negative => (negative, flagged) = (true, false),
                ':' | ')' if !negative || flagged => {
                    self.rest = chars.as_str();
                    if c == ':' {
                        self.open += 1;
                        self.repeatable = false;
                    }
                    return Ok(());
                }
                _ => break,
            }
        }
        Err(reason("invalid or unsupported Perl syntax", read(text, chars.as_str())))
    }
}

/// How often `{2,3}` and its like repeat, and what comes after them; without an end, there is no most.
pub(super) fn times(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (least, rest) = number(text.strip_prefix('{')?)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((least, Some(least), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((least, None, rest));
    }
    let (most, rest) = number(rest)?;
    Some((least, Some(most), rest.strip_prefix('}')?))
}

/// A number without zeros before it.
fn number(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}

/// What comes after an escape outside of a class.
fn escaped(text: &str) -> Result<&str, String> {
    match text[1..].chars().next() {
        Some('A' | 'b' | 'B' | 'z') => Ok(&text[2..]),
        Some('C') => Err(reason("invalid escape sequence", &text[..2])),
        Some('Q') => Ok(text[2..].split_once("\\E").map_or("", |(_, after)| after)),
        _ => match set(text)? {
            Some(after) => Ok(after),
            None => Ok(character(text)?.1),
        },
    }
}

/// What comes after an escape that stands for a set of characters, if one begins here.
fn set(text: &str) -> Result<Option<&str>, String> {
    let Some(rest) = text.strip_prefix('\\') else { return Ok(None) };
    match rest.chars().next() {
        Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => Ok(Some(&rest[1..])),
        Some('p' | 'P') => {
            let name = &rest[1..];
            let words = "invalid character class range";
            let length = match name.chars().next() {
                Some('{') => name.find('}').ok_or_else(|| reason(words, text))? + 1,
                Some(c) => c.len_utf8(),
                None => 0,
            };
            let known = &text[..length + 2];
            // Nothing is small enough for no size at all, but a set that is none is told of before.
            match RegexBuilder::new(known).size_limit(0).build() {
                Err(regex::Error::Syntax(_)) => Err(reason(words, known)),
                _ => Ok(Some(&name[length..])),
            }
        }
        _ => Ok(None),
    }
}

/// The character that an escape stands for, and what comes after it.
fn character(text: &str) -> Result<(u32, &str), String> {
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else { return Err(reason("trailing backslash at end of expression", "")) };
    let plain = match c {
        'a' => Some(7),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
        _ => None,
    };
    if let Some(plain) = plain {
        return Ok((plain, chars.as_str()));
    }
    let octal = |text: &str| text.bytes().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let after = chars.as_str();
    if c == '0' || (('1'..='7').contains(&c) && octal(after) > 0) {
        let length = 1 + octal(after).min(2);
        return Ok((u32::from_str_radix(&text[1..=length], 8).unwrap_or_default(), &text[1 + length..]));
    }
    if c == 'x' { hexadecimal(text) } else { Err(reason("invalid escape sequence", read(text, after))) }
}

/// `\x41` and `\x{263a}`.
fn hexadecimal(text: &str) -> Result<(u32, &str), String> {
    let mut chars = text[2..].chars();
    let mut value = 0;
    let braces = text[2..].starts_with('{');
    if braces {
        chars.next();
    }
    for count in 0.. {
        if !braces && count == 2 {
            return Ok((value, chars.as_str()));
        }
        match chars.next() {
            Some('}') if braces && count > 0 => return Ok((value, chars.as_str())),
            Some(c) if c.is_ascii_hexdigit() => value = value * 16 + c.to_digit(16).unwrap_or_default(),
            odd => {
                // Both digits are read before they are looked at.
                if odd.is_some() && !braces && count == 0 {
                    chars.next();
                }
                break;
            }
        }
        if value > u32::from(char::MAX) {
            break;
        }
    }
    Err(reason("invalid escape sequence", read(text, chars.as_str())))
}

/// What comes after a class, which begins here.
fn class(text: &str) -> Result<&str, String> {
    const NAMED: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "word", "xdigit",
    ];
    let mut rest = text[1..].strip_prefix('^').unwrap_or(&text[1..]);
    let mut begun = false;
    while !(begun && rest.starts_with(']')) {
        begun = true;
        if let Some(length) = super::named_class(rest) {
            let (named, after) = rest.split_at(length);
            let name = &named[2..length - 2];
            if !NAMED.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err(reason("invalid character class range", named));
            }
            rest = after;
        } else if let Some(after) = set(rest)? {
            rest = after;
        } else {
            rest = range(rest, text)?;
        }
    }
    Ok(&rest[1..])
}

/// What comes after a character or a range of a class.
fn range<'p>(text: &'p str, class: &str) -> Result<&'p str, String> {
    let (low, rest) = member(text, class)?;
    let Some(end) = rest.strip_prefix('-').filter(|end| !end.is_empty() && !end.starts_with(']')) else {
        return Ok(rest);
    };
    let (high, rest) = member(end, class)?;
    if high < low {
        return Err(reason("invalid character class range", read(text, rest)));
    }
    Ok(rest)
}

fn member<'p>(text: &'p str, class: &str) -> Result<(u32, &'p str), String> {
    match text.chars().next() {
        None => Err(reason("missing closing ]", class)),
        Some('\\') => character(text),
        Some(c) => Ok((u32::from(c), &text[c.len_utf8()..])),
    }
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn the_first_fault_is_told_as_go_tells_it() {
        for (pattern, why) in [
            ("a|*", "missing argument to repetition operator: `*`"),
            ("(+)", "missing argument to repetition operator: `+`"),
            ("{2}?a", "missing argument to repetition operator: `{2}?`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{999999999999}", "invalid repeat count: `{999999999999}`"),
            ("a*{2}", "invalid nested repetition operator: `*{2}`"),
            (r"a\", "trailing backslash at end of expression: ``"),
            (r"\8", r"invalid escape sequence: `\8`"),
            (r"\C", r"invalid escape sequence: `\C`"),
            (r"\xz1", r"invalid escape sequence: `\xz1`"),
            (r"\x{zz}", r"invalid escape sequence: `\x{z`"),
            (r"a\p{Foo}b", r"invalid character class range: `\p{Foo}`"),
            (r"\p{L", r"invalid character class range: `\p{L`"),
            ("[[::alpha:]]", "invalid character class range: `[::alpha:]`"),
            ("x[[:foo:]]", "invalid character class range: `[:foo:]`"),
            ("x[b-a]", "invalid character class range: `b-a`"),
            ("x[a", "missing closing ]: `[a`"),
            ("[]", "missing closing ]: `[]`"),
            ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
            ("(?#x)", "invalid or unsupported Perl syntax: `(?#`"),
            ("a(?!b)", "invalid or unsupported Perl syntax: `(?!`"),
            ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
            ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
            ("(?P<n", "invalid named capture: `(?P<n`"),
            ("(?P<n-m>a)", "invalid named capture: `(?P<n-m>`"),
            ("(?<=a)b", "invalid named capture: `(?<=a)b`"),
            ("a)b", "unexpected ): `a)b`"),
            ("(a", "missing closing ): `(a`"),
        ] {
            assert_eq!(first(pattern).as_deref(), Some(why), "{pattern}");
        }
    }

    #[test]
    fn good_patterns_have_no_fault() {
        for pattern in [
            "",
            "a{,2}",
            "a{01}",
            "^*",
            "(?i)(?P<n>a)+",
            "(?:a|b)*?",
            r"\Q*(\E+",
            r"[]a^-]+[^]]",
            r"[\d\-.]{2,}",
            r"[[:^alpha:][:word:]]",
            r"\pL\p{Greek}\x41\x{263a}\07\12",
            "a(?i)*",
            "é+",
        ] {
            assert_eq!(first(pattern), None, "{pattern}");
        }
    }
}
