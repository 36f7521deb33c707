//! What a container said before it ended.

use k8s_openapi::api::core::v1::Pod;

use super::{Shared, make, mounts};
use crate::plan::find;
use crate::runtime::{PodRuntime, State};

/// Most of a container's last words that are kept.
const LAST_WORDS_BYTES: usize = 4096;
/// Most of its log that stands in for them.
const LAST_LINES: usize = 80;
const LAST_LINES_BYTES: usize = 2048;

/// What containers wrote to their termination message path becomes their message.
pub(super) fn read(shared: &Shared, pod: &Pod, runtime: &mut PodRuntime) {
    if shared.runtime.hollow() {
        return;
    }
    for container in runtime.containers.iter_mut().filter(|c| c.state == State::Exited) {
        let Some(spec) = find(pod, &container.name) else { continue };
        let path = mounts::termination_log(&shared.config, pod, &spec, container.attempt);
        let words = std::fs::read(path).unwrap_or_default();
        let cut = &words[words.len().saturating_sub(LAST_WORDS_BYTES)..];
        if !cut.is_empty() {
            container.message = String::from_utf8_lossy(cut).into_owned();
        } else if container.exit_code != 0
            && spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError")
        {
            let log = make::log_of(&shared.config, pod, &container.name, container.attempt);
            container.message = crate::server::last_lines(&log, LAST_LINES, LAST_LINES_BYTES).unwrap_or_default();
        }
    }
}
