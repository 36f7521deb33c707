//! Levels and versions, read from a namespace's labels.

use mainstay_api::meta;
use serde_json::Value;

/// How strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Everything goes.
    #[default]
    Privileged,
    /// Nothing that is known to break out.
    Baseline,
    /// Hardened.
    Restricted,
}

impl Level {
    /// The level of a label's value.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// What a namespace asks for.
#[derive(Default)]
pub(crate) struct Policy {
    /// What is refused.
    pub enforce: Level,
    /// By the controls of which minor version.
    pub enforce_version: u32,
    /// The same with its version.
    pub enforce_text: String,
    /// What is warned of.
    pub warn: Level,
    /// By the controls of which minor version.
    pub warn_version: u32,
    /// The same with its version.
    pub warn_text: String,
    /// What the audit log is told of.
    pub audit: Level,
    /// By the controls of which minor version.
    pub audit_version: u32,
    /// The same with its version.
    pub audit_text: String,
}

impl Policy {
    /// The policy of a namespace.
    pub fn of(namespace: &Value) -> Self {
        let level = |mode: &str| meta::label(namespace, &format!("pod-security.kubernetes.io/{mode}"));
        let version = |mode: &str| match meta::label(namespace, &format!("pod-security.kubernetes.io/{mode}-version")) {
            Some(version) if is_version(version) => version.to_owned(),
            _ => "latest".to_owned(),
        };
        let enforce =
            level("enforce").map_or(Level::Privileged, |text| Level::parse(text).unwrap_or(Level::Restricted));
        let warn = level("warn").map(|text| Level::parse(text).unwrap_or_default());
        let (warn, warn_version) = match warn {
            Some(warn) => (warn, version("warn")),
            None => (enforce, version("enforce")),
        };
        let audit = level("audit").and_then(Level::parse).unwrap_or_default();
        Self {
            enforce,
            enforce_version: minor(&version("enforce")),
            enforce_text: format!("{}:{}", enforce.name(), version("enforce")),
            warn,
            warn_version: minor(&warn_version),
            warn_text: format!("{}:{warn_version}", warn.name()),
            audit,
            audit_version: minor(&version("audit")),
            audit_text: format!("{}:{}", audit.name(), version("audit")),
        }
    }

    /// Nothing is asked for.
    pub fn is_open(&self) -> bool {
        [self.enforce, self.warn, self.audit].iter().all(|level| *level == Level::Privileged)
    }
}

/// The minor version, the latest being newer than any.
fn minor(version: &str) -> u32 {
    version.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).unwrap_or(u32::MAX)
}

/// `latest` or `v1.N`.
pub(crate) fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.");
    text == "latest"
        || minor.is_some_and(|minor| {
            minor == "0"
                || (!minor.starts_with('0') && !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_audited_is_asked_for_by_itself() {
        let of = |labels: Value| Policy::of(&json!({"metadata": {"labels": labels}}));
        let policy = of(json!({"pod-security.kubernetes.io/audit": "restricted"}));
        assert_eq!((policy.audit_text.as_str(), policy.warn), ("restricted:latest", Level::Privileged));
        assert!(!policy.is_open());
        let policy = of(json!({"pod-security.kubernetes.io/enforce": "baseline"}));
        assert_eq!(policy.audit, Level::Privileged);
        assert!(Policy::of(&Value::Null).is_open());
    }
}
