//! What a job is to do next: count, make, delete, end. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mainstay_client::EventType;

use super::failure::Failure;
use super::{backoff, finished, indexes, pod};
use crate::meta::{created, is_deleting, remaining, seconds};
use crate::pod::{is_active, is_finished, is_ready, phase};

/// All that planning looks at.
pub(super) struct Input<'a> {
    pub(super) job: &'a Job,
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) now: Timestamp,
    /// So many pods are counted at once.
    pub(super) most_counted: usize,
}

/// Kind, reason and text of an event.
pub(super) type Said = (EventType, &'static str, String);

#[derive(Default)]
pub(super) struct Plan {
    /// To be counted: the status has them already, they lose their finalizer with it.
    pub(super) counted: Vec<Arc<Pod>>,
    /// Pods that lose their finalizer without being counted.
    pub(super) released: Vec<Arc<Pod>>,
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
    pub(super) status: JobStatus,
    pub(super) events: Vec<Said>,
    pub(super) next: Option<Duration>,
}

struct Planner<'a> {
    input: &'a Input<'a>,
    spec: &'a JobSpec,
    plan: Plan,
    active: Vec<Arc<Pod>>,
    terminating: Vec<Arc<Pod>>,
    done: BTreeSet<i32>,
    last_failure: Option<Timestamp>,
}

/// What to do next.
pub(super) fn plan(input: &Input) -> Plan {
    static EMPTY: std::sync::LazyLock<JobSpec> = std::sync::LazyLock::new(JobSpec::default);
    let mut planner = Planner::new(input, input.job.spec.as_ref().unwrap_or(&EMPTY));
    planner.begin();
    planner.count();
    if let Some(failure) = planner.failure() {
        planner.fail(&failure);
    } else if planner.is_complete() {
        planner.complete();
    } else if planner.is_suspended() {
        planner.plan.delete.clone_from(&planner.active);
    } else {
        planner.scale();
    }
    planner.finish()
}

impl<'a> Planner<'a> {
    fn new(input: &'a Input<'a>, spec: &'a JobSpec) -> Self {
        let status = input.job.status.clone().unwrap_or_default();
        let done = indexes::parse(status.completed_indexes.as_deref().unwrap_or(""));
        let pods = |test: &dyn Fn(&Pod) -> bool| input.pods.iter().filter(|p| test(p)).cloned().collect();
        let active = pods(&is_active);
        let terminating = pods(&|p| is_deleting(&p.metadata) && !is_finished(p));
        let plan = Plan { status, ..Plan::default() };
        Planner { input, spec, plan, active, terminating, done, last_failure: None }
    }

    fn now(&self) -> Time {
        Time(Timestamp::from_second(self.input.now.as_second()).unwrap_or(self.input.now))
    }

    fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn succeeded(&self) -> i32 {
        self.plan.status.succeeded.unwrap_or(0)
    }

    fn failed(&self) -> i32 {
        self.plan.status.failed.unwrap_or(0)
    }

    /// Start time and suspension.
    fn begin(&mut self) {
        let now = self.now();
        let suspended = self.is_suspended();
        let status = &mut self.plan.status;
        let noted = finished::condition(status, "Suspended").is_some();
        if suspended && !noted {
            finished::set(status, "Suspended", true, "JobSuspended", "Job suspended", &now);
            status.start_time = None;
            self.plan.events.push((EventType::Normal, "Suspended", "Job suspended".into()));
        } else if !suspended && noted {
            finished::set(status, "Suspended", false, "JobResumed", "Job resumed", &now);
            status.start_time = Some(now);
            self.plan.events.push((EventType::Normal, "Resumed", "Job resumed".into()));
        } else if !suspended && status.start_time.is_none() {
            status.start_time = Some(now);
        }
    }

    /// Pods that have ended and were not counted yet.
    fn count(&mut self) {
        let ended = self.input.pods.iter().filter(|p| pod::is_tracked(p) && is_finished(p));
        let ended: Vec<Arc<Pod>> = ended.take(self.input.most_counted).cloned().collect();
        for pod in ended {
            if phase(&pod) == "Succeeded" {
                self.count_success(&pod);
            } else {
                self.plan.status.failed = Some(self.failed() + 1);
                self.last_failure = self.last_failure.max(Some(backoff::ended_at(&pod)));
            }
            self.plan.counted.push(pod);
        }
        // Failures that were counted before still hold new pods back.
        let before = self.input.pods.iter().filter(|p| phase(p) == "Failed").map(|p| backoff::ended_at(p)).max();
        self.last_failure = self.last_failure.max(before);
    }

    fn count_success(&mut self, pod: &Pod) {
        if !self.is_indexed() {
            self.plan.status.succeeded = Some(self.succeeded() + 1);
            return;
        }
        let in_range = |index: &i32| (0..self.spec.completions.unwrap_or(0)).contains(index);
        if let Some(index) = pod::index(pod).filter(in_range)
            && self.done.insert(index)
        {
            self.plan.status.succeeded = Some(self.succeeded() + 1);
            self.plan.status.completed_indexes = Some(indexes::format(&self.done));
        }
    }

