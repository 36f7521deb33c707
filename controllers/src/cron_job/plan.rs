//! Whether a cron job's time has come, and which finished jobs are to be forgotten. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mainstay_client::EventType;

use super::schedule::Schedule;
use crate::job::verdict;
use crate::meta::{controller_reference, created, is_deleting, name};

/// The time that a job was made for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// After more missed times than this nobody knows what was meant.
const MANY: u32 = 100;
/// Steps on the way to the last missed time.
const MOST_STEPS: u32 = 100_000;

/// A job to make.
pub(super) struct Start {
    pub(super) job: Box<Job>,
    pub(super) at: Timestamp,
    /// Jobs that still run go first.
    pub(super) replace: bool,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) start: Option<Start>,
    pub(super) forget: Vec<Arc<Job>>,
    pub(super) events: Vec<(EventType, &'static str, String)>,
    pub(super) next: Option<Duration>,
}

/// What to do now.
pub(super) fn plan(cron: &CronJob, status: &CronJobStatus, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
    let spec = &cron.spec;
    let mut plan = Plan { forget: surplus(spec, jobs), ..Plan::default() };
    if spec.suspend == Some(true) {
        return plan;
    }
    let Some(schedule) = Schedule::parse(&spec.schedule) else {
        let message = format!("unparseable schedule: {:?}", spec.schedule);
        plan.events.push((EventType::Warning, "UnparseableSchedule", message));
        return plan;
    };
    let zone = match spec.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(zone) => match TimeZone::get(zone) {
            Ok(zone) => zone,
            Err(error) => {
                let message = format!("invalid timeZone: {zone:?}: {error}");
                plan.events.push((EventType::Warning, "UnknownTimeZone", message));
                return plan;
            }
        },
    };
    let missed = missed(cron, status, &schedule, &zone, now);
    plan.next = schedule.next(now, &zone).and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    let Some(missed) = missed else { return plan };
    if missed.count > MANY {
        let message = format!(
            "too many missed start times: {}. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
            missed.count
        );
        plan.events.push((EventType::Warning, "TooManyMissedTimes", message));
    }
    begin(cron, spec, status, missed.last, now, &mut plan);
    plan
}

fn begin(cron: &CronJob, spec: &CronJobSpec, status: &CronJobStatus, at: Timestamp, now: Timestamp, plan: &mut Plan) {
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    if deadline.is_some_and(|deadline| at + deadline < now) {
        let message = format!("Missed scheduled time to start a job: {}", at.strftime("%a, %d %b %Y %H:%M:%S %z"));
        plan.events.push((EventType::Warning, "MissSchedule", message));
        return;
    }
    let busy = status.active.as_ref().is_some_and(|active| !active.is_empty());
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if busy => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid".to_owned();
            plan.events.push((EventType::Normal, "JobAlreadyActive", message));
        }
        policy => {
            let job = Box::new(job_at(cron, spec, at));
            plan.start = Some(Start { job, at, replace: policy == Some("Replace") });
        }
    }
}

struct Missed {
    last: Timestamp,
    count: u32,
}

/// The last time that should have been served and was not.
fn missed(
    cron: &CronJob,
    status: &CronJobStatus,
    schedule: &Schedule,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<Missed> {
    let mut from = status.last_schedule_time.as_ref().map_or_else(|| created(&cron.metadata), |t| t.0);
    if let Some(seconds) = cron.spec.starting_deadline_seconds {
        from = from.max(now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(from));
    }
    let mut found: Option<Missed> = None;
    for _ in 0..MOST_STEPS {
        let after = found.as_ref().map_or(from, |m| m.last);
        let Some(at) = schedule.next(after, zone).filter(|at| *at <= now) else { break };
        found = Some(Missed { last: at, count: found.map_or(0, |m| m.count) + 1 });
    }
    found
}

fn job_at(cron: &CronJob, spec: &CronJobSpec, at: Timestamp) -> Job {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.into(), Timestamp::from_second(at.as_second()).unwrap_or(at).to_string());
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", name(&cron.metadata), at.as_second() / 60)),
            namespace: cron.metadata.namespace.clone(),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(cron)]),
            creation_timestamp: None,
            ..Default::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    }
}

