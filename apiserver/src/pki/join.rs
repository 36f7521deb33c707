//! Join tokens: `id.secret`, kept as bootstrap-token Secrets in kube-system, as kubeadm does.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rand::Rng;
use serde_json::{Value, json};

use super::{PkiError, PkiResult};

const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// The Secret's field that says that a token admits masters.
const USAGE_MASTERSHIP: &str = "usage-mainstay-mastership";

/// A token for joining the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Public part, 6 characters; names the Secret.
    pub id: String,
    /// Secret part, 16 characters.
    pub secret: String,
}

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// As a bearer token, and to enrol.
    Authentication,
    /// To sign the discovery answer.
    Signing,
    /// To become a master, which gets the cluster's keys.
    Mastership,
}

/// Whom a token lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// Workers only.
    Workers,
    /// Masters as well.
    Masters,
}

impl std::fmt::Display for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.id, self.secret)
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.****************", self.id)
    }
}

impl std::str::FromStr for JoinToken {
    type Err = PkiError;

    fn from_str(text: &str) -> PkiResult<Self> {
        let fits = |part: &str, length| part.len() == length && part.bytes().all(|b| ALPHABET.contains(&b));
        match text.trim().split_once('.') {
            Some((id, secret)) if fits(id, 6) && fits(secret, 16) => Ok(Self { id: id.into(), secret: secret.into() }),
            _ => Err(PkiError::Token("is malformed (it looks like abcdef.0123456789abcdef)")),
        }
    }
}

impl JoinToken {
    /// A new random token.
    #[must_use]
    pub fn generate() -> Self {
        let mut rng = rand::rng();
        let mut word =
            |length| (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
        Self { id: word(6), secret: word(16) }
    }

    /// Name of the Secret that holds a token with this id.
    #[must_use]
    pub fn secret_name(id: &str) -> String {
        format!("bootstrap-token-{id}")
    }

    /// The Secret that makes this token known to the cluster; without `ttl` it does not expire.
    #[must_use]
    pub fn to_secret(&self, admits: Admits, ttl: Option<Duration>, description: &str, now: Timestamp) -> Value {
        let mut fields = vec![
            ("auth-extra-groups", "system:bootstrappers:mainstay:join".to_owned()),
            ("description", description.to_owned()),
            ("token-id", self.id.clone()),
            ("token-secret", self.secret.clone()),
            ("usage-bootstrap-authentication", "true".to_owned()),
            ("usage-bootstrap-signing", "true".to_owned()),
        ];
        if admits == Admits::Masters {
            fields.push((USAGE_MASTERSHIP, "true".to_owned()));
        }
        if let Some(ttl) = ttl {
            let end = Timestamp::from_second(now.as_second().saturating_add_unsigned(ttl.as_secs()))
                .unwrap_or(Timestamp::MAX);
            fields.push(("expiration", end.to_string()));
        }
        let data: serde_json::Map<String, Value> =
            fields.into_iter().map(|(key, value)| (key.to_owned(), Value::String(STANDARD.encode(value)))).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": Self::secret_name(&self.id), "namespace": "kube-system"},
            "type": "bootstrap.kubernetes.io/token",
            "data": data,
        })
    }

    /// Checks this token against its Secret.
    ///
    /// # Errors
    /// [`PkiError::Token`] saying what is wrong.
    pub fn check(&self, secret: Option<&Value>, purpose: TokenUse, now: Timestamp) -> PkiResult<()> {
        let stored = stored_token(secret, &self.id, purpose, now)?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(stored.secret.as_bytes(), self.secret.as_bytes());
        same.map_err(|_| PkiError::Token("is not known to this cluster"))
    }
}

/// The token of a Secret, if it is good for `purpose` at `now`.
///
/// # Errors
/// [`PkiError::Token`] saying what is wrong.
pub fn stored_token(secret: Option<&Value>, id: &str, purpose: TokenUse, now: Timestamp) -> PkiResult<JoinToken> {
    let unknown = PkiError::Token("is not known to this cluster");
    let Some(secret) =
        secret.filter(|s| s["type"] == "bootstrap.kubernetes.io/token" && s["metadata"]["deletionTimestamp"].is_null())
    else {
        return Err(unknown);
    };
    let field = |name: &str| -> Option<String> {
        String::from_utf8(STANDARD.decode(secret["data"][name].as_str()?).ok()?).ok()
    };
    if field("token-id").as_deref() != Some(id) {
        return Err(unknown);
    }
    let usage = match purpose {
        TokenUse::Authentication => "usage-bootstrap-authentication",
        TokenUse::Signing => "usage-bootstrap-signing",
        TokenUse::Mastership => USAGE_MASTERSHIP,
    };
    if field(usage).as_deref() != Some("true") {
        return Err(PkiError::Token(match purpose {
            TokenUse::Mastership => "admits workers only (masters want one made with --masters)",
            _ => "may not be used for this",
        }));
    }
    if let Some(end) = field("expiration")
        && !end.parse::<Timestamp>().is_ok_and(|end| now < end)
    {
        return Err(PkiError::Token("has expired"));
    }
    Ok(JoinToken { id: id.to_owned(), secret: field("token-secret").ok_or(unknown)? })
}

