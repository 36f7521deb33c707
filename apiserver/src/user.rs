//! Who a request comes from.

use std::collections::BTreeMap;

/// Someone who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// User name.
    pub name: String,
    /// Unique id, empty if there is none.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Further facts about the user.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// Who shows no credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".into(), groups: vec!["system:unauthenticated".into()], ..Self::default() }
    }

    /// The cluster's own parts, in the masters' processes.
    #[must_use]
    pub fn master(name: &str) -> Self {
        let groups = vec!["system:mainstay:masters".into(), "system:authenticated".into()];
        Self { name: format!("system:mainstay:master:{name}"), groups, ..Self::default() }
    }

    /// The administrator.
    #[must_use]
    pub fn admin() -> Self {
        let groups = vec!["system:masters".into(), "system:authenticated".into()];
        Self { name: "admin".into(), uid: "admin-uid".into(), groups, ..Self::default() }
    }
}
