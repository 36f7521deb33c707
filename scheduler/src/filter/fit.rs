//! Resources: what the pod asks for must be free.

use super::{Refusal, Rule};
use crate::cache::NodeInfo;
use crate::pod::PodInfo;

pub(super) fn check(pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
    let reasons = pod.request.exceeding(&node.free());
    if reasons.is_empty() {
        return Ok(());
    }
    // Even an empty node would be too small: no use in removing pods from it.
    let preemption_helps = pod.request.exceeding(&node.allocatable).is_empty();
    Err(Refusal { reasons, preemption_helps, rule: Rule::Fit })
}
