//! What keeps a pod from all nodes.

/// Why a pod cannot go to any node, as far as its claims are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A claim is not there yet, or about to get its devices for another pod. There is nothing to be told.
    NotYet,
    /// Something is wrong, in Kubernetes' words.
    Never(String),
}
