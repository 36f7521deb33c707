//! The certificate that a connection's client showed. Whom it names is found out once for all requests of the connection;
//! only whether it is still valid is asked again.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;

use super::from_certificate;
use crate::pki::{self, PkiResult, Validity};
use crate::user::UserInfo;

/// A leaf certificate, whose key TLS has proved the client to hold; a cheap handle.
#[derive(Clone)]
pub(crate) struct PeerCertificate(Arc<Shown>);

struct Shown {
    der: Bytes,
    /// Once the signature was found good.
    proved: OnceLock<(UserInfo, Validity)>,
}

impl PeerCertificate {
    /// Of a new connection; `der` is the leaf.
    pub fn new(der: Bytes) -> Self {
        Self(Arc::new(Shown { der, proved: OnceLock::new() }))
    }

    /// Whom it names, if the CA (DER) has signed it and it is valid at `now`.
    ///
    /// # Errors
    /// As [`pki::verify_client`].
    pub fn user(&self, ca_der: &[u8], now: Timestamp) -> PkiResult<UserInfo> {
        if let Some((user, validity)) = self.0.proved.get() {
            return validity.check(&user.name, now).map(|()| user.clone());
        }
        let certificate = pki::verify_client(ca_der, &self.0.der, now)?;
        let validity = certificate.validity;
        let user = from_certificate(certificate);
        Ok(self.0.proved.get_or_init(|| (user, validity)).0.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::pki::{ClusterCa, PkiError, Profile, der};

    #[test]
    fn a_certificate_that_was_good_is_refused_once_it_is_out_of_date() {
        let ca = ClusterCa::create().unwrap();
        let issued = ca.issue(&Profile::Admin).unwrap();
        let (ca, peer) = (der(ca.cert_pem()), PeerCertificate::new(der(&issued.cert_pem).into()));
        let now = Timestamp::now();
        for _ in 0..2 {
            assert_eq!(peer.user(&ca, now).unwrap().name, "kubernetes-admin");
        }
        let later = now + SignedDuration::from_hours(24 * 400);
        assert!(matches!(peer.user(&ca, later), Err(PkiError::OutOfDate { .. })));
        assert!(peer.user(&ca, now).is_ok());
    }

    #[test]
    fn a_foreign_certificate_stays_foreign() {
        let (ours, theirs) = (ClusterCa::create().unwrap(), ClusterCa::create().unwrap());
        let issued = theirs.issue(&Profile::Admin).unwrap();
        let peer = PeerCertificate::new(der(&issued.cert_pem).into());
        for _ in 0..2 {
            let refused = peer.user(&der(ours.cert_pem()), Timestamp::now());
            assert!(matches!(refused, Err(PkiError::Foreign { .. })));
        }
    }
}
