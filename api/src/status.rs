//! The Status object: what Kubernetes answers when it has no object to give, and the error type of every layer
//! above the store.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::field::{self, ErrorList};

mod make;

/// A result whose error is what the client will be shown.
pub type ApiResult<T> = Result<T, Status>;

/// The `meta/v1` Status object. Serializes with its fields in Kubernetes' order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    #[serde(default = "status_kind")]
    kind: Cow<'static, str>,
    #[serde(default = "status_version")]
    api_version: Cow<'static, str>,
    /// List metadata; empty in nearly every answer.
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// `Success` or `Failure`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub status: Cow<'static, str>,
    /// The sentence for people.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub message: Cow<'static, str>,
    /// The word for programs, one of the constants of this module; empty if there is none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'static, str>,
    /// Which object, which fields, when to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// The HTTP code; 0 (absent) in some successes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: u16,
}

/// What a Status is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource (plural) in most errors, the kind in `Invalid` ones.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Each single fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which the client may try again; 0 if not said.
    #[serde(skip_serializing_if = "is_zero_i32")]
    pub retry_after_seconds: i32,
}

/// One fault of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// The word for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The sentence for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// The reasons that Kubernetes knows.
pub mod reason {
    /// No credentials, or wrong ones (401).
    pub const UNAUTHORIZED: &str = "Unauthorized";
    /// Not allowed (403).
    pub const FORBIDDEN: &str = "Forbidden";
    /// No such object or path (404).
    pub const NOT_FOUND: &str = "NotFound";
    /// A create met an existing object (409).
    pub const ALREADY_EXISTS: &str = "AlreadyExists";
    /// A write met a newer object (409).
    pub const CONFLICT: &str = "Conflict";
    /// Gone for good (410).
    pub const GONE: &str = "Gone";
    /// The object fails validation (422).
    pub const INVALID: &str = "Invalid";
    /// The operation should be retried (500).
    pub const SERVER_TIMEOUT: &str = "ServerTimeout";
    /// The time for the request is over (504).
    pub const TIMEOUT: &str = "Timeout";
    /// Too many requests (429).
    pub const TOO_MANY_REQUESTS: &str = "TooManyRequests";
    /// The request makes no sense (400).
    pub const BAD_REQUEST: &str = "BadRequest";
    /// The verb is not offered here (405).
    pub const METHOD_NOT_ALLOWED: &str = "MethodNotAllowed";
    /// No representation that the client accepts (406).
    pub const NOT_ACCEPTABLE: &str = "NotAcceptable";
    /// The body is too large (413).
    pub const REQUEST_ENTITY_TOO_LARGE: &str = "RequestEntityTooLarge";
    /// The body is in a form that is not read here (415).
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "UnsupportedMediaType";
    /// A fault of the server (500).
    pub const INTERNAL_ERROR: &str = "InternalError";
    /// The revision asked for has been compacted away (410).
    pub const EXPIRED: &str = "Expired";
    /// The server cannot answer now (503).
    pub const SERVICE_UNAVAILABLE: &str = "ServiceUnavailable";
    /// The disk is full (507).
    pub const STORE_READ_ERROR: &str = "StorageReadError";
}

fn status_kind() -> Cow<'static, str> {
    Cow::Borrowed("Status")
}

fn status_version() -> Cow<'static, str> {
    Cow::Borrowed("v1")
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

fn is_zero_i32(seconds: &i32) -> bool {
    *seconds == 0
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

impl Status {
    /// The HTTP code of the answer.
    #[must_use]
    pub fn code(&self) -> u16 {
        match (self.code, self.is_failure()) {
            (0, true) => 500,
            (0, false) => 200,
            (code, _) => code,
        }
    }

    /// Whether this is an error.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.status != "Success"
    }

    /// Whether `reason` is the reason given.
    #[must_use]
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    /// Seconds after which the client may try again.
    #[must_use]
    pub fn retry_after(&self) -> Option<i32> {
        let seconds = self.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then_some(seconds)
    }

    /// The canonical JSON of the object, as it goes over the wire.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a Status has string keys only and always serializes")
    }

    /// The same as an erased object.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a Status has string keys only and always serializes")
    }

    /// With another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Status {
        self.message = message.into();
        self
    }

    /// With another reason.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Cow<'static, str>>) -> Status {
        self.reason = reason.into();
        self
    }

    /// With the seconds after which the client may try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: i32) -> Status {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// With one more cause.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: &str, field: &str) -> Status {
        self.details.get_or_insert_default().causes.push(Cause {
            reason: reason.to_owned(),
            message: message.to_owned(),
            field: field.to_owned(),
        });
        self
    }

    /// With details that are present but empty, as generic answers of the server have them.
    #[must_use]
    pub fn with_empty_details(mut self) -> Status {
        self.details.get_or_insert_default();
        self
    }
}

impl From<&field::Error> for Cause {
    fn from(error: &field::Error) -> Cause {
        Cause { reason: error.kind.reason().to_owned(), message: error.body(), field: error.field.clone() }
    }
}

/// The causes of a validation failure, one for each error.
pub(crate) fn causes(errors: &ErrorList) -> Vec<Cause> {
    errors.iter().map(Cause::from).collect()
}

#[cfg(test)]
mod tests;
