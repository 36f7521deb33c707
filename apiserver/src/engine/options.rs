//! Options of writes, and their validation in Kubernetes' words.

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Value, json};

/// Options that a client has sent, as they say them.
///
/// # Errors
/// 400 in Go's words if they are no JSON.
pub(crate) fn parse(bytes: &[u8]) -> ApiResult<Value> {
    mainstay_api::json::parse(bytes).map_err(Status::bad_request)
}

/// What becomes of unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped silently.
    Ignore,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// Options that all writes share.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Everything but storing is done.
    pub dry_run: bool,
    /// Who owns the fields; empty: taken from the user agent.
    pub field_manager: String,
    /// What becomes of unknown fields.
    pub field_validation: FieldValidation,
    /// `fieldValidation` as the client has said it, which webhooks are told.
    pub told_validation: String,
    /// Apply takes fields from other managers.
    pub force: Option<bool>,
    /// The object's managed fields are set already, by apply.
    pub owned: bool,
    /// A change makes the object, as there is none.
    pub upsert: bool,
}

/// The options as they came, before validation.
#[derive(Clone, Debug, Default)]
pub struct RawOptions {
    /// All values of `dryRun`.
    pub dry_run: Vec<String>,
    /// `fieldManager`.
    pub field_manager: String,
    /// `fieldValidation`.
    pub field_validation: String,
    /// `force`.
    pub force: Option<bool>,
}

impl RawOptions {
    /// Checks the options of `kind` (`CreateOptions`, `UpdateOptions`, `PatchOptions`); `apply` is a patch of that type.
    ///
    /// # Errors
    /// 422 naming the options object.
    pub fn validate(self, kind: &str, apply: bool) -> ApiResult<WriteOptions> {
        let mut errors = ErrorList::new();
        if kind == "PatchOptions" {
            self.check_patch(apply, &mut errors);
        }
        errors.extend(meta::validate_field_manager(&self.field_manager, &Path::new("fieldManager")));
        check_dry_run(&self.dry_run, &mut errors);
        let field_validation = parse_validation(&self.field_validation, &mut errors);
        finish(kind, errors)?;
        Ok(WriteOptions {
            dry_run: !self.dry_run.is_empty(),
            field_manager: self.field_manager,
            field_validation,
            told_validation: self.field_validation,
            force: self.force,
            owned: false,
            upsert: false,
        })
    }

    fn check_patch(&self, apply: bool, errors: &mut ErrorList) {
        if !apply && self.force.is_some() {
            errors.push(Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        if apply && self.field_manager.is_empty() {
            errors.push(Error::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
    }
}

/// Refuses with all errors if there are any.
pub(crate) fn finish(kind: &str, errors: ErrorList) -> ApiResult<()> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", errors)) }
}

/// `dryRun` is `All` or nothing.
pub(crate) fn check_dry_run(values: &[String], errors: &mut ErrorList) {
    if values.iter().any(|value| value != "All") {
        errors.push(Error::not_supported(&Path::new("dryRun"), json!(values), &["All"]));
    }
}

fn parse_validation(text: &str, errors: &mut ErrorList) -> FieldValidation {
    match text {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            errors.push(Error::not_supported(
                &Path::new("fieldValidation"),
                Value::from(other),
                &["", "Ignore", "Strict", "Warn"],
            ));
            FieldValidation::Warn
        }
    }
}

/// The manager of a write: the named one, or the first word of the user agent.
pub fn manager(options: &WriteOptions, user_agent: &str) -> String {
    if options.field_manager.is_empty() {
        meta::manager_of_user_agent(user_agent)
    } else {
        options.field_manager.clone()
    }
}

/// `DeleteOptions`, validated.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Everything but deleting is done.
    pub dry_run: bool,
    /// Seconds until a graceful deletion completes.
    pub grace: Option<i64>,
    /// Foreground, background or orphan.
    pub propagation: Option<Propagation>,
    /// Required uid.
    pub uid: Option<String>,
    /// Required revision.
    pub resource_version: Option<String>,
    /// `orphanDependents: false` was asked for: the answer to an unfinished deletion is 202.
    pub not_orphaning: bool,
    /// As they came, for admission.
    pub raw: Value,
    /// What admission is told of the deletion.
    pub told: Told,
}

/// What admission is told of a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Everything.
    #[default]
    Fully,
    /// All but the name, which is not in the request: that is about a collection.
    Unnamed,
    /// Nothing: it has judged what the deletion is part of, an eviction or the end of a definition.
    Nothing,
}

