//! What Go's TLS would complain of that was given the certificate and key of a secret.

use base64::Engine as _;
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use x509_parser::pem::Pem;

use crate::strategy::validate::At;

/// Its words, if the secret is one of TLS and something is wrong with it.
pub(super) fn warning(secret: &Value) -> Option<String> {
    let root = At::root(secret);
    if root.get("type").str() != "kubernetes.io/tls" {
        return None;
    }
    let (certificates, keys) = (blocks(&root.get("data").get("tls.crt")), blocks(&root.get("data").get("tls.key")));
    let Some(certificate) = certificates.iter().find(|block| block.label == "CERTIFICATE") else {
        return Some(no_certificate(&labels(&certificates)));
    };
    let Some(key) = keys.iter().find(|block| is_key(&block.label)) else {
        return Some(no_key(&labels(&keys)));
    };
    mismatch(&certificate.contents, &key.contents).map(str::to_owned)
}

fn blocks(at: &At<'_>) -> Vec<Pem> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(at.str()).unwrap_or_default();
    Pem::iter_from_buffer(&bytes).map_while(Result::ok).collect()
}

fn labels(blocks: &[Pem]) -> Vec<&str> {
    blocks.iter().map(|block| block.label.as_str()).collect()
}

fn is_key(label: &str) -> bool {
    label == "PRIVATE KEY" || label.ends_with(" PRIVATE KEY")
}

fn no_certificate(found: &[&str]) -> String {
    match found {
        [] => "tls: failed to find any PEM data in certificate input".to_owned(),
        [only] if is_key(only) => "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched".to_owned(),
        skipped => format!("tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]", skipped.join(" ")),
    }
}

fn no_key(found: &[&str]) -> String {
    match found {
        [] => "tls: failed to find any PEM data in key input".to_owned(),
        ["CERTIFICATE"] => "tls: found a certificate rather than a key in the PEM for the private key".to_owned(),
        skipped => format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            skipped.join(" ")
        ),
    }
}

/// What keeps a certificate from being served with a key. Nothing is said of those that only Go understands.
fn mismatch(certificate: &[u8], key: &[u8]) -> Option<&'static str> {
    if !begins_with_sequence(certificate) {
        return Some("x509: malformed certificate");
    }
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let Ok(key) = PrivateKeyDer::try_from(key) else { return Some("tls: failed to parse private key") };
    let key = any_supported_type(&key).ok()?;
    let public = certificate.public_key();
    let wanted = match public.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => SignatureAlgorithm::RSA,
        "1.2.840.10045.2.1" => SignatureAlgorithm::ECDSA,
        "1.3.101.112" => SignatureAlgorithm::ED25519,
        _ => return Some("tls: unknown public key algorithm"),
    };
    if key.algorithm() != wanted {
        return Some("tls: private key type does not match public key type");
    }
    let own = key.public_key()?;
    (own.as_ref() != public.raw).then_some("tls: private key does not match public key")
}

/// Whether a whole SEQUENCE comes first. Source: X.690, section 8.1.
fn begins_with_sequence(der: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = der else { return false };
    if *length < 0x80 {
        return rest.len() >= usize::from(*length);
    }
    let Some((digits, rest)) = rest.split_at_checked(usize::from(*length & 0x7f)) else { return false };
    let length = digits.iter().fold(0_usize, |sum, digit| sum.saturating_mul(256).saturating_add(usize::from(*digit)));
    rest.len() >= length
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
    use serde_json::json;

    use super::*;

    fn judge(certificate: &str, key: &str) -> Option<String> {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let data = json!({"tls.crt": encode(certificate), "tls.key": encode(key)});
        warning(&json!({"type": "kubernetes.io/tls", "data": data}))
    }

    #[test]
    fn a_certificate_is_served_with_its_own_key() {
        let own = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = CertificateParams::new(vec!["x.example.com".to_owned()]).unwrap().self_signed(&own).unwrap();
        let certificate = certificate.pem();
        assert_eq!(judge(&certificate, &own.serialize_pem()), None);
        let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let told = judge(&certificate, &other.serialize_pem());
        assert_eq!(told.as_deref(), Some("tls: private key does not match public key"));
        let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let told = judge(&certificate, &other.serialize_pem());
        assert_eq!(told.as_deref(), Some("tls: private key type does not match public key type"));
        let told = judge(&certificate, "-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----\n");
        assert_eq!(told.as_deref(), Some("tls: failed to parse private key"));
        let told = judge("-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n", &own.serialize_pem());
        assert_eq!(told.as_deref(), Some("x509: malformed certificate"));
    }

    #[test]
    fn what_was_found_instead_is_told() {
        assert_eq!(judge("", "").as_deref(), Some("tls: failed to find any PEM data in certificate input"));
        assert!(begins_with_sequence(&[0x30, 0x81, 1, 0]));
        assert!(!begins_with_sequence(&[0x30, 0x82, 1]));
        assert!(!begins_with_sequence(&[0x30, 2, 0]));
    }
}
