//! What planning looks at, and what it asks of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::identity;
use crate::deployment::scaled;
use crate::history::History;
use crate::meta::{name, seconds};
use crate::pod::{is_ready, phase, until_available};

/// All that planning looks at.
pub(super) struct Input<'a> {
    pub(super) set: &'a StatefulSet,
    pub(super) pods: &'a [Arc<Pod>],
    /// Of the namespace.
    pub(super) claims: &'a [Arc<PersistentVolumeClaim>],
    pub(super) history: &'a History,
    pub(super) now: Timestamp,
}

impl Input<'_> {
    pub(super) fn spec(&self) -> &StatefulSetSpec {
        static EMPTY: std::sync::LazyLock<StatefulSetSpec> = std::sync::LazyLock::new(StatefulSetSpec::default);
        self.set.spec.as_ref().unwrap_or(&EMPTY)
    }

    pub(super) fn start(&self) -> i32 {
        self.spec().ordinals.as_ref().and_then(|o| o.start).unwrap_or(0)
    }

    pub(super) fn end(&self) -> i32 {
        self.start().saturating_add(self.spec().replicas.unwrap_or(1))
    }

    pub(super) fn one_by_one(&self) -> bool {
        self.spec().pod_management_policy.as_deref() != Some("Parallel")
    }

    pub(super) fn rolls(&self) -> bool {
        let kind = self.spec().update_strategy.as_ref().and_then(|s| s.type_.as_deref());
        kind.unwrap_or("RollingUpdate") == "RollingUpdate"
    }

    /// Pods before this number keep the current revision.
    pub(super) fn partition(&self) -> i32 {
        let rolling = self.spec().update_strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
        rolling.and_then(|r| r.partition).unwrap_or(0)
    }

    pub(super) fn max_unavailable(&self) -> usize {
        let rolling = self.spec().update_strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
        let asked = rolling.and_then(|r| r.max_unavailable.as_ref());
        let count = asked.map_or(1, |value| scaled(Some(value), self.spec().replicas.unwrap_or(1), true));
        usize::try_from(count).unwrap_or(1).max(1)
    }

    pub(super) fn min_ready(&self) -> Duration {
        seconds(self.spec().min_ready_seconds.unwrap_or(0).into())
    }

    pub(super) fn is_available(&self, pod: &Pod) -> bool {
        runs(pod) && until_available(pod, self.min_ready(), self.now) == Some(Duration::ZERO)
    }

    /// The revision from which most pods come; that of the present template if none is noted.
    pub(super) fn current(&self) -> &Arc<ControllerRevision> {
        let noted = self.set.status.as_ref().and_then(|s| s.current_revision.as_deref());
        noted.and_then(|name| self.history.named(name)).unwrap_or(&self.history.present)
    }

    pub(super) fn update(&self) -> &Arc<ControllerRevision> {
        &self.history.present
    }

    pub(super) fn revision_for(&self, number: i32) -> &Arc<ControllerRevision> {
        let has_partition = self.spec().update_strategy.as_ref().is_some_and(|s| s.rolling_update.is_some());
        let current = self.set.status.as_ref().and_then(|s| s.current_replicas).unwrap_or(0);
        let kept = if has_partition { self.partition() } else { current };
        if self.rolls() && number < self.start().saturating_add(kept) { self.current() } else { self.update() }
    }

    pub(super) fn in_place(&self, number: i32) -> Option<&Arc<Pod>> {
        self.pods.iter().find(|pod| identity::ordinal(self.set, name(&pod.metadata)) == Some(number))
    }

    pub(super) fn is_updated(&self, pod: &Pod) -> bool {
        identity::revision(pod) == Some(name(&self.update().metadata))
    }
}

/// Started and ready.
pub(super) fn runs(pod: &Pod) -> bool {
    phase(pod) == "Running" && is_ready(pod)
}