/// What happens to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Dependents first.
    Foreground,
    /// Dependents afterwards.
    Background,
    /// Dependents stay.
    Orphan,
}

impl DeleteOptions {
    /// Reads a `DeleteOptions` object.
    ///
    /// # Errors
    /// 422 for values that are not supported.
    pub fn parse(raw: Value) -> ApiResult<Self> {
        let mut errors = ErrorList::new();
        let dry_run: Vec<String> = raw
            .get("dryRun")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let orphan = raw.get("orphanDependents").and_then(Value::as_bool);
        let policy = raw.get("propagationPolicy").and_then(Value::as_str);
        if orphan.is_some() && policy.is_some() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(Error::invalid(&Path::new("propagationPolicy"), Value::from(policy), detail));
        }
        let propagation = parse_propagation(policy, orphan, &mut errors);
        check_dry_run(&dry_run, &mut errors);
        check_ignore_errors(&raw, &mut errors);
        finish("DeleteOptions", errors)?;
        let precondition =
            |field: &str| raw.pointer(&format!("/preconditions/{field}")).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            // What is negative counts as the shortest time that is any.
            grace: raw.get("gracePeriodSeconds").and_then(Value::as_i64).map(|asked| if asked < 0 { 1 } else { asked }),
            propagation,
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
            not_orphaning: orphan == Some(false),
            raw,
            told: Told::Fully,
        })
    }
}

fn check_ignore_errors(raw: &Value, errors: &mut ErrorList) {
    if raw.get("ignoreStoreReadErrorWithClusterBreakingPotential").and_then(Value::as_bool) != Some(true) {
        return;
    }
    let path = Path::new("ignoreStoreReadErrorWithClusterBreakingPotential");
    let says = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    for field in ["dryRun", "propagationPolicy", "orphanDependents", "gracePeriodSeconds", "preconditions"] {
        if raw.get(field).is_some_and(says) {
            let detail = format!("cannot be set together with .{field}");
            errors.push(Error::invalid(&path, Value::Bool(true), detail));
        }
    }
}

fn parse_propagation(policy: Option<&str>, orphan: Option<bool>, errors: &mut ErrorList) -> Option<Propagation> {
    match (policy, orphan) {
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (Some(other), _) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(Error::not_supported(&Path::new("propagationPolicy"), Value::from(other), &supported));
            None
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(raw: Value) -> String {
        DeleteOptions::parse(raw).unwrap_err().message.into_owned()
    }

    #[test]
    fn breaking_the_cluster_excludes_everything_else() {
        let raw = json!({
            "ignoreStoreReadErrorWithClusterBreakingPotential": true,
            "preconditions": {"uid": "u"}, "gracePeriodSeconds": 1, "propagationPolicy": "Orphan", "dryRun": [],
        });
        let text = refused(raw);
        let order = ["propagationPolicy", "gracePeriodSeconds", "preconditions"].map(|field| text.find(field));
        assert!(order.is_sorted() && order[0].is_some() && !text.contains("dryRun"), "{text}");
    }

    #[test]
    fn a_negative_grace_period_is_a_second() {
        let grace = |seconds: i64| DeleteOptions::parse(json!({"gracePeriodSeconds": seconds})).unwrap().grace;
        assert_eq!((grace(-5), grace(0), grace(9)), (Some(1), Some(0), Some(9)));
    }

    #[test]
    fn managers_have_printable_names() {
        let options = RawOptions { field_manager: "a\nb".to_owned(), ..RawOptions::default() };
        let error = options.validate("CreateOptions", false).unwrap_err();
        assert_eq!(
            error.message,
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)"
        );
    }
}