    fn failure(&mut self) -> Option<Failure> {
        Failure::noted(&self.plan.status)
            .or_else(|| Failure::of_pods(self.spec, self.failed(), &self.active))
            .or_else(|| self.deadline())
    }

    fn deadline(&mut self) -> Option<Failure> {
        let allowed = seconds(self.spec.active_deadline_seconds?);
        let left = remaining(self.plan.status.start_time.as_ref()?, allowed, self.input.now);
        if left.is_zero() && !self.is_suspended() {
            return Some(Failure::of_deadline());
        }
        self.wake_in(left);
        None
    }

    fn wake_in(&mut self, wait: Duration) {
        self.plan.next = Some(self.plan.next.map_or(wait, |next| next.min(wait)));
    }

    fn fail(&mut self, failure: &Failure) {
        let now = self.now();
        let status = &mut self.plan.status;
        finished::set(status, "FailureTarget", true, failure.reason, &failure.message, &now);
        self.plan.delete.clone_from(&self.active);
        let left: Vec<_> = self.active.iter().chain(&self.terminating).collect();
        if left.is_empty() {
            finished::set(&mut self.plan.status, finished::FAILED, true, failure.reason, &failure.message, &now);
            self.plan.events.push((EventType::Warning, failure.reason, failure.message.clone()));
        }
    }

    /// With a number of completions: so many; without: one, and nobody works any more.
    fn is_complete(&self) -> bool {
        match self.spec.completions {
            Some(wanted) => self.succeeded() >= wanted,
            None => self.succeeded() > 0 && self.active.is_empty(),
        }
    }

    fn complete(&mut self) {
        let now = self.now();
        let message = "Reached expected number of succeeded pods";
        finished::set(&mut self.plan.status, "SuccessCriteriaMet", true, "CompletionsReached", message, &now);
        self.plan.delete.clone_from(&self.active);
        if self.active.is_empty() && self.terminating.is_empty() {
            finished::set(&mut self.plan.status, finished::COMPLETE, true, "CompletionsReached", message, &now);
            self.plan.status.completion_time = Some(now);
            self.plan.events.push((EventType::Normal, "Completed", "Job completed".into()));
        }
    }

    /// As many pods as may work at once and as are still needed.
    fn scale(&mut self) {
        let parallel = self.spec.parallelism.unwrap_or(1);
        let active = i32::try_from(self.active.len()).unwrap_or(i32::MAX);
        let wanted = match self.spec.completions {
            Some(all) => parallel.min(all - self.succeeded()),
            None if self.succeeded() > 0 => active.min(parallel),
            None => parallel,
        };
        if active > wanted {
            let surplus = usize::try_from(active - wanted).unwrap_or(0);
            let mut pods = self.active.clone();
            pods.sort_by_key(|p| (is_ready(p), std::cmp::Reverse(created(&p.metadata))));
            pods.truncate(surplus);
            self.plan.delete = pods;
            return;
        }
        // A pod that is going still works on what it was made for, if only failed ones are to be replaced.
        let replaced_when_failed = self.spec.pod_replacement_policy.as_deref() == Some("Failed");
        let leaving = if replaced_when_failed { i32::try_from(self.terminating.len()).unwrap_or(0) } else { 0 };
        let missing = usize::try_from(wanted - active - leaving).unwrap_or(0);
        if missing == 0 {
            return;
        }
        match backoff::pause(self.failed(), self.last_failure, self.input.now) {
            Some(left) => self.wake_in(left),
            None => self.make(missing),
        }
    }

    fn make(&mut self, count: usize) {
        if !self.is_indexed() {
            let made = pod::make(self.input.job, None);
            self.plan.create = made.into_iter().cycle().take(count).collect();
            return;
        }
        let taken: BTreeSet<i32> = self.active.iter().filter_map(|p| pod::index(p)).collect();
        let all = 0..self.spec.completions.unwrap_or(0);
        let free = all.filter(|index| !self.done.contains(index) && !taken.contains(index));
        self.plan.create = free.take(count).filter_map(|index| pod::make(self.input.job, Some(index))).collect();
    }

