use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::SelectorError;
use crate::field::{self, Error, ErrorList, Path};
use crate::names;

/// How a requirement relates a label to values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// One of several.
    In,
    /// None of several, or absent.
    NotIn,
    /// This one (`=`).
    Equals,
    /// This one (`==`).
    DoubleEquals,
    /// Not this one, or absent.
    NotEquals,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// A number above.
    GreaterThan,
    /// A number below.
    LessThan,
}

/// Something that has labels.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<L: Labels + ?Sized> Labels for &L {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

impl<L: Labels> Labels for Option<L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The relation.
    pub operator: Operator,
    /// The values.
    pub values: Vec<String>,
}

impl Requirement {
    /// A checked requirement.
    ///
    /// # Errors
    /// All that is wrong with key, number of values and values, under the fields `key` and `values`.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, SelectorError> {
        let errors = requirement_errors(key, operator, &values);
        if !errors.is_empty() {
            return Err(SelectorError(field::aggregate(&errors)));
        }
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|wanted| wanted == value)
    }

    fn compares(&self, value: &str) -> bool {
        let (Ok(value), [wanted]) = (value.parse::<i64>(), self.values.as_slice()) else { return false };
        let Ok(wanted) = wanted.parse::<i64>() else { return false };
        if self.operator == Operator::GreaterThan { value > wanted } else { value < wanted }
    }

    /// Whether the labels meet the requirement.
    #[must_use]
    pub fn matches(&self, labels: &impl Labels) -> bool {
        let value = labels.label(&self.key);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(|v| self.has(v)),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(|v| self.has(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => value.is_some_and(|v| self.compares(v)),
        }
    }
}

/// The error about a label key that is not one.
pub(super) fn key_error(key: &str, path: &Path) -> Option<Error> {
    let errors = names::is_qualified_name(key);
    (!errors.is_empty()).then(|| Error::invalid(path, key, errors.join("; ")))
}

fn requirement_errors(key: &str, operator: Operator, values: &[String]) -> ErrorList {
    let mut errors: ErrorList = key_error(key, &Path::new("key")).into_iter().collect();
    let path = Path::new("values");
    let wrong_count = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    };
    errors.extend(wrong_count.map(|detail| Error::invalid(&path, values.to_vec(), detail)));
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        for (at, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
            let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
            errors.push(Error::invalid(&path.index(at), value.as_str(), detail));
        }
    }
    for (at, value) in values.iter().enumerate() {
        let wrong = names::is_label_value(value);
        if !wrong.is_empty() {
            errors.push(Error::invalid(&path.index(at).key(key), value.as_str(), wrong.join("; ")));
        }
    }
    errors
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.key;
        let mut values = self.values.clone();
        values.sort();
        let values = values.join(",");
        match self.operator {
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
        }
    }
}

/// All requirements must be met; none at all is met by everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// The selector that everything meets.
    #[must_use]
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// The selector that nothing meets.
    #[must_use]
    pub fn nothing() -> LabelSelector {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// The selector of these requirements, ordered by key.
    #[must_use]
    pub fn new(mut requirements: Vec<Requirement>) -> LabelSelector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        LabelSelector { requirements, nothing: false }
    }

    /// The selector of a plain map, as Services and ReplicationControllers have it. Not checked.
    #[must_use]
    pub fn from_map(map: &Map<String, Value>) -> LabelSelector {
        let requirement = |(key, value): (&String, &Value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        };
        LabelSelector::new(map.iter().map(requirement).collect())
    }

    /// Reads the form of query strings: `a=b,c in (d,e),!f`.
    ///
    /// # Errors
    /// In Kubernetes' words, if it cannot be read.
    pub fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
        super::parse::parse(text).map(LabelSelector::new)
    }

    /// The requirements, ordered by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether everything meets it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether the labels meet it.
    #[must_use]
    pub fn matches(&self, labels: &impl Labels) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether the object's labels meet it.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(&crate::meta::labels(object))
    }

    /// The one value that the label must have.
    #[must_use]
    pub fn requires(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl std::fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<LabelSelector, SelectorError> {
        LabelSelector::parse(text)
    }
}
