//! `-o` and its companions: the same for every verb that prints objects.

use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{ArgAction, Args};

use super::go_template::NO_TEMPLATE;
use super::print::Form;

/// Forms that take a template: after `=`, or from `--template`.
const TEMPLATED: [&str; 6] =
    ["go-template", "go-template-file", "template", "templatefile", "jsonpath", "custom-columns"];

/// How objects are printed.
#[derive(Args)]
pub(crate) struct Output {
    /// wide, json, yaml, name, jsonpath=…, custom-columns=…, go-template=… or go-template-file=…
    #[arg(long, short = 'o', global = true, default_value = "", hide_default_value = true, value_name = "FORM")]
    output: Asked,
    /// What -o would have after its =; without -o a Go template
    #[arg(long, global = true, default_value = "", hide_default_value = true, value_name = "TEMPLATE")]
    template: String,
    /// Whether keys that a Go template names may be missing
    #[arg(
        long,
        global = true,
        default_value_t = true,
        default_missing_value = "true",
        hide_default_value = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        value_name = "BOOL"
    )]
    allow_missing_template_keys: bool,
}

/// The value of `-o`.
#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Complete(Form),
    /// Without its template.
    Lacking(&'static str),
}

impl FromStr for Asked {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match TEMPLATED.into_iter().find(|kind| *kind == text) {
            Some(kind) => Ok(Self::Lacking(kind)),
            None => text.parse().map(Self::Complete),
        }
    }
}

impl Output {
    /// The form that is asked for.
    ///
    /// # Errors
    /// A template is missing or wrong.
    pub(crate) fn form(&self) -> Result<Form> {
        let form = match (&self.output, self.template.as_str()) {
            (Asked::Lacking(_), "") => bail!(NO_TEMPLATE),
            (Asked::Lacking(kind), template) => format!("{kind}={template}").parse()?,
            (Asked::Complete(Form::Table { wide: false }), template) if !template.is_empty() => {
                Form::GoTemplate(template.parse()?)
            }
            // Other forms have no use for a template; kubectl says nothing of it either.
            (Asked::Complete(form), _) => form.clone(),
        };
        Ok(match form {
            Form::GoTemplate(template) if !self.allow_missing_template_keys => Form::GoTemplate(template.strict()),
            form => form,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        output: Output,
    }

    fn form(words: &[&str]) -> Result<Form> {
        Words::try_parse_from([&["get"][..], words].concat())?.output.form()
    }

    #[test]
    fn a_template_comes_with_the_form_or_apart() {
        let go: Form = "go-template={{.a}}".parse().unwrap();
        for words in [
            &["-o", "go-template={{.a}}"][..],
            &["-o=template={{.a}}"],
            &["-o", "go-template", "--template={{.a}}"],
            &["--template", "{{.a}}"],
            &["--template={{.a}}", "--allow-missing-template-keys"],
        ] {
            assert_eq!(form(words).unwrap(), go, "{words:?}");
        }
        assert_eq!(form(&["-o", "jsonpath", "--template={.a}"]).unwrap(), "jsonpath={.a}".parse().unwrap());
        assert_eq!(form(&[]).unwrap(), Form::Table { wide: false });
        assert_eq!(form(&["-o", "json", "--template={{.a}}"]).unwrap(), Form::Json);
        let strict = form(&["--template={{.a}}", "--allow-missing-template-keys=false"]).unwrap();
        assert_ne!(strict, go);
    }

    #[test]
    fn a_template_comes_from_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"{{.a}}").unwrap();
        let path = file.path().to_str().unwrap();
        let go: Form = "go-template={{.a}}".parse().unwrap();
        assert_eq!(form(&["-o", &format!("go-template-file={path}")]).unwrap(), go);
        assert_eq!(form(&["-o", "go-template-file", "--template", path]).unwrap(), go);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let told = |words: &[&str]| form(words).unwrap_err().to_string();
        assert_eq!(told(&["-o", "go-template"]), NO_TEMPLATE);
        assert!(told(&["-o", "go-template="]).contains(NO_TEMPLATE));
        assert!(told(&["-o", "go-template-file="]).contains(NO_TEMPLATE));
        assert!(told(&["--template={{.a"]).starts_with("error parsing template {{.a, "));
        assert!(told(&["-o", "yam"]).contains("unknown output \"yam\""));
    }
}
