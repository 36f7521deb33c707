//! Tokens of OpenID Connect issuers that the configuration names.
//!
//! An issuer's keys are fetched by discovery in the background and cached; a token with a key that is not known asks for
//! them again, no more often than every few seconds, so that an issuer may change its keys and strangers cannot make the
//! server call it at will.

mod claims;
mod fetch;
mod file;
mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::tokens::listed;
use super::{TokenError, UserInfo};
use keys::Keys;

/// An issuer, and how its tokens are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// `iss` of its tokens; an `https://` URL under which discovery is.
    pub issuer_url: String,
    /// Where its discovery document is, if not under that URL.
    pub discovery_url: Option<String>,
    /// Tokens are for one of these.
    pub audiences: Vec<String>,
    /// The claim that names the user.
    pub username_claim: String,
    /// Put before it; empty for nothing.
    pub username_prefix: String,
    /// The claim that names the groups; empty for none.
    pub groups_claim: String,
    /// Put before each.
    pub groups_prefix: String,
    /// The claim that is the user's unique id; empty for none.
    pub uid_claim: String,
    /// Whom the issuer's server certificate must be from, PEM; the system's authorities if `None`.
    pub ca_pem: Option<String>,
    /// Claims that a token must have with these values.
    pub required_claims: BTreeMap<String, String>,
    /// Algorithms that may sign.
    pub signing_algs: Vec<Algorithm>,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The issuer is not reached over TLS.
    #[error("the OpenID Connect issuer {0:?} is not an https:// URL without query and fragment")]
    NotHttps(String),
    /// No audience is named.
    #[error("an OpenID Connect issuer wants an audience (--oidc-client-id)")]
    NoAudience,
    /// An algorithm that is not known, or needs a shared secret.
    #[error("--oidc-signing-algs: {0:?} is not one of RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512")]
    Algorithm(String),
    /// A required claim that is not of the form `key=value`.
    #[error("--oidc-required-claim: {0:?} is not of the form key=value")]
    RequiredClaim(String),
    /// The configuration file is not usable.
    #[error("--authentication-config {path}: {why}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The CA is not usable.
    #[error("the authorities of an OpenID Connect issuer are not usable: {0}")]
    Ca(String),
}

impl OidcConfig {
    /// The algorithms of a list of names.
    ///
    /// # Errors
    /// [`OidcError::Algorithm`].
    pub fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, OidcError> {
        let asymmetric = |name: &String| {
            let found: Option<Algorithm> = name.parse().ok();
            found.filter(|_| name.starts_with("RS") || name.starts_with("ES") || name.starts_with("PS"))
        };
        names.iter().map(|name| asymmetric(name).ok_or_else(|| OidcError::Algorithm(name.clone()))).collect()
    }

    /// The prefix that Kubernetes puts before user names if none is configured; `-` is none.
    #[must_use]
    pub fn prefix_of(configured: Option<&str>, issuer: &str, username_claim: &str) -> String {
        match configured {
            Some("-") => String::new(),
            Some(prefix) => prefix.to_owned(),
            None if username_claim == "email" => String::new(),
            None => format!("{issuer}#"),
        }
    }

    fn validate(&self) -> Result<(), OidcError> {
        let fits = self.issuer_url.starts_with("https://") && !self.issuer_url.contains(['?', '#']);
        if !fits {
            return Err(OidcError::NotHttps(self.issuer_url.clone()));
        }
        if self.audiences.is_empty() { Err(OidcError::NoAudience) } else { Ok(()) }
    }
}

/// The issuers that are trusted.
pub(super) struct Issuers(Vec<Arc<Issuer>>);

struct Issuer {
    config: OidcConfig,
    keys: Keys,
}

fn refused(why: impl Into<String>) -> TokenError {
    TokenError::Refused(why.into())
}

impl Issuers {
    pub(super) fn new(configs: Vec<OidcConfig>) -> Result<Self, OidcError> {
        let issuers = configs.into_iter().map(|config| {
            config.validate()?;
            let keys = Keys::new(&config.issuer_url, config.discovery_url.clone(), config.ca_pem.as_deref())
                .map_err(OidcError::Ca)?;
            Ok(Arc::new(Issuer { config, keys }))
        });
        Ok(Self(issuers.collect::<Result<_, _>>()?))
    }

