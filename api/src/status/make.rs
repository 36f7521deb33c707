//! The constructors of Status, with Kubernetes' exact wording.

use std::borrow::Cow;
use std::fmt::Display;

use super::{Details, Status, causes, reason};
use crate::field::{self, ErrorList};

/// `pods` or `deployments.apps`: a name with its group.
fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

fn details(group: &str, kind: &str, name: &str) -> Option<Box<Details>> {
    Some(Box::new(Details {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: kind.to_owned(),
        ..Details::default()
    }))
}

impl Status {
    /// A failure with code, reason and message, without details.
    #[must_use]
    pub fn failure(code: u16, reason: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Status {
        Status {
            kind: super::status_kind(),
            api_version: super::status_version(),
            metadata: serde_json::Map::new(),
            status: Cow::Borrowed("Failure"),
            message: message.into(),
            reason: reason.into(),
            details: None,
            code,
        }
    }

    /// A success; `code` 0 leaves it out, as the answer to a delete does.
    #[must_use]
    pub fn success(code: u16, details: Option<Details>) -> Status {
        Status { status: Cow::Borrowed("Success"), details: details.map(Box::new), ..Status::failure(code, "", "") }
    }

    /// No object of that name. `resource` is the plural.
    #[must_use]
    pub fn not_found(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" not found", qualified(resource, group));
        Status { details: details(group, resource, name), ..Status::failure(404, reason::NOT_FOUND, message) }
    }

