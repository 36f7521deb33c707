//! Go's text templates over objects, as `-o go-template=` takes them.
//!
//! Source: <https://pkg.go.dev/text/template>, with kubectl's functions `exists` and `base64decode`. Other than with kubectl,
//! - text is UTF-8: `base64decode` refuses what decodes to something else;
//! - a function or variable that does not exist is noticed when it is used, and no error says at which place;
//! - `{{- /* … */}}` also swallows the blanks after it, `{{template "x"}}` hands dot on, and fractions never print as `1e+06`.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gotmpl::{MissingKey, Template, TemplateError, Value};
use serde_json::Value as Json;

use super::template_blocks;

/// What is said where a template is wanted and there is none.
pub(super) const NO_TEMPLATE: &str = "template format specified but no template given";

/// A template such as `{{range .items}}{{.metadata.name}}{{"\n"}}{{end}}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GoTemplate {
    source: String,
    /// A key that is not there is an error; else it prints `<no value>`.
    strict: bool,
}

impl FromStr for GoTemplate {
    type Err = anyhow::Error;

    fn from_str(source: &str) -> Result<Self> {
        if source.is_empty() {
            bail!(NO_TEMPLATE);
        }
        let template = Self { source: source.to_owned(), strict: false };
        let fault = template.compiled().err().map(|error| error.to_string()).or_else(|| template_blocks::fault(source));
        match fault {
            None => Ok(template),
            Some(why) => Err(anyhow!("error parsing template {source}, {why}")),
        }
    }
}

impl GoTemplate {
    /// The template that a file holds.
    ///
    /// # Errors
    /// The file cannot be read, or holds no template.
    pub(super) fn read(path: &str) -> Result<Self> {
        if path.is_empty() {
            bail!(NO_TEMPLATE);
        }
        let source = std::fs::read_to_string(path);
        source.map_err(|error| anyhow!("error reading --template {path}, {error}"))?.parse()
    }

    /// The same, for which a key that is not there is an error.
    pub(super) fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Adds to `out` an object through the template. Of one that fails this is how far it came and, as kubectl has it,
    /// what helps to find out why.
    ///
    /// # Errors
    /// The template does not fit the object.
    pub(super) fn render(&self, object: &Json, out: &mut String) -> Result<()> {
        let data = value(object);
        let outcome = self.compiled().and_then(|template| template.execute_fmt(&mut *out, &data));
        let Err(error) = outcome else { return Ok(()) };
        let (why, source) = (reason(&error), &self.source);
        *out += &format!("Error executing template: {why}. Printing more information for debugging the template:\n");
        *out += &format!("\ttemplate was:\n\t\t{source}\n\traw data was:\n\t\t{object}\n");
        *out += &format!("\tobject given to template engine was:\n\t\t{data}\n\n");
        Err(anyhow!("error executing template {source:?}: {why}"))
    }

    fn compiled(&self) -> gotmpl::Result<Template> {
        let missing = if self.strict { MissingKey::Error } else { MissingKey::Invalid };
        let template = Template::new("output").missing_key(missing);
        template.func("exists", exists).func("base64decode", base64decode).parse(&self.source)
    }
}

/// Whole numbers stay whole, as kubectl reads JSON.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int)
        }
        Json::String(text) => Value::String(Arc::from(text.as_str())),
        Json::Array(list) => Value::List(list.iter().map(value).collect()),
        Json::Object(members) => {
            let members = members.iter().map(|(key, member)| (Arc::<str>::from(key.as_str()), value(member)));
            Value::Map(Arc::new(members.collect()))
        }
    }
}

/// Whether `index` with the same arguments would find something.
fn exists(args: &[Value]) -> gotmpl::Result<Value> {
    let Some((item, indices)) = args.split_first() else {
        return Err(failed("wrong number of args for exists: want at least 1 got 0"));
    };
    let found = indices.iter().try_fold(item.clone(), |found, index| found.index(index));
    Ok(Value::Bool(found.is_ok_and(|found| found != Value::Nil)))
}

