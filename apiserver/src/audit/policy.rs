//! The audit policy: which requests are written down, and how much of them. Its form is `audit.k8s.io/v1` `Policy`; the
//! first rule that matches decides, and what none matches is not written.

use std::path::Path;

use serde::Deserialize;

use crate::authz::AuthzAttributes;

/// How much of a request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who asked what, and the answer's code.
    Metadata,
    /// The request's body as well.
    Request,
    /// The answer's body as well.
    RequestResponse,
}

impl Level {
    /// As events name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// A moment of a request at which an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Stage {
    /// It has come in.
    RequestReceived,
    /// The head of a long answer has been sent.
    ResponseStarted,
    /// All of the answer has been sent.
    ResponseComplete,
    /// Its handler panicked.
    Panic,
}

impl Stage {
    /// As events name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read the audit policy {path}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a policy.
    #[error("the audit policy {path} is not usable: {why}")]
    Invalid {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong, and where.
        why: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    #[serde(default)]
    #[expect(dead_code, reason = "policies may carry metadata, which means nothing")]
    metadata: Option<serde_json::Value>,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// What is written of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// How much.
    pub level: Level,
    /// Not at these stages.
    pub omit_stages: Vec<Stage>,
    /// `managedFields` are left out of bodies.
    pub omit_managed_fields: bool,
}

/// A policy.
#[derive(Debug)]
pub struct Policy {
    document: Document,
}

impl Policy {
    /// Reads a policy file, YAML or JSON.
    ///
    /// # Errors
    /// When it cannot be read, or is not a valid policy.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| PolicyError::Read { path: path.to_path_buf(), source })?;
        Self::parse(&text).map_err(|why| PolicyError::Invalid { path: path.to_path_buf(), why })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value = mainstay_api::yaml::parse(text, mainstay_api::yaml::Duplicates::Refuse)
            .map_err(|error| error.to_string())?;
        let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if document.api_version != "audit.k8s.io/v1" || document.kind != "Policy" {
            return Err(format!("it is a {} {}, not an audit.k8s.io/v1 Policy", document.api_version, document.kind));
        }
        if document.rules.is_empty() {
            return Err("it has no rules".to_owned());
        }
        document
            .rules
            .iter()
            .enumerate()
            .try_for_each(|(index, rule)| rule.validate().map_err(|why| format!("rules[{index}]{why}")))?;
        Ok(Self { document })
    }

    /// What is written of a request.
    #[must_use]
    pub fn decide(&self, request: &AuthzAttributes<'_>) -> Decision {
        let Some(rule) = self.document.rules.iter().find(|rule| rule.matches(request)) else {
            return Decision::default();
        };
        Decision {
            level: rule.level,
            omit_stages: [self.document.omit_stages.as_slice(), &rule.omit_stages].concat(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.document.omit_managed_fields),
        }
    }
}

fn listed(list: &[String], word: &str) -> bool {
    list.iter().any(|own| own == word)
}

impl Rule {
    fn validate(&self) -> Result<(), String> {
        let regular = !self.resources.is_empty() || !self.namespaces.is_empty();
        if regular && !self.non_resource_urls.is_empty() {
            return Err(".nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs".into());
        }
        for url in &self.non_resource_urls {
            let stars = url.matches('*').count();
            let fits = url == "*" || url.starts_with('/') && (stars == 0 || stars == 1 && url.ends_with('*'));
            if !fits {
                return Err(format!(".nonResourceURLs: {url:?} is neither a path nor a path that ends with *"));
            }
        }
        for one in &self.resources {
            if !one.resource_names.is_empty() && one.resources.is_empty() {
                return Err(".resources: using resourceNames requires at least one resource".into());
            }
            if one.group.contains('/') {
                return Err(format!(".resources: {:?} names a version; a group is wanted", one.group));
            }
        }
        Ok(())
    }

    fn matches(&self, request: &AuthzAttributes<'_>) -> bool {
        let user = request.user;
        if !self.users.is_empty() && !listed(&self.users, &user.name) {
            return false;
        }
        if !self.user_groups.is_empty() && !user.groups.iter().any(|group| listed(&self.user_groups, group)) {
            return false;
        }
        if !self.verbs.is_empty() && !listed(&self.verbs, request.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return request.is_resource && self.matches_resource(request);
        }
        if !self.non_resource_urls.is_empty() {
            return !request.is_resource && self.non_resource_urls.iter().any(|url| path_fits(url, request.path));
        }
        true
    }

