//! Paths inside volumes, and the permissions of files there.

use mainstay_api::field::Error;

use super::{At, Errors};

/// A path inside a volume: relative, not upwards, not starting like a data directory.
pub(crate) fn local_path(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    descending_path(at, errors);
    if at.str().starts_with("..") && !at.str().starts_with("../") {
        errors.invalid(at, "must not start with '..'");
    }
}

/// A relative path without a step upwards.
pub(crate) fn descending_path(at: &At<'_>, errors: &mut Errors) {
    if at.str().starts_with('/') {
        errors.invalid(at, "must be a relative path");
    }
    no_backsteps(at, errors);
}

/// No `..` in a path.
pub(crate) fn no_backsteps(at: &At<'_>, errors: &mut Errors) {
    if at.str().split('/').any(|part| part == "..") {
        errors.invalid(at, "must not contain '..'");
    }
}

/// Permission bits.
pub(crate) fn file_mode(at: &At<'_>, errors: &mut Errors) {
    if !at.is_null() && !(0..=0o777).contains(&at.int()) {
        errors.0.push(Error::invalid(
            &at.path,
            at.int(),
            "must be a number between 0 and 0777 (octal), both inclusive",
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(rule: fn(&At<'_>, &mut Errors), value: &Value) -> Vec<String> {
        let mut errors = Errors::default();
        rule(&At::root(value), &mut errors);
        errors.0.into_iter().map(|error| error.detail).collect()
    }

    #[test]
    fn a_path_stays_in_its_volume() {
        assert_eq!(judge(local_path, &json!("a/..b/c")), Vec::<String>::new());
        assert_eq!(judge(local_path, &Value::Null), [""]);
        assert_eq!(judge(local_path, &json!("/a")), ["must be a relative path"]);
        assert_eq!(judge(local_path, &json!("../a")), ["must not contain '..'"]);
        assert_eq!(judge(local_path, &json!("..a")), ["must not start with '..'"]);
        assert_eq!(judge(descending_path, &json!("..a")), Vec::<String>::new());
    }

    #[test]
    fn a_mode_is_of_nine_bits() {
        assert_eq!(judge(file_mode, &Value::Null), Vec::<String>::new());
        assert_eq!(judge(file_mode, &json!(0o777)), Vec::<String>::new());
        assert_eq!(judge(file_mode, &json!(0o1000)).len(), 1);
        assert_eq!(judge(file_mode, &json!(-1)).len(), 1);
    }
}
