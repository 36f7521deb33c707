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
        Self {
            enforce,
            enforce_version: minor(&version("enforce")),
            enforce_text: format!("{}:{}", enforce.name(), version("enforce")),
            warn,
            warn_version: minor(&warn_version),
            warn_text: format!("{}:{warn_version}", warn.name()),
        }
    }

    /// Nothing is asked for.
    pub fn is_open(&self) -> bool {
        self.enforce == Level::Privileged && self.warn == Level::Privileged
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