    /// A create of a name that is taken.
    #[must_use]
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" already exists", qualified(resource, group));
        Status { details: details(group, resource, name), ..Status::failure(409, reason::ALREADY_EXISTS, message) }
    }

    /// A create whose name is taken although the server might have chosen it.
    #[must_use]
    pub fn no_unique_name(group: &str, resource: &str, name: &str) -> Status {
        let taken = Status::already_exists(group, resource, name);
        let why = "the server was not able to generate a unique name for the object";
        let message = format!("{}, {why}", taken.message);
        taken.with_message(message).with_retry_after(1)
    }

    /// A write that cannot be done on the object as it now is; `why` follows a colon.
    #[must_use]
    pub fn conflict_because(group: &str, resource: &str, name: &str, why: impl Display) -> Status {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(resource, group));
        Status { details: details(group, resource, name), ..Status::failure(409, reason::CONFLICT, message) }
    }

    /// A write that carries an old resourceVersion.
    #[must_use]
    pub fn conflict(group: &str, resource: &str, name: &str) -> Status {
        const WHY: &str = "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict_because(group, resource, name, WHY)
    }

    /// Not allowed. With an empty resource the message starts at `forbidden:`.
    #[must_use]
    pub fn forbidden(group: &str, resource: &str, name: &str, why: impl Display) -> Status {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(resource, group)),
            _ => format!("{} \"{name}\" is forbidden: {why}", qualified(resource, group)),
        };
        Status { details: details(group, resource, name), ..Status::failure(403, reason::FORBIDDEN, message) }
    }

    /// An object that fails validation; names the kind, not the resource.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, errors: ErrorList) -> Status {
        let mut message = format!("{} \"{name}\" is invalid", qualified(kind, group));
        if !errors.is_empty() {
            message.push_str(": ");
            message.push_str(&field::aggregate(&errors));
        }
        let mut status =
            Status { details: details(group, kind, name), ..Status::failure(422, reason::INVALID, message) };
        status.details.get_or_insert_default().causes = causes(&errors);
        status
    }

    /// A request that makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Status {
        Status::failure(400, reason::BAD_REQUEST, message)
    }

    /// No or wrong credentials.
    #[must_use]
    pub fn unauthorized() -> Status {
        Status::failure(401, reason::UNAUTHORIZED, "Unauthorized")
    }

    /// The revision asked for is gone.
    #[must_use]
    pub fn expired(message: impl Into<Cow<'static, str>>) -> Status {
        Status::failure(410, reason::EXPIRED, message)
    }

    /// A resource that is gone for good.
    #[must_use]
    pub fn gone(message: impl Into<Cow<'static, str>>) -> Status {
        Status::failure(410, reason::GONE, message)
    }

    /// Come back after `seconds`.
    #[must_use]
    pub fn too_many_requests(message: impl Into<Cow<'static, str>>, seconds: i32) -> Status {
        Status::failure(429, reason::TOO_MANY_REQUESTS, message).with_retry_after(seconds)
    }

    /// A fault of the server's own.
    #[must_use]
    pub fn internal(why: impl Display) -> Status {
        let why = why.to_string();
        Status::failure(500, reason::INTERNAL_ERROR, format!("Internal error occurred: {why}")).with_cause("", &why, "")
    }

    /// A plain error without a reason, which Kubernetes answers with code 500 and the bare text.
    #[must_use]
    pub fn plain(message: impl Into<Cow<'static, str>>) -> Status {
        Status::failure(500, "", message)
    }

    /// The verb is not offered by this resource.
    #[must_use]
    pub fn method_not_supported(group: &str, resource: &str, verb: &str) -> Status {
        let message = format!("{verb} is not supported on resources of kind \"{}\"", qualified(resource, group));
        Status { details: details(group, resource, ""), ..Status::failure(405, reason::METHOD_NOT_ALLOWED, message) }
    }

    /// The generic 405 of a path that exists but not for this method.
    #[must_use]
    pub fn method_not_allowed() -> Status {
        const TEXT: &str = "the server does not allow this method on the requested resource";
        Status::failure(405, reason::METHOD_NOT_ALLOWED, TEXT).with_empty_details()
    }

    /// The generic 404 of a path that is not served.
    #[must_use]
    pub fn path_not_found() -> Status {
        Status::failure(404, reason::NOT_FOUND, "the server could not find the requested resource").with_empty_details()
    }

    /// The generic 422 (a patch whose `test` fails).
    #[must_use]
    pub fn unprocessable() -> Status {
        const TEXT: &str = "the server rejected our request due to an error in our request";
        Status::failure(422, reason::INVALID, TEXT).with_empty_details()
    }

    /// A body in a media type that is not read here.
    #[must_use]
    pub fn unsupported_media_type(accepted: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Status::failure(415, reason::UNSUPPORTED_MEDIA_TYPE, message)
    }

    /// No representation that the client accepts.
    #[must_use]
    pub fn not_acceptable(offered: &[&str]) -> Status {
        let message = format!("only the following media types are accepted: {}", offered.join(", "));
        Status::failure(406, reason::NOT_ACCEPTABLE, message)
    }

    /// The time for the request is over; `seconds` 0 leaves the hint out.
    #[must_use]
    pub fn timeout(why: impl Display, seconds: i32) -> Status {
        Status::failure(504, reason::TIMEOUT, format!("Timeout: {why}")).with_retry_after(seconds)
    }

    /// The operation did not get done in time and should be tried again.
    #[must_use]
    pub fn server_timeout(group: &str, resource: &str, operation: &str, seconds: i32) -> Status {
        let message = format!(
            "The {operation} operation against {} could not be completed at this time, please try again.",
            qualified(resource, group)
        );
        Status { details: details(group, resource, ""), ..Status::failure(500, reason::SERVER_TIMEOUT, message) }
            .with_retry_after(seconds)
    }

    /// Not able to answer now.
    #[must_use]
    pub fn service_unavailable(message: impl Into<Cow<'static, str>>) -> Status {
        Status::failure(503, reason::SERVICE_UNAVAILABLE, message)
    }

    /// A body over the limit.
    #[must_use]
    pub fn request_too_large(why: impl Display) -> Status {
        Status::failure(413, reason::REQUEST_ENTITY_TOO_LARGE, format!("Request entity too large: {why}"))
    }

    /// A revision in the future.
    #[must_use]
    pub fn resource_version_too_large(asked: u64, current: u64, seconds: i32) -> Status {
        Status::timeout(format!("Too large resource version: {asked}, current: {current}"), seconds).with_cause(
            "ResourceVersionTooLarge",
            "Too large resource version",
            "",
        )
    }
}
