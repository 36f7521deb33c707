//! `-o` and its companions: the same for every verb that prints objects.

use anyhow::{Result, bail};
use clap::{ArgAction, Args};

use super::go_template::NO_TEMPLATE;
use super::print::Form;

/// Forms that take a template: after `=`, or from `--template`.
const TEMPLATED: [&str; 9] = [
    "go-template",
    "go-template-file",
    "template",
    "templatefile",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "custom-columns",
    "custom-columns-file",
];

const NO_COLUMNS: &str = "custom-columns format specified but no custom columns given";

/// How objects are printed.
#[derive(Args)]
pub(crate) struct Output {
    /// wide, json, yaml, name, jsonpath=…, jsonpath-as-json=…, jsonpath-file=…, custom-columns=…, custom-columns-file=…,
    /// go-template=… or go-template-file=…
    #[arg(long, short = 'o', global = true, default_value = "", hide_default_value = true, value_name = "FORM")]
    output: String,
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

impl Output {
    /// The form that is asked for. Read here and not with the other words: as with kubectl, one that is wrong is no misuse of
    /// the command line.
    ///
    /// # Errors
    /// There is no such form, or a template is missing or wrong.
    pub(crate) fn form(&self) -> Result<Form> {
        let form = match (self.output.as_str(), self.template.as_str()) {
            (kind, "") if kind.starts_with("custom-columns") && TEMPLATED.contains(&kind) => bail!(NO_COLUMNS),
            (kind, "") if TEMPLATED.contains(&kind) => bail!(NO_TEMPLATE),
            (kind, template) if TEMPLATED.contains(&kind) => format!("{kind}={template}").parse()?,
            ("", template) if !template.is_empty() => Form::GoTemplate(template.parse()?),
            // Other forms have no use for a template; kubectl says nothing of it either.
            (form, _) => form.parse()?,
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
        Words::try_parse_from([&["get"][..], words].concat()).unwrap().output.form()
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
        assert_eq!(told(&["-o", "go-template="]), NO_TEMPLATE);
        assert_eq!(told(&["-o", "go-template-file="]), NO_TEMPLATE);
        let unclosed = told(&["--template={{.a"]);
        assert!(unclosed.starts_with("error parsing template {{.a, template: output:1:"), "{unclosed}");
        assert_eq!(told(&["-o", "go-template={{.a"]), unclosed);
        assert!(told(&["-o", "yam"]).contains("unknown output \"yam\""));
    }
}
