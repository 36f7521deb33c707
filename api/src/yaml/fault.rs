//! Why a text is no YAML, in the words of Kubernetes' parser, and with the lines that it tells.

/// Where a message is about, as Kubernetes' parser counts. Source: `fail` of go.yaml.in/yaml/v2.
enum Place {
    /// Its scanner tells the line, but for the first.
    Scanner(u64),
    /// Its parser tells the line before.
    Parser(u64),
    Nowhere,
}

/// The fault that our parser tells with this message about a line, counted from 1.
pub(super) fn of(message: &str, line: u64, text: &str) -> String {
    let (place, words) = told(message, line, text);
    match place {
        Place::Scanner(line) if line > 1 => format!("line {line}: {words}"),
        Place::Parser(line) if line > 1 => format!("line {}: {words}", line - 1),
        _ => words,
    }
}

/// The fault of a tab before the first token, which our parser takes for a space.
pub(super) fn of_leading_tab(text: &str) -> Option<String> {
    let begun = |line: &str| !line.is_empty() && !line.starts_with('#');
    let mut lines = (1..).zip(text.lines().map(|line| line.trim_start_matches(' ')));
    let (line, _) = lines.find(|(_, line)| begun(line)).filter(|(_, line)| line.starts_with('\t'))?;
    Some(of("tabs disallowed", line, text))
}

fn told(message: &str, line: u64, text: &str) -> (Place, String) {
    // Most messages are the same, but that Kubernetes leaves out what was being read.
    let words =
        message.split_once(", ").filter(|(reading, _)| reading.starts_with("while ")).map_or(message, |it| it.1);
    let (place, words) = match words {
        "found a tab" => (Place::Scanner(line + 1), "found a tab character that violates indentation"),
        "simple key expected ':'" => (Place::Scanner(next_line(line, text)), "could not find expected ':'"),
        "misplaced bracket" => (Place::Parser(line), "did not find expected node content"),
        "alias references unknown anchor" => {
            return (Place::Nowhere, format!("unknown anchor '{}' referenced", alias(line, text)));
        }
        "did not find expected key" | "did not find expected '-' indicator" | "did not find expected node content" => {
            (Place::Parser(line), words)
        }
        _ if unstartable(words) => (Place::Scanner(line), "found character that cannot start any token"),
        _ if ends_in_quotes(words, text) => (Place::Scanner(lines(text) + 1), "found unexpected end of stream"),
        _ if words.starts_with("invalid trailing content") => (Place::Parser(line), "did not find expected key"),
        _ if words.starts_with("unclosed bracket") || words.starts_with("unexpected EOF") => {
            (Place::Parser(lines_begun(text) + 1), in_brackets(text))
        }
        _ if is_of_brackets(words) => (Place::Parser(line), in_brackets(text)),
        _ => (Place::Scanner(line), words),
    };
    (place, words.to_owned())
}

fn unstartable(words: &str) -> bool {
    words.starts_with("unexpected character: ") || words.starts_with("tabs disallowed")
}

/// Whether what is wrong with a quoted text is that nothing ends it.
fn ends_in_quotes(words: &str, text: &str) -> bool {
    let odd = |quote: char| text.matches(quote).count() % 2 == 1;
    words == "unclosed quote" || words.starts_with("invalid indentation in multiline quoted") && (odd('"') || odd('\''))
}

fn is_of_brackets(words: &str) -> bool {
    let begins = ["mismatched bracket", "illegal placement of ':'"].iter().any(|begin| words.starts_with(begin));
    let ends = ["expected ',' or ']'", "expected ',' or '}'"].iter().any(|end| words.ends_with(end));
    begins || ends || words.contains("flow")
}

/// What is missed within brackets: something after a comma or the bracket, else the end of the innermost.
fn in_brackets(text: &str) -> &'static str {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '[' | '{' => open.push(c),
            ']' if open.last() == Some(&'[') => drop(open.pop()),
            '}' if open.last() == Some(&'{') => drop(open.pop()),
            _ => {}
        }
    }
    match (text.trim_end().chars().last(), open.last().copied()) {
        (Some('[' | '{' | ','), _) => "did not find expected node content",
        (_, Some('{')) => "did not find expected ',' or '}'",
        _ => "did not find expected ',' or ']'",
    }
}

/// The lines that a text ends.
fn lines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').map(|_| 1).sum()
}

/// The lines of a text, with one that it does not end.
fn lines_begun(text: &str) -> u64 {
    lines(text) + u64::from(!text.ends_with('\n'))
}

/// The first line after this one that is not blank, or the one after the text.
fn next_line(line: u64, text: &str) -> u64 {
    let after = (1..).zip(text.lines()).find(|(number, words)| *number > line && !words.trim().is_empty());
    after.map_or(lines(text) + 1, |(number, _)| number)
}

/// The name of the first alias in a line.
fn alias(line: u64, text: &str) -> &str {
    let found =
        (1..).zip(text.lines()).find(|(number, _)| *number == line).and_then(|(_, words)| words.split_once('*'));
    let name = found.map_or("", |(_, name)| name);
    name.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::yaml::{Duplicates, parse};

    #[test]
    fn the_words_and_lines_are_those_of_kubernetes() {
        let cases = [
            ("a: b: c\n", "mapping values are not allowed in this context"),
            ("x: 1\na: b: c\n", "line 2: mapping values are not allowed in this context"),
            ("a:\n\t- b\n", "line 2: found character that cannot start any token"),
            ("\ta: b\n", "found character that cannot start any token"),
            ("# c\n \ta: b\n", "line 2: found character that cannot start any token"),
            ("@a: b\n", "found character that cannot start any token"),
            ("a: b\n\tc: d\n", "line 2: found a tab character that violates indentation"),
            ("x: \"abc\n", "line 2: found unexpected end of stream"),
            ("a: \"\\q\"\n", "found unknown escape character"),
            ("a: b\nc\n\nd: e\n", "line 4: could not find expected ':'"),
            ("a: b\nc\n", "line 3: could not find expected ':'"),
            ("a: b\n- c\n", "line 1: did not find expected key"),
            ("- a\nb: c\n", "line 1: did not find expected '-' indicator"),
            ("a:\n  b: c\n d: e\n", "line 2: did not find expected key"),
            ("a: ]\n", "did not find expected node content"),
            ("{a: b]\n", "did not find expected ',' or '}'"),
            ("{a: b\n", "line 1: did not find expected ',' or '}'"),
            ("a:\n- [b\n", "line 2: did not find expected ',' or ']'"),
            ("a: *x\n", "unknown anchor 'x' referenced"),
        ];
        for (text, expected) in cases {
            let error = parse(text, Duplicates::LastWins).unwrap_err().to_string();
            assert_eq!(error, format!("yaml: {expected}"), "{text:?}");
        }
    }
}