/// The oldest finished jobs beyond those that are kept of either verdict.
fn surplus(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let limits = [
        ("Complete", spec.successful_jobs_history_limit.unwrap_or(3)),
        ("Failed", spec.failed_jobs_history_limit.unwrap_or(1)),
    ];
    let mut all = Vec::new();
    for (kind, limit) in limits {
        let of_kind = jobs.iter().filter(|job| verdict(job) == Some(kind) && !is_deleting(&job.metadata));
        let mut ended: Vec<Arc<Job>> = of_kind.cloned().collect();
        ended.sort_by_key(|job| (created(&job.metadata), name(&job.metadata).to_owned()));
        let keep = usize::try_from(limit).unwrap_or(0);
        ended.truncate(ended.len().saturating_sub(keep));
        all.extend(ended);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cron(more: Value) -> CronJob {
        let mut value = json!({"apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {"name": "c", "namespace": "x", "uid": "u", "creationTimestamp": "2026-01-01T00:00:30Z"},
            "spec": {"schedule": "*/10 * * * *", "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec":
                {"template": {"spec": {"containers": []}}}}}});
        for (key, field) in more.as_object().into_iter().flatten() {
            value["spec"][key] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn planned(cron: &CronJob, status: Value, now: &str) -> Plan {
        let status: CronJobStatus = serde_json::from_value(status).unwrap();
        plan(cron, &status, &[], now.parse().unwrap())
    }

    #[test]
    fn a_job_is_made_when_its_time_has_come() {
        let early = planned(&cron(json!({})), json!({}), "2026-01-01T00:09:00Z");
        assert!(early.start.is_none());
        assert_eq!(early.next, Some(Duration::from_secs(60)));
        let due = planned(&cron(json!({})), json!({}), "2026-01-01T00:10:02Z");
        let start = due.start.unwrap();
        assert_eq!(start.job.metadata.name.as_deref(), Some("c-29453770"));
        assert_eq!(start.job.metadata.annotations.unwrap()[SCHEDULED], "2026-01-01T00:10:00Z");
        let done =
            planned(&cron(json!({})), json!({"lastScheduleTime": "2026-01-01T00:10:00Z"}), "2026-01-01T00:10:05Z");
        assert!(done.start.is_none());
    }

    #[test]
    fn of_missed_times_the_last_is_served_unless_it_is_too_late() {
        let late = planned(&cron(json!({})), json!({}), "2026-01-01T01:05:00Z");
        assert_eq!(late.start.unwrap().at.to_string(), "2026-01-01T01:00:00Z");
        let strict = planned(&cron(json!({"startingDeadlineSeconds": 60})), json!({}), "2026-01-01T01:05:00Z");
        assert!(strict.start.is_none());
    }

    #[test]
    fn the_policy_says_what_becomes_of_a_running_job() {
        let busy = json!({"active": [{"name": "c-1", "uid": "1"}]});
        let now = "2026-01-01T00:10:02Z";
        let forbidden = planned(&cron(json!({"concurrencyPolicy": "Forbid"})), busy.clone(), now);
        assert!(forbidden.start.is_none() && forbidden.events[0].1 == "JobAlreadyActive");
        assert!(planned(&cron(json!({"concurrencyPolicy": "Replace"})), busy.clone(), now).start.unwrap().replace);
        assert!(!planned(&cron(json!({})), busy, now).start.unwrap().replace);
        assert!(planned(&cron(json!({"suspend": true})), json!({}), now).start.is_none());
    }

    #[test]
    fn only_so_many_finished_jobs_are_kept() {
        let job = |number: u32, kind: &str| -> Arc<Job> {
            let value = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata":
                {"name": format!("j{number}"), "creationTimestamp": format!("2026-01-01T00:0{number}:00Z")},
                "status": {"conditions": [{"type": kind, "status": "True"}]}});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let jobs = [job(1, "Complete"), job(2, "Complete"), job(3, "Failed"), job(4, "Failed")];
        let kept = cron(json!({"successfulJobsHistoryLimit": 1}));
        let gone = surplus(&kept.spec, &jobs);
        assert_eq!(gone.iter().map(|j| name(&j.metadata)).collect::<Vec<_>>(), ["j1", "j3"]);
    }
}