    fn finish(mut self) -> Plan {
        let count = |pods: &[Arc<Pod>]| i32::try_from(pods.len()).unwrap_or(i32::MAX);
        let ready = self.active.iter().filter(|p| is_ready(p)).count();
        let status = &mut self.plan.status;
        let ended =
            [finished::COMPLETE, finished::FAILED].iter().any(|kind| finished::condition(status, kind).is_some());
        status.active = Some(count(&self.active)).filter(|n| *n > 0);
        status.ready = Some(i32::try_from(ready).unwrap_or(i32::MAX));
        status.terminating = Some(count(&self.terminating));
        status.uncounted_terminated_pods = Some(UncountedTerminatedPods::default());
        if ended {
            // What is left may go; nobody counts it any more.
            let counted = &self.plan.counted;
            let others = self.input.pods.iter().filter(|p| pod::is_tracked(p));
            let others = others.filter(|p| !counted.iter().any(|c| Arc::ptr_eq(c, p)));
            self.plan.released = others.cloned().collect();
        }
        self.plan
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::meta::name;

    fn job(spec: Value, status: Value) -> Job {
        let mut value = json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "j", "namespace": "x", "uid": "u"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": []}}, "backoffLimit": 2},
            "status": status});
        for (key, field) in spec.as_object().into_iter().flatten() {
            value["spec"][key] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn worker(name: &str, phase: &str, index: Option<i32>) -> Arc<Pod> {
        let mut value = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "finalizers": [pod::FINALIZER], "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"phase": phase}});
        if let Some(index) = index {
            value["metadata"]["annotations"] = json!({pod::INDEX: index.to_string()});
        }
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn planned(job: &Job, pods: &[Arc<Pod>]) -> Plan {
        plan(&Input { job, pods, now: "2026-01-01T01:00:00Z".parse().unwrap(), most_counted: 100 })
    }

    fn conditions(plan: &Plan) -> Vec<String> {
        plan.status.conditions.iter().flatten().filter(|c| c.status == "True").map(|c| c.type_.clone()).collect()
    }

    #[test]
    fn as_many_work_as_may_and_as_are_needed() {
        let spec = json!({"parallelism": 3, "completions": 4});
        assert_eq!(planned(&job(spec.clone(), json!({})), &[]).create.len(), 3);
        let plan = planned(&job(spec, json!({"succeeded": 3, "startTime": "2026-01-01T00:00:00Z"})), &[]);
        assert_eq!(plan.create.len(), 1);
        assert!(pod::is_tracked(&plan.create[0]));
    }

    #[test]
    fn the_last_success_completes_the_job() {
        let plan = planned(&job(json!({"completions": 1}), json!({})), &[worker("a", "Succeeded", None)]);
        assert_eq!((plan.status.succeeded, plan.counted.len()), (Some(1), 1));
        assert_eq!(conditions(&plan), ["SuccessCriteriaMet", "Complete"]);
        assert_eq!(plan.events[0].1, "Completed");
        assert!(plan.status.completion_time.is_some() && plan.create.is_empty());
    }

    #[test]
    fn a_pod_counts_once() {
        let mut counted = (*worker("a", "Succeeded", None)).clone();
        counted.metadata.finalizers = None;
        let plan = planned(&job(json!({"completions": 2}), json!({"succeeded": 1})), &[Arc::new(counted)]);
        assert_eq!(plan.status.succeeded, Some(1));
    }

    #[test]
    fn too_many_failures_end_the_job_once_nobody_works() {
        let tired = job(json!({"parallelism": 2}), json!({"failed": 2}));
        let pods = [worker("a", "Failed", None), worker("b", "Running", None)];
        let plan = planned(&tired, &pods);
        assert_eq!((plan.status.failed, conditions(&plan)), (Some(3), vec!["FailureTarget".to_owned()]));
        assert_eq!(name(&plan.delete[0].metadata), "b");
        let plan = planned(&tired, &pods[..1]);
        assert_eq!(conditions(&plan), ["FailureTarget", "Failed"]);
        assert_eq!(plan.events[0].1, "BackoffLimitExceeded");
    }

    #[test]
    fn after_a_failure_the_next_pod_waits() {
        let job = job(json!({"completions": 1}), json!({"startTime": "2026-01-01T00:00:00Z"}));
        let pods = [worker("a", "Failed", None)];
        let now = "2026-01-01T00:00:04Z".parse().unwrap();
        let plan = plan(&Input { job: &job, pods: &pods, now, most_counted: 100 });
        assert_eq!((plan.create.len(), plan.next), (0, Some(Duration::from_secs(6))));
        assert_eq!(planned(&job, &pods).create.len(), 1, "an hour later");
    }

    #[test]
    fn indexes_are_worked_off_each_once() {
        let spec = json!({"completionMode": "Indexed", "completions": 4, "parallelism": 4});
        let pods =
            [worker("a", "Succeeded", Some(0)), worker("b", "Running", Some(2)), worker("c", "Succeeded", Some(0))];
        let plan = planned(&job(spec, json!({})), &pods);
        assert_eq!((plan.status.succeeded, plan.status.completed_indexes.as_deref()), (Some(1), Some("0")));
        let made: Vec<_> = plan.create.iter().filter_map(pod::index).collect();
        assert_eq!(made, [1, 3]);
    }

    #[test]
    fn a_suspended_job_keeps_no_pods() {
        let plan = planned(&job(json!({"suspend": true}), json!({})), &[worker("a", "Running", None)]);
        assert_eq!((plan.delete.len(), conditions(&plan)), (1, vec!["Suspended".to_owned()]));
        assert!(plan.status.start_time.is_none());
    }

    #[test]
    fn a_job_that_takes_too_long_fails() {
        let spec = json!({"activeDeadlineSeconds": 60});
        let late = planned(&job(spec.clone(), json!({"startTime": "2026-01-01T00:00:00Z"})), &[]);
        assert_eq!(late.events[0].1, "DeadlineExceeded");
        let early = planned(&job(spec, json!({"startTime": "2026-01-01T00:59:30Z"})), &[]);
        assert_eq!(early.next, Some(Duration::from_secs(30)));
    }
}
