//! From the wire's types to ours.

use std::collections::HashMap;

use jiff::Timestamp;
use mainstay_proto::cri as wire;
use tonic::Code;

use crate::runtime::{
    ANNOTATION_HASH, ANNOTATION_RESTARTS, Census, Container, LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE,
    LABEL_POD_UID, PodId, RuntimeError, Sandbox, State,
};

pub(super) fn by_uid(uid: &str) -> HashMap<String, String> {
    HashMap::from([(LABEL_POD_UID.to_owned(), uid.to_owned())])
}

pub(super) fn image_spec(image: &str) -> wire::ImageSpec {
    wire::ImageSpec { image: image.to_owned(), user_specified_image: image.to_owned(), ..Default::default() }
}

pub(super) fn trouble(condition: &wire::RuntimeCondition) -> String {
    format!("{} not ready: {}: {}", condition.r#type, condition.reason, condition.message)
}

/// A failed call in our words; a broken connection is told from an answer.
pub(super) fn error(status: &tonic::Status) -> RuntimeError {
    let message = status.message().to_owned();
    match status.code() {
        Code::NotFound => RuntimeError::NotFound(message),
        Code::Unavailable => RuntimeError::Down(message),
        _ if std::error::Error::source(status).is_some() => RuntimeError::Down(message),
        code => RuntimeError::Failed { code: code_name(code), message },
    }
}

/// As Go prints them, for Kubernetes' event texts carry them.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
        Code::NotFound | Code::Unavailable | Code::Unknown => "Unknown",
    }
}

fn time(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0).then(|| Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()).flatten()
}

pub(super) fn sandbox(status: wire::PodSandboxStatus) -> Sandbox {
    let ready = status.state() == wire::PodSandboxState::SandboxReady;
    let network = status.network.unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|ip| ip.ip);
    Sandbox {
        id: status.id,
        attempt: status.metadata.map_or(0, |m| m.attempt),
        ready,
        created_at: time(status.created_at).unwrap_or_default(),
        ips: std::iter::once(network.ip).chain(more).filter(|ip| !ip.is_empty()).collect(),
    }
}

pub(super) fn container(status: wire::ContainerStatus, sandbox_id: String) -> Container {
    let state = match status.state() {
        wire::ContainerState::ContainerCreated => State::Created,
        wire::ContainerState::ContainerRunning => State::Running,
        wire::ContainerState::ContainerExited => State::Exited,
        wire::ContainerState::ContainerUnknown => State::Unknown,
    };
    let metadata = status.metadata.unwrap_or_default();
    let restarts = status.annotations.get(ANNOTATION_RESTARTS).and_then(|n| n.parse().ok());
    Container {
        name: status.labels.get(LABEL_CONTAINER_NAME).cloned().unwrap_or(metadata.name),
        attempt: restarts.unwrap_or(metadata.attempt),
        hash: status.annotations.get(ANNOTATION_HASH).cloned().unwrap_or_default(),
        id: status.id,
        sandbox_id,
        state,
        created_at: time(status.created_at).unwrap_or_default(),
        started_at: time(status.started_at),
        finished_at: time(status.finished_at),
        exit_code: status.exit_code,
        reason: status.reason,
        message: status.message,
        image: status.image.unwrap_or_default().image,
        image_id: status.image_ref,
        log_path: status.log_path,
    }
}

fn pod_id(labels: &HashMap<String, String>) -> Option<PodId> {
    let label = |key: &str| labels.get(key).cloned();
    Some(PodId { uid: label(LABEL_POD_UID)?, namespace: label(LABEL_POD_NAMESPACE)?, name: label(LABEL_POD_NAME)? })
}

pub(super) fn census(sandboxes: Vec<wire::PodSandbox>, containers: Vec<wire::Container>) -> Census {
    let sandboxes = sandboxes.into_iter().map(|s| (s.labels, s.id, s.state));
    let containers = containers.into_iter().map(|c| (c.labels, c.id, c.state + 10));
    let mut census = Census::new();
    for (labels, id, state) in sandboxes.chain(containers) {
        if let Some(pod) = pod_id(&labels) {
            census.entry(pod).or_default().push((id, state));
        }
    }
    census.values_mut().for_each(|seen| seen.sort());
    census
}
