use super::SelectorError;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    /// The field, `spec.nodeName`.
    pub field: String,
    /// Whether it must be equal, or must differ.
    pub equal: bool,
    /// The value, unescaped.
    pub value: String,
}

/// Conditions on fields, all of which must be met: `status.phase=Running,spec.nodeName!=a`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector(Vec<FieldTerm>);

impl FieldSelector {
    /// The selector that everything meets.
    #[must_use]
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// One field equals one value.
    #[must_use]
    pub fn equals(field: &str, value: &str) -> FieldSelector {
        FieldSelector(vec![FieldTerm { field: field.to_owned(), equal: true, value: value.to_owned() }])
    }

    /// Reads the form of query strings. Backslashes escape commas, equal signs and themselves in values.
    ///
    /// # Errors
    /// In Kubernetes' words, if it cannot be read.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let terms = parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
            let (field, equal, value) = split_term(part)
                .ok_or_else(|| SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'")))?;
            Ok(FieldTerm { field: field.to_owned(), equal, value: unescape(value)? })
        });
        terms.collect::<Result<_, _>>().map(FieldSelector)
    }

    /// The conditions.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.0
    }

    /// Whether everything meets it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object meets it, given its fields; a field that it does not have is the empty string.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|term| (field(&term.field) == term.value) == term.equal)
    }

    /// The one value that the field must have.
    #[must_use]
    pub fn requires(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// The selector with each term replaced, as versions with other field names need it.
    ///
    /// # Errors
    /// The first that `change` returns.
    pub fn try_map<E>(self, change: impl FnMut(FieldTerm) -> Result<FieldTerm, E>) -> Result<FieldSelector, E> {
        self.0.into_iter().map(change).collect::<Result<_, _>>().map(FieldSelector)
    }
}

impl std::fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, term) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

impl std::str::FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<FieldSelector, SelectorError> {
        FieldSelector::parse(text)
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (at, _) in term.char_indices() {
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = term[at..].strip_prefix(operator) {
                return Some((&term[..at], equal, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let bad = |sequence: String| SelectorError(format!("invalid field selector: invalid escape sequence: {sequence}"));
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                Some(other) => return Err(bad(format!("\\{other}"))),
                None => return Err(bad("\\".to_owned())),
            },
            ',' | '=' => {
                let code = u32::from(c);
                return Err(SelectorError(format!("invalid field selector: unescaped character in value: {code}")));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
