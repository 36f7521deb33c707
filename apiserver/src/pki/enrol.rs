//! The master's side of joining: show the CA to whoever knows a token, certify what they bring.

use super::ca::Profile;
use super::join::stored_token;
use super::{JoinToken, MasterPki, PkiError, PkiResult, TokenUse, discovery_signature};
use crate::strategy::Reader;
use crate::user::UserInfo;
use jiff::Timestamp;
use mainstay_proto::v1::{DiscoverRequest, DiscoverResponse, EnrollKind, EnrollRequest, EnrollResponse};

/// Longest name of a joiner, as for a node.
const MAX_NAME: usize = 253;

/// Answers a joiner that does not trust us yet.
///
/// # Errors
/// When the token is not known or has expired.
pub fn discover(
    pki: &MasterPki,
    reader: &dyn Reader,
    masters: Vec<String>,
    request: &DiscoverRequest,
    now: Timestamp,
) -> PkiResult<DiscoverResponse> {
    let secret = reader.get("", "secrets", "kube-system", &JoinToken::secret_name(&request.token_id));
    let token = stored_token(secret.as_deref(), &request.token_id, TokenUse::Signing, now)?;
    let signature = discovery_signature(&token.secret, &request.nonce, pki.ca.cert_pem()).into();
    Ok(DiscoverResponse { ca_pem: pki.ca.cert_pem().to_owned(), signature, masters })
}

/// Gives a joiner its certificate; a master the cluster's keys as well, with which it makes its own.
///
/// # Errors
/// When the token is not good for it, or the name or the request is malformed.
pub fn enrol(
    pki: &MasterPki,
    reader: &dyn Reader,
    masters: Vec<String>,
    request: &EnrollRequest,
    now: Timestamp,
) -> PkiResult<EnrollResponse> {
    let token: JoinToken = request.token.parse()?;
    let secret = reader.get("", "secrets", "kube-system", &JoinToken::secret_name(&token.id));
    token.check(secret.as_deref(), TokenUse::Authentication, now)?;
    check_name(&request.name)?;
    let base = EnrollResponse { ca_pem: pki.ca.cert_pem().to_owned(), masters, ..EnrollResponse::default() };
    match request.kind() {
        EnrollKind::Agent => {
            let profile = Profile::Agent { node: request.name.clone() };
            Ok(EnrollResponse { certificate_pem: pki.ca.sign_request(&request.csr, &profile)?, ..base })
        }
        EnrollKind::Master => {
            token.check(secret.as_deref(), TokenUse::Mastership, now)?;
            Ok(EnrollResponse {
                ca_key_pem: pki.ca.key_pem().to_owned(),
                service_account_key_pem: pki.service_account.private_pem().to_owned(),
                encryption_keys: pki.encryption.text().to_owned(),
                ..base
            })
        }
        EnrollKind::Unspecified => Err(PkiError::Token("was sent without saying what joins")),
    }
}

/// Gives an agent that shows the certificate of its node another one, for a new key.
///
/// # Errors
/// When the caller is not that node, or the request is malformed.
pub fn renew_agent(
    pki: &MasterPki,
    user: &UserInfo,
    masters: Vec<String>,
    request: &EnrollRequest,
) -> PkiResult<EnrollResponse> {
    let own =
        user.name == format!("system:node:{}", request.name) && user.groups.iter().any(|group| group == "system:nodes");
    if !own || request.kind() != EnrollKind::Agent {
        return Err(PkiError::Token("is wanted from whoever is not that node yet"));
    }
    let profile = Profile::Agent { node: request.name.clone() };
    let certificate_pem = pki.ca.sign_request(&request.csr, &profile)?;
    Ok(EnrollResponse { certificate_pem, ca_pem: pki.ca.cert_pem().to_owned(), masters, ..EnrollResponse::default() })
}

fn check_name(name: &str) -> PkiResult<()> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if bytes.len() <= MAX_NAME && bytes.iter().copied().all(fits) && edge(bytes.first()) && edge(bytes.last()) {
        return Ok(());
    }
    Err(PkiError::Damaged {
        what: format!("the joiner's name {name:?}"),
        why: "it must be a lower-case DNS name".into(),
    })
}
