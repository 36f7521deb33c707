//! Whether each block of a Go template is ended. The parser of templates takes one that is not, and forgets what follows an
//! end too many.

/// What is wrong with the blocks of a template that is well otherwise, in Go's words.
pub(super) fn fault(source: &str) -> Option<String> {
    let (mut open, mut at) = (0_usize, 0);
    let told = |at: usize, what: &str| {
        let line = source[..at].matches('\n').count() + 1;
        Some(format!("template: output:{line}: unexpected {what}"))
    };
    while let Some(found) = source[at..].find("{{") {
        let begin = at + found + "{{".len();
        let action = &source[begin..];
        match word(action) {
            "if" | "range" | "with" | "define" | "block" => open += 1,
            "end" if open == 0 => return told(begin, "{{end}}"),
            "else" if open == 0 => return told(begin, "{{else}}"),
            "end" => open -= 1,
            _ => {}
        }
        at = begin + length(action);
    }
    if open > 0 { told(source.len(), "EOF") } else { None }
}

/// What an action begins with.
fn word(action: &str) -> &str {
    let action = action.strip_prefix('-').unwrap_or(action).trim_start();
    let end = action.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    &action[..end.unwrap_or(action.len())]
}

/// How long an action is, its braces included; texts and comments may hold braces of their own.
fn length(action: &str) -> usize {
    let inner = action.trim_start_matches('-').trim_start();
    if inner.starts_with("/*") {
        let comment = action.find("*/").unwrap_or(0);
        return action[comment..].find("}}").map_or(action.len(), |end| comment + end + "}}".len());
    }
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in action.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '}') if action[at..].starts_with("}}") => return at + "}}".len(),
            _ => {}
        }
    }
    action.len()
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn blocks_that_are_ended_are_well() {
        for source in [
            "",
            "plain }} text",
            "{{if .a}}x{{else if .b}}y{{- else -}}z{{ end }}",
            "{{define \"t\"}}{{with .a}}{{.}}{{end}}{{end}}{{template \"t\" .}}",
            "{{\"}}{{end\"}}{{`{{if`}}{{'\\''}}",
            "{{/* {{end}} */}}{{- /* {{if */ -}}",
            "{{index .items 0}}{{.end}}{{ending}}",
        ] {
            assert_eq!(fault(source), None, "{source}");
        }
    }

    #[test]
    fn others_are_told_with_their_line() {
        let told = |source| fault(source).unwrap_or_default();
        assert_eq!(told("{{range .items}}\n{{.}}"), "template: output:2: unexpected EOF");
        assert_eq!(told("a\n{{end}}b"), "template: output:2: unexpected {{end}}");
        assert_eq!(told("{{if .a}}{{end}}{{else}}"), "template: output:1: unexpected {{else}}");
    }
}
