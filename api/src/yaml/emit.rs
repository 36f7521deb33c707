//! Block style with an indent of two, keys sorted, lists not indented under their key, long lines folded: byte for
//! byte what kubectl and the API server print.

use std::fmt::Write;

use serde_json::Value;

use super::resolve::is_not_string;

const WIDTH: usize = 80;

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// The value as one YAML document.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut emitter = Emitter::default();
    match value {
        Value::Object(map) if !map.is_empty() => emitter.map(map, 0, false),
        Value::Array(list) if !list.is_empty() => emitter.list(list, 0, false),
        other => {
            emitter.scalar(other, 2);
            emitter.line_end();
        }
    }
    emitter.out
}

#[derive(Default)]
struct Emitter {
    out: String,
    column: usize,
}

/// What a string allows, by its characters.
#[derive(Default)]
struct Shape {
    plain: bool,
    single: bool,
    literal: bool,
}

impl Emitter {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn push_char(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn line_end(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn new_line(&mut self, indent: usize) {
        self.line_end();
        self.indent(indent);
    }

    fn indent(&mut self, indent: usize) {
        for _ in 0..indent {
            self.push_char(' ');
        }
    }

    fn map(&mut self, map: &serde_json::Map<String, Value>, indent: usize, started: bool) {
        for (at, (key, value)) in map.iter().enumerate() {
            if at > 0 || !started {
                self.indent(indent);
            }
            self.key(key);
            self.push(":");
            self.value(value, indent);
        }
    }

    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.line_end();
                self.map(map, indent + 2, false);
            }
            Value::Array(list) if !list.is_empty() => {
                self.line_end();
                self.list(list, indent, false);
            }
            other => {
                self.push(" ");
                self.scalar(other, indent + 2);
                self.line_end();
            }
        }
    }

    fn list(&mut self, list: &[Value], indent: usize, started: bool) {
        for (at, item) in list.iter().enumerate() {
            if at > 0 || !started {
                self.indent(indent);
            }
            self.push("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + 2, true),
                Value::Array(list) if !list.is_empty() => self.list(list, indent + 2, true),
                other => {
                    self.scalar(other, indent + 2);
                    self.line_end();
                }
            }
        }
    }

    fn key(&mut self, key: &str) {
        let shape = shape(key);
        if shape.plain && !is_not_string(key) {
            self.push(key);
        } else if shape.single && !is_not_string(key) {
            self.single(key, None);
        } else {
            self.double(key, None);
        }
    }

    /// `indent` is where continued lines start.
    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(flag) => self.push(if *flag { "true" } else { "false" }),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => self.push(&number_text(float)),
                _ => self.push(&number.to_string()),
            },
            Value::String(text) => self.text(text, indent),
            Value::Array(_) => self.push("[]"),
            Value::Object(_) => self.push("{}"),
        }
    }

    fn text(&mut self, text: &str, indent: usize) {
        let shape = shape(text);
        if text.contains('\n') {
            return if shape.literal { self.literal(text, indent) } else { self.double(text, Some(indent)) };
        }
        if is_not_string(text) {
            self.double(text, Some(indent));
        } else if shape.plain {
            self.plain(text, indent);
        } else if shape.single {
            self.single(text, Some(indent));
        } else {
            self.double(text, Some(indent));
        }
    }

    fn plain(&mut self, text: &str, indent: usize) {
        self.folded(text, Some(indent), false, |emitter, c| emitter.push_char(c));
    }

    fn single(&mut self, text: &str, indent: Option<usize>) {
        self.push("'");
        self.folded(text, indent, true, |emitter, c| {
            if c == '\'' {
                emitter.push_char('\'');
            }
            emitter.push_char(c);
        });
        self.push("'");
    }

    /// Writes a text of one line, broken at single spaces once it is wider than a line.
    fn folded(&mut self, text: &str, indent: Option<usize>, inner: bool, put: impl Fn(&mut Emitter, char)) {
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (at, &c) in chars.iter().enumerate() {
            if c != ' ' {
                put(self, c);
                after_space = false;
                continue;
            }
            let next_is_space = chars.get(at + 1) == Some(&' ');
            let at_edge = inner && (at == 0 || at + 1 == chars.len());
            match indent {
                Some(indent) if !after_space && self.column > WIDTH && !next_is_space && !at_edge => {
                    self.new_line(indent);
                }
                _ => self.push_char(' '),
            }
            after_space = true;
        }
    }

    fn double(&mut self, text: &str, indent: Option<usize>) {
        self.push("\"");
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (at, &c) in chars.iter().enumerate() {
            if c != ' ' {
                self.escaped(c);
                after_space = false;
                continue;
            }
            let at_edge = at == 0 || at + 1 == chars.len();
            match indent {
                Some(indent) if !after_space && self.column > WIDTH && !at_edge => {
                    self.new_line(indent);
                    if chars.get(at + 1) == Some(&' ') {
                        self.push_char('\\');
                    }
                }
                _ => self.push_char(' '),
            }
            after_space = true;
        }
        self.push("\"");
    }

    fn escaped(&mut self, c: char) {
        let short = match c {
            '\0' => "\\0",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '\u{1b}' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            c if is_printable(c) => return self.push_char(c),
            c => {
                let mut code = String::new();
                let written = match u32::from(c) {
                    n @ ..0x100 => write!(code, "\\x{n:02X}"),
                    n @ ..0x1_0000 => write!(code, "\\u{n:04X}"),
                    n => write!(code, "\\U{n:08X}"),
                };
                written.expect("writing to a String does not fail");
                return self.push(&code);
            }
        };
        self.push(short);
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.push("|");
        if text.starts_with([' ', '\n']) {
            self.push("2");
        }
        let body = text.strip_suffix('\n');
        match body {
            None => self.push("-"),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.push("+"),
            Some(_) => {}
        }
        for line in body.unwrap_or(text).split('\n') {
            self.line_end();
            if !line.is_empty() {
                self.indent(indent);
                self.push(line);
            }
        }
    }
}

