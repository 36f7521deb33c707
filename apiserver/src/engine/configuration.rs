//! What a client applies.

use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::yaml::{self, Duplicates, YamlError};
use serde_json::Value;

use super::expected::Expected;
use super::options::FieldValidation;
use super::{Call, Engine, Target, WriteOptions};

/// A configuration as the client sent it: YAML, which is not defaulted.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub(super) value: Value,
    /// Keys that are there twice, if the client wants to know.
    repeated: Option<YamlError>,
    /// Such keys are an error.
    strict: bool,
}

impl Configuration {
    fn new(text: &str, value: Value, validation: FieldValidation) -> Self {
        let repeated = match validation {
            FieldValidation::Ignore => None,
            _ => yaml::parse(text, Duplicates::Refuse).err(),
        };
        let repeated = repeated.filter(|error| matches!(error, YamlError::Duplicate { .. }));
        Self { value, repeated, strict: validation == FieldValidation::Strict }
    }

    /// Tells of keys that are there twice. This comes when the configuration has been applied: of what is refused there,
    /// such as a conflict, the client hears alone.
    ///
    /// # Errors
    /// 400 if the client wants fields to be validated strictly.
    pub(super) fn complain(&self, call: &mut Call) -> ApiResult<()> {
        let Some(error) = &self.repeated else { return Ok(()) };
        if self.strict {
            return Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {error}"
            )));
        }
        // The first line says only that there is something.
        error.to_string().lines().skip(1).for_each(|line| call.warn(line.trim()));
        Ok(())
    }
}

impl Engine {
    /// Reads the body of an apply.
    ///
    /// # Errors
    /// 400 for what does not parse or is of another kind. What the kind does not declare is refused where the
    /// configuration is applied.
    pub(crate) fn read_applied(
        &self,
        target: &Target,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> ApiResult<Configuration> {
        let text = String::from_utf8_lossy(bytes);
        let value = yaml::parse(&text, Duplicates::LastWins).map_err(|error| {
            Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}"))
        })?;
        if !value.is_object() && !value.is_null() {
            let kind = mainstay_api::json::type_name(&value);
            return Err(Status::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )));
        }
        let expected = Expected::of(target);
        let (version, kind) = (meta::api_version(&value), meta::kind(&value));
        if version != expected.api_version() || kind != expected.kind {
            let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
            return Err(Status::bad_request(format!("invalid object type: {version}, Kind={kind}")));
        }
        Ok(Configuration::new(&text, value, options.field_validation))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::user::UserInfo;

    const TWICE: &str = "data:\n  k: a\n  k: b\n";

    fn complaint(text: &str, validation: FieldValidation) -> (ApiResult<()>, Vec<String>) {
        let mut call = Call::new(UserInfo::default(), "", None);
        let config = Configuration::new(text, json!({}), validation);
        assert!(call.warnings.is_empty(), "it waits until it is asked");
        let complained = config.complain(&mut call);
        (complained, call.warnings)
    }

    #[test]
    fn a_key_that_is_there_twice_is_told_as_the_client_wants() {
        assert_eq!(complaint(TWICE, FieldValidation::Ignore), (Ok(()), Vec::new()));
        let line = "line 3: key \"k\" already set in map";
        assert_eq!(complaint(TWICE, FieldValidation::Warn), (Ok(()), vec![line.to_owned()]));
        let (refused, warnings) = complaint(TWICE, FieldValidation::Strict);
        assert_eq!(
            refused.unwrap_err().message,
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  \
             line 3: key \"k\" already set in map"
        );
        assert!(warnings.is_empty());
        assert_eq!(complaint("data:\n  k: a\n", FieldValidation::Strict), (Ok(()), Vec::new()));
    }
}
