//! What a call can fail with. Callers branch on the accessors, never on message texts.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use mainstay_proto::STATUS_TRAILER;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused; the Kubernetes `Status` says why.
    #[error("{}", .0.message.as_deref().unwrap_or("the API server refused without a message"))]
    Api(Box<Status>),
    /// No master could be reached; the call was surely not carried out.
    #[error("no master answers: {0}")]
    Unavailable(String),
    /// The connection broke after a write was sent: it may or may not have happened.
    #[error("the connection broke and the outcome of the write is unknown: {0}")]
    Uncertain(String),
    /// No answer within this time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// An object could not be read or written as its type.
    #[error("cannot decode {what}: {source}")]
    Codec {
        /// What was being converted.
        what: &'static str,
        /// The JSON error.
        source: serde_json::Error,
    },
    /// The client is set up wrongly; the text says what to change.
    #[error("{0}")]
    Config(String),
    /// The client or the server was shut down.
    #[error("shut down")]
    Shutdown,
}

impl Error {
    /// The HTTP code of the server's answer; 0 if there was none.
    pub fn code(&self) -> i32 {
        match self {
            Error::Api(status) => status.code.unwrap_or(0),
            _ => 0,
        }
    }

    /// The `reason` word of the server's answer; empty if there was none.
    pub fn reason(&self) -> &str {
        match self {
            Error::Api(status) => status.reason.as_deref().unwrap_or(""),
            _ => "",
        }
    }

    /// The server's whole answer, if there was one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Error::Api(status) => Some(status),
            _ => None,
        }
    }

    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// The name is taken.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// The object changed meanwhile, or the term guard failed.
    pub fn is_conflict(&self) -> bool {
        self.code() == 409 && !self.is_already_exists()
    }

    /// The watch or the list's continuation is too old: list again.
    pub fn is_expired(&self) -> bool {
        self.code() == 410
    }

    /// The namespace is being deleted, so nothing can be made in it.
    pub fn is_namespace_terminating(&self) -> bool {
        let causes = self.status().and_then(|s| s.details.as_ref()?.causes.as_ref());
        causes.is_some_and(|all| all.iter().any(|c| c.reason.as_deref() == Some("NamespaceTerminating")))
    }

    /// How long the server asks to wait before trying again; it then did nothing of what was asked.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.status()?.details.as_ref()?.retry_after_seconds?;
        u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs)
    }

    pub(crate) fn codec(what: &'static str) -> impl FnOnce(serde_json::Error) -> Error {
        move |source| Error::Codec { what, source }
    }
}

/// What became of a call, as far as the answer tells.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server answered.
    Refused(Error),
    /// The server did nothing and asks to come again.
    Later(Error),
    /// No connection was there to send on.
    NotSent(String),
    /// The connection broke on the way.
    Broken(String),
}

/// Sorts a failed call into what may be done about it.
pub(crate) fn classify(failure: &tonic::Status) -> Outcome {
    if let Some(status) = status_of(failure) {
        return from_status(status);
    }
    if failed_to_connect(failure) {
        return Outcome::NotSent(root_cause(failure));
    }
    match failure.code() {
        tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown | tonic::Code::Internal => {
            Outcome::Broken(root_cause(failure))
        }
        _ => Outcome::Refused(Error::Api(Box::new(invented(failure)))),
    }
}

fn from_status(status: Status) -> Outcome {
    let error = Error::Api(Box::new(status));
    match error.retry_after() {
        Some(_) if error.code() == 503 => Outcome::Later(error),
        _ => Outcome::Refused(error),
    }
}

fn status_of(failure: &tonic::Status) -> Option<Status> {
    let bytes = failure.metadata().get_bin(STATUS_TRAILER)?.to_bytes().ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Only tonic's own connect error proves that nothing was sent.
fn failed_to_connect(failure: &tonic::Status) -> bool {
    let mut next = std::error::Error::source(failure);
    while let Some(error) = next {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn root_cause(failure: &tonic::Status) -> String {
    let mut text = failure.message().to_owned();
    let mut next = std::error::Error::source(failure);
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}

/// A status for servers that speak gRPC but not our trailer (a proxy, for instance).
fn invented(failure: &tonic::Status) -> Status {
    use tonic::Code;
    let (code, reason) = match failure.code() {
        Code::NotFound => (404, "NotFound"),
        Code::AlreadyExists => (409, "AlreadyExists"),
        Code::Aborted => (409, "Conflict"),
        Code::PermissionDenied => (403, "Forbidden"),
        Code::Unauthenticated => (401, "Unauthorized"),
        Code::InvalidArgument => (400, "BadRequest"),
        Code::OutOfRange => (410, "Expired"),
        Code::ResourceExhausted => (429, "TooManyRequests"),
        Code::DeadlineExceeded => (504, "Timeout"),
        Code::Unimplemented => (405, "MethodNotAllowed"),
        _ => (500, "InternalError"),
    };
    Status {
        status: Some("Failure".into()),
        code: Some(code),
        reason: Some(reason.into()),
        message: Some(failure.message().to_owned()),
        ..Status::default()
    }
}
