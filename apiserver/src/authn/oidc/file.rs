//! `--authentication-config`: several issuers in a file of the form `apiserver.config.k8s.io/v1`
//! `AuthenticationConfiguration`. Mappings and rules by claim are understood, those by CEL expression are refused.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{OidcConfig, OidcError};

/// The algorithms that Kubernetes takes from issuers of a file.
const ALGORITHMS: [&str; 8] = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    #[serde(default)]
    jwt: Vec<Jwt>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Jwt {
    issuer: Issuer,
    #[serde(default)]
    claim_validation_rules: Vec<ClaimRule>,
    claim_mappings: Mappings,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Issuer {
    url: String,
    #[serde(rename = "discoveryURL")]
    discovery_url: Option<String>,
    certificate_authority: Option<String>,
    audiences: Vec<String>,
    audience_match_policy: Option<AudienceMatch>,
}

/// How several audiences are meant; there is one way.
#[derive(Deserialize)]
enum AudienceMatch {
    #[serde(rename = "", alias = "MatchAny")]
    Any,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimRule {
    claim: String,
    #[serde(default)]
    required_value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mappings {
    username: Prefixed,
    groups: Option<Prefixed>,
    uid: Option<Claim>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefixed {
    claim: String,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    claim: String,
}

impl OidcConfig {
    /// The issuers of a configuration file.
    ///
    /// # Errors
    /// [`OidcError::File`] when it cannot be read, or holds what is not understood.
    pub fn read_file(path: &Path) -> Result<Vec<Self>, OidcError> {
        let wrong = |why: String| OidcError::File { path: path.to_path_buf(), why };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        parse(&text).map_err(wrong)
    }
}

fn parse(text: &str) -> Result<Vec<OidcConfig>, String> {
    let value =
        mainstay_api::yaml::parse(text, mainstay_api::yaml::Duplicates::Refuse).map_err(|error| error.to_string())?;
    let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let known = ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"];
    if document.kind != "AuthenticationConfiguration" || !known.contains(&document.api_version.as_str()) {
        return Err(format!("it is a {} {}", document.api_version, document.kind));
    }
    let mut seen: Vec<&str> = Vec::new();
    for jwt in &document.jwt {
        if seen.contains(&jwt.issuer.url.as_str()) {
            return Err(format!("two issuers have the URL {}", jwt.issuer.url));
        }
        seen.push(&jwt.issuer.url);
    }
    document.jwt.into_iter().map(config).collect()
}

fn config(jwt: Jwt) -> Result<OidcConfig, String> {
    let Jwt { issuer, claim_validation_rules, claim_mappings: Mappings { username, groups, uid } } = jwt;
    let Issuer { url, discovery_url, certificate_authority, audiences, audience_match_policy } = issuer;
    if audiences.len() > 1 && audience_match_policy.is_none() {
        return Err(format!("issuer {url} has several audiences and no audienceMatchPolicy: MatchAny"));
    }
    let Some(username_prefix) = username.prefix else {
        return Err(format!("issuer {url}: claimMappings.username.prefix is required; it may be empty"));
    };
    let (groups_claim, groups_prefix) = match groups {
        Some(Prefixed { claim, prefix: Some(prefix) }) => (claim, prefix),
        Some(_) => return Err(format!("issuer {url}: claimMappings.groups.prefix is required; it may be empty")),
        None => (String::new(), String::new()),
    };
    let names = ALGORITHMS.map(str::to_owned);
    Ok(OidcConfig {
        issuer_url: url,
        discovery_url,
        audiences,
        username_claim: username.claim,
        username_prefix,
        groups_claim,
        groups_prefix,
        uid_claim: uid.map(|uid| uid.claim).unwrap_or_default(),
        ca_pem: certificate_authority.filter(|pem| !pem.trim().is_empty()),
        required_claims: claim_validation_rules
            .into_iter()
            .map(|rule| (rule.claim, rule.required_value))
            .collect::<BTreeMap<_, _>>(),
        signing_algs: OidcConfig::algorithms(&names).map_err(|error| error.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://a, audiences: [x, z], audienceMatchPolicy: MatchAny, discoveryURL: https://b/.well-known/openid-configuration}
  claimValidationRules: [{claim: hd, requiredValue: example.org}]
  claimMappings: {username: {claim: sub, prefix: 'a:'}, groups: {claim: roles, prefix: ''}, uid: {claim: sub}}
- issuer: {url: https://c, audiences: [x]}
  claimMappings: {username: {claim: email, prefix: ''}}
";

    #[test]
    fn issuers_are_read() {
        let found = parse(FILE).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].audiences, ["x", "z"]);
        assert_eq!(found[0].required_claims["hd"], "example.org");
        assert_eq!((found[0].username_prefix.as_str(), found[0].uid_claim.as_str()), ("a:", "sub"));
        assert_eq!((found[1].groups_claim.as_str(), found[1].username_claim.as_str()), ("", "email"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let wrong = |from: &str, to: &str| {
            assert!(FILE.contains(from), "{from}");
            parse(&FILE.replace(from, to)).unwrap_err()
        };
        assert!(wrong("{claim: email, prefix: ''}", "{expression: 'claims.email'}").contains("expression"));
        assert!(wrong("{claim: email, prefix: ''}", "{claim: email}").contains("prefix is required"));
        assert!(wrong("https://c", "https://a").contains("two issuers"));
        assert!(wrong(", audienceMatchPolicy: MatchAny", "").contains("audienceMatchPolicy"));
        assert!(wrong("AuthenticationConfiguration", "Pod").contains("Pod"));
    }
}