fn base64decode(args: &[Value]) -> gotmpl::Result<Value> {
    let text = match args {
        [Value::String(text)] => text,
        [Value::Nil] => return Err(failed("invalid value; expected string")),
        [other] => return Err(failed(format!("wrong type for value; expected string; got {}", other.type_name()))),
        many => return Err(failed(format!("wrong number of args for base64decode: want 1 got {}", many.len()))),
    };
    // Go reads over the ends of lines.
    let bytes = STANDARD.decode(text.replace(['\r', '\n'], ""));
    let bytes = bytes.map_err(|error| failed(format!("base64 decode failed: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("base64 decode failed: the data is not UTF-8 text"))?;
    Ok(Value::String(Arc::from(text)))
}

fn failed(why: impl Into<String>) -> TemplateError {
    TemplateError::Exec(why.into())
}

/// What went wrong, without a word on the phase: it is told anyway.
fn reason(error: &TemplateError) -> String {
    match error {
        TemplateError::Exec(why) => why.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Json {
        json!({
            "kind": "Thing", "nothing": null,
            "metadata": {"name": "web", "labels": {"tier": "front", "app.kubernetes.io/name": "web"}},
            "spec": {"replicas": 3, "big": 1_700_000_000, "ratio": 0.5, "paused": false},
            "data": {"password": "aHVudGVyMg==", "binary": "/w==", "broken": "a b"},
            "items": [{"metadata": {"name": "a"}, "phase": "Running"}, {"metadata": {"name": "b"}, "phase": "Failed"}],
        })
    }

    fn shown(template: &str) -> String {
        let mut out = String::new();
        template.parse::<GoTemplate>().unwrap().render(&object(), &mut out).unwrap();
        out
    }

    fn refused(template: GoTemplate) -> (String, String) {
        let mut out = String::new();
        let error = template.render(&object(), &mut out).unwrap_err();
        (out, error.to_string())
    }

    #[test]
    fn values_read_as_go_prints_them() {
        assert_eq!(shown("{{.metadata.name}} {{.spec.replicas}} {{.spec.paused}}"), "web 3 false");
        assert_eq!(shown("{{.spec.big}} {{.spec.ratio}}"), "1700000000 0.5");
        assert_eq!(shown("{{.metadata.labels}}"), "map[app.kubernetes.io/name:web tier:front]");
        assert_eq!(
            shown("{{.items}}"),
            "[map[metadata:map[name:a] phase:Running] map[metadata:map[name:b] phase:Failed]]"
        );
        assert_eq!(shown("{{.missing}} {{.missing.deep}} {{.nothing}}"), "<no value> <no value> <no value>");
        assert_eq!(shown("{{index .metadata.labels \"app.kubernetes.io/name\"}}"), "web");
        assert_eq!(shown("{{len .items}} {{slice .kind 1 3}}"), "2 hi");
    }

    #[test]
    fn actions_do_as_in_go() {
        assert_eq!(shown("{{range .items}}{{.metadata.name}}{{\"\\n\"}}{{end}}"), "a\nb\n");
        assert_eq!(shown("{{range $i, $item := .items}}{{if $i}},{{end}}{{$item.phase}}{{end}}"), "Running,Failed");
        assert_eq!(
            shown("{{range $key, $value := .metadata.labels}}{{$key}}={{$value}};{{end}}"),
            "app.kubernetes.io/name=web;tier=front;"
        );
        assert_eq!(shown("{{range .missing}}x{{else}}none{{end}}"), "none");
        assert_eq!(shown("{{with .spec}}{{.replicas}} {{$.kind}}{{end}}"), "3 Thing");
        assert_eq!(shown("{{range .items}}{{if eq .phase \"Running\"}}{{.metadata.name}}{{end}}{{end}}"), "a");
        assert_eq!(shown("{{define \"name\"}}<{{.metadata.name}}>{{end}}{{template \"name\" .}}"), "<web>");
        assert_eq!(shown("a {{- /* nothing */ -}} b {{- .kind }}"), "abThing");
    }

    #[test]
    fn functions_do_as_in_go() {
        assert_eq!(shown("{{printf \"%-5s|%03d|%q\" .metadata.name .spec.replicas .kind}}"), "web  |003|\"Thing\"");
        assert_eq!(shown("{{and .kind .missing}} {{or .missing .kind}} {{not .missing}}"), "<no value> Thing true");
        assert_eq!(shown("{{gt .spec.replicas 2}} {{le .spec.replicas 2}} {{ne .kind \"Pod\"}}"), "true false true");
        assert_eq!(shown("{{print .kind 1 2}} {{html \"<a>\"}} {{urlquery \"a b\"}}"), "Thing1 2 &lt;a&gt; a+b");
        assert_eq!(shown("{{.data.password | base64decode}}"), "hunter2");
    }

    #[test]
    fn what_exists_is_told() {
        assert_eq!(shown("{{exists .metadata \"labels\" \"tier\"}} {{exists .items 1 \"phase\"}}"), "true true");
        assert_eq!(
            shown("{{exists .metadata \"labels\" \"x\"}} {{exists .items 2}} {{exists .kind \"x\"}}"),
            "false false false"
        );
        assert_eq!(shown("{{exists .missing}} {{exists .missing \"deep\"}} {{exists .nothing}}"), "false false false");
    }

    #[test]
    fn one_that_fails_prints_what_helps() {
        let (out, error) = refused("a{{.kind.x}}b".parse().unwrap());
        let why = "can't evaluate field x in type string";
        assert_eq!(error, format!("error executing template \"a{{{{.kind.x}}}}b\": {why}"));
        let head = format!("aError executing template: {why}. Printing more information for debugging the template:\n");
        assert!(out.starts_with(&head), "{out}");
        assert!(out.contains("\ttemplate was:\n\t\ta{{.kind.x}}b\n\traw data was:\n\t\t{\""), "{out}");
        assert!(out.contains("\tobject given to template engine was:\n\t\tmap["), "{out}");
        assert!(out.ends_with("]\n\n"), "{out}");
    }

    #[test]
    fn base64_that_is_no_text_is_refused() {
        for (field, why) in [("binary", "the data is not UTF-8 text"), ("broken", "Invalid ")] {
            let (_, error) = refused(format!("{{{{base64decode .data.{field}}}}}").parse().unwrap());
            assert!(error.contains(&format!("base64 decode failed: {why}")), "{error}");
        }
        let (_, error) = refused("{{base64decode .spec.replicas}}".parse().unwrap());
        assert!(error.ends_with("wrong type for value; expected string; got int"), "{error}");
    }

    #[test]
    fn keys_may_have_to_be_there() {
        let template: GoTemplate = "{{.metadata.nope}}".parse().unwrap();
        let (_, error) = refused(template.strict());
        assert!(error.ends_with("map has no entry for key: nope"), "{error}");
    }

    #[test]
    fn what_is_no_template_is_told() {
        let told = "{{.a".parse::<GoTemplate>().unwrap_err().to_string();
        assert!(told.starts_with("error parsing template {{.a, template: output:1:"), "{told}");
        assert!(told.ends_with("unclosed action"), "{told}");
        let told = "{{range .items}}".parse::<GoTemplate>().unwrap_err().to_string();
        assert_eq!(told, "error parsing template {{range .items}}, template: output:1: unexpected EOF");
        assert_eq!("".parse::<GoTemplate>().unwrap_err().to_string(), NO_TEMPLATE);
        let missing = GoTemplate::read("/nowhere/template").unwrap_err().to_string();
        assert!(missing.starts_with("error reading --template /nowhere/template, "), "{missing}");
    }
}
