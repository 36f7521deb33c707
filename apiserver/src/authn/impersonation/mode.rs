//! The ways to act as somebody else.

use crate::user::UserInfo;
use mainstay_api::names;

/// A way to act as somebody else. All but the old one are asked for with the request that they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A pod's account acts as the node that the pod is on.
    AssociatedNode,
    /// As any node.
    ArbitraryNode,
    /// As a service account.
    ServiceAccount,
    /// As any other user.
    UserInfo,
    /// As anybody, for any request.
    Legacy,
}

/// All of them, in the order in which they are tried.
pub(super) const MODES: [Mode; 5] =
    [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

impl Mode {
    /// Its word in verbs; none for the old way.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Mode::AssociatedNode => Some("associated-node"),
            Mode::ArbitraryNode => Some("arbitrary-node"),
            Mode::ServiceAccount => Some("serviceaccount"),
            Mode::UserInfo => Some("user-info"),
            Mode::Legacy => None,
        }
    }

    /// Whether it is a way for this user to become that one.
    pub(super) fn fits(self, user: &UserInfo, wanted: &UserInfo) -> bool {
        let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        let (node, account) = (node(&wanted.name), service_account(&wanted.name));
        match self {
            Mode::AssociatedNode => only_name && node.is_some_and(|node| runs_on(user, node)),
            Mode::ArbitraryNode => only_name && node.is_some(),
            Mode::ServiceAccount => only_name && account.is_some(),
            Mode::UserInfo => node.is_none() && account.is_none(),
            Mode::Legacy => true,
        }
    }
}

/// Whether a user is the account of a pod on this node.
fn runs_on(user: &UserInfo, node: &str) -> bool {
    let named = user.extra.get("authentication.kubernetes.io/node-name");
    service_account(&user.name).is_some() && named.is_some_and(|names| names.len() == 1 && names[0] == node)
}

/// The node of a node's user name.
pub(super) fn node(user: &str) -> Option<&str> {
    user.strip_prefix("system:node:").filter(|node| names::is_dns1123_subdomain(node).is_empty())
}

/// Namespace and name out of an account's user name.
pub(super) fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let valid = names::is_dns1123_label(namespace).is_empty() && names::is_dns1123_subdomain(name).is_empty();
    valid.then_some((namespace, name))
}
