//! How long certificate requests are kept.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::meta::{created, remaining};

/// After they were answered.
const ANSWERED: Duration = Duration::from_secs(3600);
/// While nobody answers.
const PENDING: Duration = Duration::from_secs(24 * 3600);

/// How long a request is still kept.
pub(super) fn left(request: &CertificateSigningRequest, now: Timestamp) -> Duration {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let answered = |kind: &&&str| **kind != "Approved" || super::is_issued(request);
    let last = ["Approved", "Denied", "Failed"].iter().filter(|kind| answered(kind)).filter_map(|kind| {
        let condition = conditions.iter().find(|condition| condition.type_ == *kind)?;
        condition.last_update_time.clone().or_else(|| condition.last_transition_time.clone())
    });
    let waits = remaining(&Time(created(&request.metadata)), PENDING, now);
    last.map(|at| remaining(&at, ANSWERED, now)).min().unwrap_or(waits)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn answers_are_kept_for_an_hour_and_questions_for_a_day() {
        let now = Timestamp::now();
        let mut request = CertificateSigningRequest::default();
        request.metadata.creation_timestamp = Some(Time(now));
        assert_eq!(left(&request, now), PENDING);
        super::super::add_condition(&mut request, "Approved", "Test", "");
        assert_eq!(left(&request, now), PENDING);
        request.status.get_or_insert_default().certificate = Some(ByteString(b"pem".to_vec()));
        assert!(left(&request, now) <= ANSWERED + Duration::from_secs(1));
        assert!(left(&request, now + SignedDuration::from_hours(2)).is_zero());
    }
}
