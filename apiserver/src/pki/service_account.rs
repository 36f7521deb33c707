//! The key that signs service-account tokens (RS256, as Kubernetes' own).

use super::{PkiError, PkiResult, crypto};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Signs and verifies service-account tokens; the same key on every master.
pub struct ServiceAccountKey {
    private_pem: String,
    public_pem: String,
    id: String,
    sign: EncodingKey,
    verify: DecodingKey,
}

impl ServiceAccountKey {
    /// A new 2048-bit key.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create() -> PkiResult<Self> {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            .map_err(crypto("make the service-account key"))?;
        Self::from_pem(pair.serialize_pem())
    }

    /// The key as it was written by [`ServiceAccountKey::private_pem`].
    ///
    /// # Errors
    /// When it does not parse.
    pub fn from_pem(private_pem: String) -> PkiResult<Self> {
        let pair = KeyPair::from_pem_and_sign_algo(&private_pem, &PKCS_RSA_SHA256).map_err(|e| damaged(&e))?;
        let public_pem = pair.public_key_pem();
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
        let sign = EncodingKey::from_rsa_pem(private_pem.as_bytes()).map_err(|e| damaged(&e))?;
        let verify = DecodingKey::from_rsa_pem(public_pem.as_bytes()).map_err(|e| damaged(&e))?;
        Ok(Self { private_pem, public_pem, id, sign, verify })
    }

    /// PKCS#8 PEM, for new masters.
    #[must_use]
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// PEM of the public half.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The `kid` of its tokens: the digest of the public key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who issues the tokens.
    #[must_use]
    pub fn issuer(&self) -> &'static str {
        crate::authn::ISSUER
    }

    /// The public half as a JSON Web Key.
    ///
    /// # Errors
    /// When the key does not parse.
    pub fn public_jwk(&self) -> PkiResult<Value> {
        use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
        use x509_parser::public_key::PublicKey;
        let (_, block) = x509_parser::pem::parse_x509_pem(self.public_pem.as_bytes()).map_err(|e| damaged(&e))?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&block.contents).map_err(|e| damaged(&e))?;
        let PublicKey::RSA(key) = info.parsed().map_err(|e| damaged(&e))? else {
            return Err(damaged(&"it is no RSA key"));
        };
        // Numbers are written without the zero that keeps their sign.
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes.strip_prefix(&[0]).unwrap_or(bytes));
        Ok(serde_json::json!({
            "use": "sig", "kty": "RSA", "kid": self.id, "alg": "RS256",
            "n": number(key.modulus), "e": number(key.exponent),
        }))
    }

    /// A signed token with these claims.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(&self, claims: &Value) -> PkiResult<String> {
        let mut header = Header::new(Algorithm::RS256);
        header.typ = None;
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.sign)
            .map_err(|e| PkiError::Crypto { what: "sign a service-account token", why: e.to_string() })
    }

    /// The claims of a token that this key signed; nothing but the signature is checked.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Value> {
        let mut rules = Validation::new(Algorithm::RS256);
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        jsonwebtoken::decode::<Value>(token, &self.verify, &rules).ok().map(|data| data.claims)
    }
}

fn damaged(why: &dyn std::fmt::Display) -> PkiError {
    PkiError::Damaged { what: "the service-account key".into(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_its_own_tokens_verify() {
        let (key, other) = (ServiceAccountKey::create().unwrap(), ServiceAccountKey::create().unwrap());
        let token = key.sign(&json!({"sub": "x"})).unwrap();
        assert_eq!(key.verify(&token), Some(json!({"sub": "x"})));
        assert_eq!(other.verify(&token), None);
        assert_eq!(key.verify("a.b.c"), None);
        assert_eq!(key.id().len(), 43);
    }
}