/// Extra groups of a caller that authenticates with a token; `None` if one of them is not a bootstrapper's, which makes the
/// token useless.
#[must_use]
pub fn extra_groups(secret: &Value) -> Option<Vec<String>> {
    let Some(encoded) = secret["data"]["auth-extra-groups"].as_str() else { return Some(Vec::new()) };
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(|group| is_bootstrap_group(group).then(|| group.to_owned())).collect()
}

/// `system:bootstrappers:` and a name of small letters, digits, colons and dashes that ends in a letter or a digit.
fn is_bootstrap_group(group: &str) -> bool {
    let Some(name) = group.strip_prefix("system:bootstrappers:") else { return false };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 256
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b':' | b'-'))
        && name.bytes().last().is_some_and(plain)
}

/// What signs the CA for a joiner: HMAC-SHA256 over nonce and CA, keyed with the token's secret.
#[must_use]
pub fn discovery_signature(secret: &str, nonce: &[u8], ca_pem: &str) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    context.update(nonce);
    context.update(ca_pem.as_bytes());
    context.sign().as_ref().to_vec()
}

/// The joiner's side of [`discovery_signature`].
///
/// # Errors
/// [`PkiError::Token`] when whoever answered does not know the token's secret.
pub fn verify_discovery(token: &JoinToken, nonce: &[u8], ca_pem: &str, signature: &[u8]) -> PkiResult<()> {
    let expected = discovery_signature(&token.secret, nonce, ca_pem);
    aws_lc_rs::constant_time::verify_slices_are_equal(&expected, signature)
        .map_err(|_| PkiError::Token("does not match what the master signed its CA with"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form() {
        let token = JoinToken::generate();
        assert_eq!(token.to_string().parse::<JoinToken>().unwrap(), token);
        assert!("abcdef.short".parse::<JoinToken>().is_err());
        assert!("ABCDEF.0123456789abcdef".parse::<JoinToken>().is_err());
    }

    #[test]
    fn a_secret_admits_only_its_token_and_only_for_its_time() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let token = JoinToken::generate();
        let secret = token.to_secret(Admits::Workers, Some(Duration::from_secs(60)), "test", now);
        let at = |seconds| now + jiff::SignedDuration::from_secs(seconds);
        assert!(token.check(Some(&secret), TokenUse::Authentication, at(59)).is_ok());
        assert!(
            token.check(Some(&secret), TokenUse::Authentication, at(61)).unwrap_err().to_string().contains("expired")
        );
        let wrong = JoinToken { secret: "x".repeat(16), ..token.clone() };
        assert!(wrong.check(Some(&secret), TokenUse::Authentication, at(1)).is_err());
        assert!(token.check(None, TokenUse::Signing, at(1)).is_err());
        assert!(token.check(Some(&secret), TokenUse::Mastership, at(1)).is_err());
        let secret = token.to_secret(Admits::Masters, None, "test", now);
        assert!(token.check(Some(&secret), TokenUse::Mastership, at(1)).is_ok());
    }

    #[test]
    fn extra_groups_are_bootstrappers_or_the_token_is_useless() {
        let groups = |text: &str| extra_groups(&json!({"data": {"auth-extra-groups": STANDARD.encode(text)}}));
        assert_eq!(groups("system:bootstrappers:a,system:bootstrappers:b:c-d").unwrap().len(), 2);
        assert_eq!(groups(""), Some(Vec::new()));
        assert_eq!(extra_groups(&json!({"data": {}})), Some(Vec::new()));
        for wrong in [
            "system:masters",
            "system:bootstrappers:a,system:masters",
            "system:bootstrappers:",
            "system:bootstrappers:a-",
        ] {
            assert_eq!(groups(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn discovery_proves_knowledge_of_the_secret() {
        let token = JoinToken::generate();
        let signature = discovery_signature(&token.secret, b"nonce", "CA");
        assert!(verify_discovery(&token, b"nonce", "CA", &signature).is_ok());
        assert!(verify_discovery(&token, b"nonce", "other CA", &signature).is_err());
    }
}
