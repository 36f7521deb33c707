//! Which resource a call is about.

/// A resource, as paths name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Empty for the core group.
    pub group: String,
    /// "v1", …
    pub version: String,
    /// Plural, lower case.
    pub resource: String,
}

impl Target {
    /// Names a resource.
    pub fn new(group: &str, version: &str, resource: &str) -> Self {
        Target { group: group.into(), version: version.into(), resource: resource.into() }
    }
}