/// A float as it comes back from JSON: what has no fraction there is read as a whole number, if it fits in one.
fn number_text(float: f64) -> String {
    let is_whole = float.fract() == 0.0 && float > -TWO_TO_63 && float < TWO_TO_64;
    // No more digits than JSON needs, and zero without a sign.
    if is_whole { format!("{}", float + 0.0) } else { crate::field::go_float(float) }
}

fn is_printable(c: char) -> bool {
    matches!(u32::from(c), 0x0a | 0x20..=0x7e | 0x85 | 0xa0..=0xd7ff | 0xe000..=0xfffd | 0x1_0000..=0x10_ffff)
        && c != '\u{feff}'
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn shape(text: &str) -> Shape {
    let chars: Vec<char> = text.chars().collect();
    if chars.is_empty() {
        return Shape { plain: false, single: true, literal: false };
    }
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut special, mut breaks, mut break_space, mut space_break) = (false, false, false, false);
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let next = chars.get(at + 1).copied();
        indicators |= is_indicator(c, before, next);
        special |= !is_printable(c);
        breaks |= is_break(c);
        break_space |= c == ' ' && before.is_some_and(is_break);
        space_break |= is_break(c) && before == Some(' ');
    }
    let edge = |c: char| c == ' ' || is_break(c);
    let padded = edge(chars[0]) || edge(chars[chars.len() - 1]);
    let broken = space_break || special;
    Shape {
        plain: !(indicators || padded || breaks || broken),
        single: !(break_space || broken),
        literal: !(broken || chars[chars.len() - 1] == ' '),
    }
}

/// Whether the character means something to YAML at this place of a plain scalar in block style.
fn is_indicator(c: char, before: Option<char>, next: Option<char>) -> bool {
    let space_next = next.is_none_or(|next| next == ' ' || next == '\t' || is_break(next));
    match (c, before) {
        ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`', None) => true,
        ('?' | ':' | '-', None) => space_next,
        (':', Some(_)) => space_next,
        ('#', Some(before)) => before == ' ' || before == '\t' || is_break(before),
        _ => false,
    }
}