    /// Keeps the issuers' keys until `stop`.
    pub(super) fn start(&self, stop: &CancellationToken) {
        for issuer in &self.0 {
            let (issuer, stop) = (issuer.clone(), stop.clone());
            tokio::spawn(async move { issuer.keys.keep(stop).await });
        }
    }

    /// The issuer of a token, as it says itself.
    fn issuer_of(&self, token: &str) -> Option<&Arc<Issuer>> {
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        self.0.iter().find(|issuer| claims["iss"] == issuer.config.issuer_url.as_str())
    }

    /// Who holds a token; fetches keys that are not known.
    pub(super) async fn authenticate(&self, token: &str, now: Timestamp) -> Result<UserInfo, TokenError> {
        let issuer = self.issuer_of(token).ok_or(TokenError::Invalid)?;
        if !issuer.knows_key_of(token) {
            issuer.keys.refresh().await;
        }
        issuer.user(token, &issuer.config.audiences, now).map(|(user, _)| user)
    }

    /// Who holds a token, and for which of these audiences it is good, by the keys that are known.
    pub(super) fn review(
        &self,
        token: &str,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<(UserInfo, Vec<String>), TokenError> {
        let issuer = self.issuer_of(token).ok_or(TokenError::Invalid)?;
        let own = &issuer.config.audiences;
        // The API's own audience is what the issuer's audiences stand for.
        let (user, _) = issuer.user(token, own, now)?;
        let granted: Vec<String> =
            audiences.iter().filter(|asked| **asked == super::ISSUER).map(ToString::to_string).collect();
        if granted.is_empty() {
            let (own, wanted) = (listed(own), listed(audiences));
            return Err(refused(format!("token audiences {own} is invalid for the target audiences {wanted}")));
        }
        Ok((user, granted))
    }
}

impl Issuer {
    fn knows_key_of(&self, token: &str) -> bool {
        jsonwebtoken::decode_header(token).is_ok_and(|header| !self.keys.matching(header.kid.as_deref()).is_empty())
    }

    fn user(&self, token: &str, audiences: &[String], now: Timestamp) -> Result<(UserInfo, Value), TokenError> {
        let claims = self.verified(token)?;
        claims::check(&claims, audiences, &self.config.required_claims, now).map_err(refused)?;
        let user = claims::user(&claims, &self.config).map_err(refused)?;
        Ok((user, claims))
    }

    /// The claims, if one of the issuer's keys has signed them.
    fn verified(&self, token: &str) -> Result<Value, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if !self.config.signing_algs.contains(&header.alg) {
            return Err(refused(format!(
                "oidc: verify token: oidc: id token signed with unsupported algorithm {:?}",
                header.alg
            )));
        }
        let mut rules = Validation::new(header.alg);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let keys = self.keys.matching(header.kid.as_deref());
        let found = keys.iter().find_map(|key| jsonwebtoken::decode::<Value>(token, key, &rules).ok());
        found.map(|data| data.claims).ok_or_else(|| {
            refused("oidc: verify token: failed to verify signature: failed to verify id token signature")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signatures_with_a_public_key_are_offered() {
        let names = |names: &[&str]| OidcConfig::algorithms(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(&["RS256", "ES384"]), Ok(vec![Algorithm::RS256, Algorithm::ES384]));
        for name in ["HS256", "none", "", "EdDSA"] {
            assert!(names(&[name]).is_err(), "{name}");
        }
    }

    #[test]
    fn user_names_are_prefixed_unless_they_are_addresses() {
        let prefix = |configured, claim| OidcConfig::prefix_of(configured, "https://i", claim);
        assert_eq!(prefix(None, "sub"), "https://i#");
        assert_eq!(prefix(None, "email"), "");
        assert_eq!(prefix(Some("-"), "sub"), "");
        assert_eq!(prefix(Some("oidc:"), "email"), "oidc:");
    }
}
