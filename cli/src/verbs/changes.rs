//! The labels and annotations that words on the command line set and remove: `a=b c-`.

use anyhow::{Result, bail};
use serde_json::{Map, Value};

const CAUSE: &str = "kubernetes.io/change-cause";

/// What the words are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `metadata.labels`
    Labels,
    /// `metadata.annotations`
    Annotations,
}

/// What is to be set, and the keys of what is to be removed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    set: Vec<(String, String)>,
    pub(super) removed: Vec<String>,
}

impl Field {
    /// The member of the metadata.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Annotations => "annotations",
        }
    }

    /// What one is called.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Labels => "label",
            Self::Annotations => "annotation",
        }
    }

    /// Who owns what is set.
    pub(super) fn manager(self) -> &'static str {
        match self {
            Self::Labels => "mainstay-label",
            Self::Annotations => "mainstay-annotate",
        }
    }

    /// What has been done to an object. As with kubectl, with `overwrite` nothing counts as removed.
    pub(super) fn done(self, before: &Map<String, Value>, after: &Map<String, Value>, overwrite: bool) -> &'static str {
        let length = |members: &Map<String, Value>| Value::from(members.clone()).to_string().len();
        match self {
            Self::Annotations => "annotated",
            Self::Labels if before == after => "not labeled",
            Self::Labels if !overwrite && length(after) < length(before) => "unlabeled",
            Self::Labels => "labeled",
        }
    }
}

impl Changes {
    /// The words before the first change, and the changes.
    pub(super) fn parse(words: &[String], field: Field) -> Result<(Vec<String>, Self)> {
        let end = words.iter().position(|word| is_change(word)).unwrap_or(words.len());
        let mut changes = Self::default();
        for word in &words[end..] {
            if !is_change(word) {
                bail!("all resources must be specified before {} changes: {word}", field.word());
            }
            match word.split_once('=') {
                Some((_, value)) if field == Field::Labels && value.contains('=') => {
                    bail!("invalid label spec: {word}")
                }
                Some((key, value)) => changes.set.push((key.to_owned(), value.to_owned())),
                None => changes.removed.push(word.strip_suffix('-').unwrap_or(word).to_owned()),
            }
        }
        let both =
            changes.set.iter().map(|(key, _)| key.as_str()).filter(|key| changes.removed.iter().any(|r| r == key));
        match (field, both.collect::<Vec<_>>().as_slice()) {
            (_, []) => {}
            (Field::Labels, _) => bail!("can not both modify and remove a label in the same command"),
            (Field::Annotations, keys) => bail!(
                "can not both modify and remove the following annotation(s) in the same command: {}",
                keys.join(", ")
            ),
        }
        Ok((words[..end].to_vec(), changes))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    /// Refuses to replace a value by another.
    pub(super) fn check(&self, now: &Map<String, Value>, field: Field) -> Result<()> {
        let mut taken = Vec::new();
        for (key, value) in &self.set {
            let free = field == Field::Annotations && key == CAUSE;
            if let Some(known) = now.get(key).and_then(Value::as_str).filter(|known| known != value && !free) {
                taken.push(format!("'{key}' already has a value ({known})"));
            }
        }
        match (field, taken.as_slice()) {
            (_, []) => Ok(()),
            (Field::Labels, [one]) => bail!("{one}, and --overwrite is false"),
            (Field::Labels, many) => bail!("[{}, and --overwrite is false]", many.join(", and --overwrite is false, ")),
            (Field::Annotations, many) => {
                bail!("--overwrite is false but found the following declared annotation(s): {}", many.join("; "))
            }
        }
    }

    /// What is there when all is done.
    pub(super) fn applied(&self, now: &Map<String, Value>) -> Map<String, Value> {
        let mut members = now.clone();
        members.extend(self.set.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))));
        members.retain(|key, _| !self.removed.contains(key));
        members
    }

    /// The merge patch that does it.
    pub(super) fn patch(&self) -> Map<String, Value> {
        let set = self.set.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        set.chain(self.removed.iter().map(|key| (key.clone(), Value::Null))).collect()
    }
}

fn is_change(word: &str) -> bool {
    word.find('=').is_some_and(|at| at > 0) || (word.ends_with('-') && word != "-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(words: &str, field: Field) -> Result<(Vec<String>, Changes)> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Changes::parse(&words, field)
    }

    fn now(members: &Value) -> Map<String, Value> {
        members.as_object().unwrap().clone()
    }

    #[test]
    fn changes_follow_what_they_are_of() {
        let (what, changes) = parsed("pod a x=1 y-", Field::Labels).unwrap();
        assert_eq!(what, ["pod", "a"]);
        assert_eq!(Value::from(changes.patch()), json!({"x": "1", "y": null}));
        let told = |words: &str| parsed(words, Field::Labels).unwrap_err().to_string();
        assert_eq!(told("pod x=1 a"), "all resources must be specified before label changes: a");
        assert_eq!(told("pod a x=1=2"), "invalid label spec: x=1=2");
        assert_eq!(told("pod a x=1 x-"), "can not both modify and remove a label in the same command");
        assert!(parsed("pod a x=1=2", Field::Annotations).is_ok());
        let told = parsed("pod a x=1 y=2 x- y-", Field::Annotations).unwrap_err().to_string();
        assert_eq!(told, "can not both modify and remove the following annotation(s) in the same command: x, y");
    }

    #[test]
    fn values_are_replaced_only_when_asked_for() {
        let (_, changes) = parsed("pod a x=2 kubernetes.io/change-cause=b", Field::Annotations).unwrap();
        let taken = now(&json!({"x": "1", "kubernetes.io/change-cause": "a"}));
        let told = changes.check(&taken, Field::Annotations).unwrap_err().to_string();
        assert_eq!(
            told,
            "--overwrite is false but found the following declared annotation(s): 'x' already has a value (1)"
        );
        let (_, changes) = parsed("pod a x=2", Field::Labels).unwrap();
        let told = changes.check(&taken, Field::Labels).unwrap_err().to_string();
        assert_eq!(told, "'x' already has a value (1), and --overwrite is false");
        assert!(changes.check(&now(&json!({"x": "2"})), Field::Labels).is_ok());
    }

    #[test]
    fn what_was_done_is_told() {
        let before = now(&json!({"x": "1"}));
        let done = |words: &str, overwrite: bool| {
            let (_, changes) = parsed(words, Field::Labels).unwrap();
            Field::Labels.done(&before, &changes.applied(&before), overwrite)
        };
        assert_eq!(done("pod a x=1", false), "not labeled");
        assert_eq!(done("pod a y=1", false), "labeled");
        assert_eq!(done("pod a x-", false), "unlabeled");
        assert_eq!(done("pod a x-", true), "labeled");
    }
}
