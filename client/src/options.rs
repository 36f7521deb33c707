//! Parameters and answers of calls.

use serde_json::{Value, json};

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListParams {
    /// Label selector in string form; empty selects all.
    pub labels: String,
    /// Field selector in string form; empty selects all.
    pub fields: String,
    /// At most this many items a page; 0 for all.
    pub limit: u32,
    /// The token of the page before.
    pub continue_token: String,
    /// Empty: consistent. "0": from the master's cache as it stands.
    pub resource_version: String,
}

impl ListParams {
    /// Selects by labels.
    pub fn labels(selector: impl Into<String>) -> Self {
        ListParams { labels: selector.into(), ..Self::default() }
    }

    /// Selects by fields.
    pub fn fields(selector: impl Into<String>) -> Self {
        ListParams { fields: selector.into(), ..Self::default() }
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct ObjectList<T> {
    /// The objects.
    pub items: Vec<T>,
    /// The revision of the list; a watch may start after it.
    pub resource_version: String,
    /// Empty on the last page.
    pub continue_token: String,
    /// How many are left, where the server knows.
    pub remaining: Option<i64>,
}

/// A change to an object.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902 operations.
    Json(Value),
    /// RFC 7386 merge.
    Merge(Value),
    /// Kubernetes' strategic merge.
    Strategic(Value),
}

/// What becomes of the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without owner.
    Orphan,
}

impl Propagation {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds of grace; None leaves it to the object.
    pub grace_seconds: Option<i64>,
    /// None leaves it to the kind.
    pub propagation: Option<Propagation>,
    /// Delete only the object of this uid.
    pub uid: Option<String>,
    /// Delete only at this resource version.
    pub resource_version: Option<String>,
    /// Go through everything but the write.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Deletes only the object of this uid.
    pub fn of_uid(uid: impl Into<String>) -> Self {
        DeleteOptions { uid: Some(uid.into()), ..Self::default() }
    }

    /// Sets the grace period, in seconds.
    #[must_use]
    pub fn grace(mut self, seconds: i64) -> Self {
        self.grace_seconds = Some(seconds);
        self
    }

    /// Sets what becomes of owned objects.
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = Some(propagation);
        self
    }

    /// The `DeleteOptions` object of the API.
    pub(crate) fn to_json(&self) -> Value {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(grace) = self.grace_seconds {
            options["gracePeriodSeconds"] = grace.into();
        }
        if let Some(propagation) = self.propagation {
            options["propagationPolicy"] = propagation.as_str().into();
        }
        if let Some(uid) = &self.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            options["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        options
    }
}