    fn matches_resource(&self, request: &AuthzAttributes<'_>) -> bool {
        if !self.namespaces.is_empty() && !listed(&self.namespaces, request.namespace) {
            return false;
        }
        self.resources.is_empty() || self.resources.iter().any(|one| one.matches(request))
    }
}

impl GroupResources {
    fn matches(&self, request: &AuthzAttributes<'_>) -> bool {
        if self.group != request.group {
            return false;
        }
        let named = self.resource_names.is_empty() || listed(&self.resource_names, request.name);
        let full = request.full_resource();
        let fits = |own: &String| {
            own == "*"
                || *own == full
                || own.strip_prefix("*/").is_some_and(|sub| !sub.is_empty() && sub == request.subresource)
                || own.strip_suffix("/*").is_some_and(|whole| whole == request.resource)
        };
        self.resources.is_empty() || named && self.resources.iter().any(fits)
    }
}

fn path_fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::UserInfo;

    fn level(policy: &Policy, user: &UserInfo, verb: &str, resource: &str, namespace: &str) -> Level {
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let asked = AuthzAttributes::resource(user, verb, group, resource, namespace, "this").with_subresource(sub);
        policy.decide(&asked).level
    }

    const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: [noise], verbs: [get]}
- {level: RequestResponse, resources: [{group: '', resources: [pods, '*/scale']}]}
- {level: Metadata, resources: [{group: '', resources: [secrets], resourceNames: [this]}], namespaces: [kube-system]}
- {level: None, nonResourceURLs: ['/healthz*', /version]}
- {level: Request, resources: [{group: apps}], omitManagedFields: true, omitStages: [Panic]}
- {level: Metadata, userGroups: [audited]}
";

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = Policy::parse(POLICY).unwrap();
        let user = UserInfo { name: "u".into(), ..UserInfo::default() };
        let noise = UserInfo { name: "noise".into(), ..UserInfo::default() };
        let audited = UserInfo { groups: vec!["audited".into()], ..UserInfo::default() };
        assert_eq!(level(&policy, &noise, "get", "pods", "a"), Level::None);
        assert_eq!(level(&policy, &noise, "list", "pods", "a"), Level::RequestResponse);
        assert_eq!(level(&policy, &user, "get", "pods/log", "a"), Level::None);
        assert_eq!(level(&policy, &user, "get", "replicationcontrollers/scale", "a"), Level::RequestResponse);
        assert_eq!(level(&policy, &user, "get", "secrets", "kube-system"), Level::Metadata);
        assert_eq!(level(&policy, &user, "get", "secrets", "default"), Level::None);
        assert_eq!(level(&policy, &user, "get", "deployments.apps", "default"), Level::Request);
        assert_eq!(level(&policy, &audited, "get", "nodes", ""), Level::Metadata);
        let path = |path| policy.decide(&AuthzAttributes::path(&audited, "get", path)).level;
        assert_eq!(
            (path("/healthz/ping"), path("/version"), path("/versions")),
            (Level::None, Level::None, Level::Metadata)
        );
    }

    #[test]
    fn stages_are_left_out_by_policy_and_rule() {
        let policy = Policy::parse(POLICY).unwrap();
        let user = UserInfo::default();
        let decision = policy.decide(&AuthzAttributes::resource(&user, "get", "apps", "deployments", "a", "b"));
        assert_eq!(decision.omit_stages, [Stage::RequestReceived, Stage::Panic]);
        assert!(decision.omit_managed_fields);
    }

    #[test]
    fn what_is_no_policy_says_why() {
        let wrong = |rules: &str| {
            let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: {rules}\n");
            Policy::parse(&text).unwrap_err()
        };
        assert!(wrong("[]").contains("no rules"));
        assert!(wrong("[{level: Everything}]").contains("Everything"));
        assert!(wrong("[{level: None, user: [a]}]").contains("user"));
        assert!(wrong("[{level: None, nonResourceURLs: ['/a*b']}]").starts_with("rules[0].nonResourceURLs"));
        assert!(wrong("[{level: None, resources: [{group: a/v1}]}]").contains("names a version"));
        assert!(Policy::parse("apiVersion: v1\nkind: Pod\nrules: [{level: None}]").unwrap_err().contains("v1 Pod"));
    }
}
