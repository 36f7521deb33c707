//! Which of several errors in an object the decoder reports.

use crate::json::{MOST_TOLD, places};

/// An error in an object.
#[derive(Debug, Clone, PartialEq)]
struct Fault {
    text: String,
    /// Of the key that it is at; 0 if another is known to come before it.
    mark: u64,
}

/// The errors in an object, in the order of the names of its fields, and a hundred at the most.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    told: Vec<Fault>,
    /// Whether they are of types that read their JSON themselves, which end all reading: the first of them is told
    /// instead of all that was wrong before.
    ended: bool,
    /// Where the last of them is.
    last: String,
}

impl Faults {
    /// Whether one more error is heeded. A hostile object has millions.
    pub(super) fn heed(&self, ends: bool) -> bool {
        if ends == self.ended { self.told.len() < MOST_TOLD } else { ends }
    }

    pub(super) fn add(&mut self, text: String, path: &str, ends: bool) {
        if !self.heed(ends) {
            return;
        }
        if ends && !self.ended {
            *self = Self { ended: true, ..Self::default() };
        }
        // An item has the mark of its list, which is before all that is wrong with the items before it.
        let item = path.rfind('[').filter(|_| path.ends_with(']'));
        let follows = item.is_some_and(|at| self.last.starts_with(&path[..=at]));
        self.told.push(Fault { text, mark: if follows { 0 } else { places::mark(path) } });
        path.clone_into(&mut self.last);
    }

    /// The error that is reported of an object whose fields came in the order of their names.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.told.first().map(|fault| fault.text.as_str())
    }

    /// The error that is reported of an object that was read from this JSON.
    #[must_use]
    pub fn first_in(&self, json: &[u8]) -> Option<String> {
        let several = self.told.len() > 1;
        let place = if several { places::first(json, self.told.iter().map(|fault| fault.mark)) } else { None };
        self.told.get(place.unwrap_or(0)).map(|fault| as_written(json, &fault.text))
    }
}

/// An error with its number as the text has it: Go shows what it has read.
fn as_written(json: &[u8], error: &str) -> String {
    const NUMBER: &str = "json: cannot unmarshal number ";
    let told = error.strip_prefix(NUMBER).and_then(|rest| rest.split_once(" into "));
    let written = told.filter(|(number, _)| number.contains(['.', 'e'])).and_then(|(number, wanted)| {
        let written = places::as_written(json, number.parse().ok()?)?;
        Some(format!("{NUMBER}{written} into {wanted}"))
    });
    written.unwrap_or_else(|| error.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::decode::strict;
    use crate::json;
    use crate::types::type_of;

    fn reported(kind: &str, text: &str) -> String {
        let value = json::parse(text.as_bytes()).unwrap();
        strict(type_of("", "v1", kind).unwrap(), &value).errors.first_in(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_first_of_the_text_is_told() {
        let text = r#"{"metadata": {"name": 5}, "data": {"a": 6}}"#;
        assert!(reported("ConfigMap", text).contains("ObjectMeta.metadata.name"));
        let text = r#"{"data": {"a": 6}, "metadata": {"name": 5}}"#;
        assert!(reported("ConfigMap", text).contains("ConfigMap.data"));
        let text = r#"{"spec": {"hostPID": 1, "containers": ["x"], "hostIPC": 2}}"#;
        assert!(reported("Pod", text).contains("PodSpec.spec.hostPID"));
        let text = r#"{"spec": {"containers": [{"name": 1}, "x"], "hostIPC": 2}}"#;
        assert!(reported("Pod", text).contains("Container.spec.containers.name"));
        let text = r#"{"spec": {"containers": ["x", {"name": 1}], "hostIPC": 2}}"#;
        assert!(reported("Pod", text).ends_with("of type v1.Container"));
    }

    #[test]
    fn what_ends_the_reading_is_told_before_all() {
        let text = r#"{"metadata": {"name": 5, "creationTimestamp": "x"}, "spec": {"overhead": {"cpu": "y"}}}"#;
        assert!(reported("Pod", text).starts_with("parsing time \"x\""));
        let value = json::parse(text.as_bytes()).unwrap();
        let errors = strict(type_of("", "v1", "Pod").unwrap(), &value).errors;
        assert!(errors.first().unwrap().starts_with("parsing time \"x\""));
    }

    #[test]
    fn of_a_million_errors_a_hundred_are_kept() {
        let wrong = vec!["1"; 1_000_000].join(",");
        let text = format!(r#"{{"metadata": {{"finalizers": [{wrong}], "creationTimestamp": "x"}}}}"#);
        let value = json::parse(text.as_bytes()).unwrap();
        let found = strict(type_of("", "v1", "Pod").unwrap(), &value);
        assert_eq!(found.errors.first(), found.errors.first_in(text.as_bytes()).as_deref());
        assert!(found.errors.first().unwrap().starts_with("parsing time \"x\""));
        assert_eq!((found.errors.told.len(), found.conversions.len()), (1, 100));
        let value = json::parse(format!(r#"{{"metadata": {{"finalizers": [{wrong}]}}}}"#).as_bytes()).unwrap();
        assert_eq!(strict(type_of("", "v1", "Pod").unwrap(), &value).errors.told.len(), 100);
    }

    #[test]
    fn numbers_are_shown_as_they_are_written() {
        for number in ["99999999999999999999", "1e3", "1.50", "5"] {
            let text = format!(r#"{{"metadata": {{"name": "1e3 \" 1.50", "generation": {number}, "uid": 5}}}}"#);
            let shown = if number == "5" { "number".to_owned() } else { format!("number {number}") };
            assert!(reported("Pod", &text).starts_with(&format!("json: cannot unmarshal {shown} into")), "{number}");
        }
    }
}
