//! Whether a client's certificate is one of this cluster's, and whom it names.

use super::{PkiError, PkiResult};
use jiff::Timestamp;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// What a verified client certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Common name.
    pub user: String,
    /// Organisations.
    pub groups: Vec<String>,
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
    /// When it may be used.
    pub validity: Validity,
}

/// The time in which a certificate may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: ASN1Time,
    not_after: ASN1Time,
}

impl Validity {
    /// Whether the certificate of `user` may be used at `now`.
    ///
    /// # Errors
    /// [`PkiError::OutOfDate`].
    pub fn check(&self, user: &str, now: Timestamp) -> PkiResult<()> {
        let when = if now.as_second() < self.not_before.timestamp() {
            format!("is not valid before {}", self.not_before)
        } else if now.as_second() > self.not_after.timestamp() {
            format!("expired on {}", self.not_after)
        } else {
            return Ok(());
        };
        Err(PkiError::OutOfDate { subject: user.to_owned(), when })
    }
}

/// Checks a client's certificate (DER) against the CA (DER) at `now`.
///
/// # Errors
/// [`PkiError::Foreign`], [`PkiError::OutOfDate`], or [`PkiError::Damaged`] when it does not parse.
pub fn verify_client(ca_der: &[u8], der: &[u8], now: Timestamp) -> PkiResult<ClientCertificate> {
    let (_, ca) = X509Certificate::from_der(ca_der).map_err(|e| damaged("the cluster CA's certificate", &e))?;
    let (_, cert) = X509Certificate::from_der(der).map_err(|e| damaged("the client certificate", &e))?;
    let user = common_name(&cert);
    if cert.issuer() != ca.subject() || cert.verify_signature(Some(ca.public_key())).is_err() {
        return Err(PkiError::Foreign { subject: user });
    }
    let validity = Validity { not_before: cert.validity().not_before, not_after: cert.validity().not_after };
    validity.check(&user, now)?;
    Ok(ClientCertificate { user, groups: organisations(&cert), fingerprint: fingerprint(der), validity })
}

/// When the certificate of this PEM expires.
///
/// # Errors
/// When it does not parse.
pub fn expiry(pem: &str) -> PkiResult<Timestamp> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| damaged("a certificate", &e))?;
    let cert = block.parse_x509().map_err(|e| damaged("a certificate", &e))?;
    Ok(Timestamp::from_second(cert.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX))
}

/// When the certificate of this PEM is to be replaced: when a quarter of its life is left.
///
/// # Errors
/// When it does not parse.
pub fn renewal(pem: &str) -> PkiResult<Timestamp> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| damaged("a certificate", &e))?;
    let cert = block.parse_x509().map_err(|e| damaged("a certificate", &e))?;
    let (begin, end) = (cert.validity().not_before.timestamp(), cert.validity().not_after.timestamp());
    let backdate = i64::try_from(super::ca::BACKDATE.as_secs()).unwrap_or_default();
    let life = end - (begin + backdate).min(end);
    Ok(Timestamp::from_second(end - life / 4).unwrap_or(Timestamp::MAX))
}

/// The last one, as whoever approves requests reads it; certificates of this CA have one at the most.
fn common_name(cert: &X509Certificate<'_>) -> String {
    cert.subject().iter_common_name().last().and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

fn organisations(cert: &X509Certificate<'_>) -> Vec<String> {
    cert.subject().iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect()
}

fn fingerprint(der: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn damaged(what: &str, why: &dyn std::fmt::Display) -> PkiError {
    PkiError::Damaged { what: what.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::{ClusterCa, Profile, der};
    use super::*;

    #[test]
    fn an_agent_is_a_node() {
        let ca = ClusterCa::create().unwrap();
        let issued = ca.issue(&Profile::Agent { node: "n1".into() }).unwrap();
        let found = verify_client(&der(ca.cert_pem()), &der(&issued.cert_pem), Timestamp::now()).unwrap();
        assert_eq!(found.user, "system:node:n1");
        assert_eq!(found.groups, ["system:nodes"]);
    }

    #[test]
    fn a_foreign_certificate_is_named_as_such() {
        let (ours, theirs) = (ClusterCa::create().unwrap(), ClusterCa::create().unwrap());
        let issued = theirs.issue(&Profile::Admin).unwrap();
        let error = verify_client(&der(ours.cert_pem()), &der(&issued.cert_pem), Timestamp::now()).unwrap_err();
        assert!(matches!(error, PkiError::Foreign { subject } if subject == "kubernetes-admin"));
    }

    #[test]
    fn an_expired_certificate_says_when() {
        let ca = ClusterCa::create().unwrap();
        let issued = ca.issue(&Profile::Admin).unwrap();
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(24 * 400);
        let error = verify_client(&der(ca.cert_pem()), &der(&issued.cert_pem), later).unwrap_err();
        assert!(error.to_string().contains("expired on"), "{error}");
    }

    #[test]
    fn a_certificate_is_replaced_in_the_last_quarter_of_its_life() {
        for days in [365, 1] {
            let life = std::time::Duration::from_secs(days * 24 * 3600);
            let ca = ClusterCa::create().unwrap().with_leaf_lifetime(life);
            let issued = ca.issue(&Profile::Admin).unwrap();
            let (due, end) = (renewal(&issued.cert_pem).unwrap(), expiry(&issued.cert_pem).unwrap());
            assert_eq!(end.as_second() - due.as_second(), i64::try_from(days * 24 * 3600 / 4).unwrap());
        }
    }

    #[test]
    fn a_joiners_request_gets_the_name_that_the_master_decides() {
        let ca = ClusterCa::create().unwrap();
        let (_, request) = super::super::new_request("whatever").unwrap();
        let pem = ca.sign_request(&request, &Profile::Agent { node: "n2".into() }).unwrap();
        let found = verify_client(&der(ca.cert_pem()), &der(&pem), Timestamp::now()).unwrap();
        assert_eq!(found.user, "system:node:n2");
        assert!(ca.sign_request(b"junk", &Profile::Admin).is_err());
    }
}
