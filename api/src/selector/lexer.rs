/// A word of a label selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

fn keyword(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "in" => Token::In,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "notin" => Token::NotIn,
        "(" => Token::Open,
        _ => return None,
    })
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// All words of a selector, the end as the last.
pub(super) fn scan(mut text: &str) -> Vec<(Token, String)> {
    let mut tokens = Vec::new();
    loop {
        text = text.trim_start_matches(is_space);
        let Some(first) = text.chars().next().filter(|c| *c != '\0') else {
            tokens.push((Token::End, String::new()));
            return tokens;
        };
        let (token, length) = if is_symbol(first) { symbol(text) } else { word(text) };
        tokens.push((token.0, token.1));
        text = &text[length..];
    }
}

fn word(text: &str) -> ((Token, String), usize) {
    let end = text.find(|c| is_symbol(c) || is_space(c) || c == '\0').unwrap_or(text.len());
    let word = &text[..end];
    ((keyword(word).unwrap_or(Token::Identifier), word.to_owned()), end)
}

/// The longest run of symbols that is an operator.
fn symbol(text: &str) -> ((Token, String), usize) {
    let run = text.find(|c| !is_symbol(c)).unwrap_or(text.len());
    let mut found = None;
    for end in 1..=run {
        match keyword(&text[..end]) {
            Some(token) => found = Some((token, end)),
            None if found.is_some() => break,
            None => {}
        }
    }
    match found {
        Some((token, end)) => ((token, text[..end].to_owned()), end),
        None => ((Token::Error, format!("error expected: keyword found '{}'", &text[..run])), run),
    }
}
