//! The certificate authority: which certificates there are, and what each of them says.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::csr::Requested;
use super::subject::with_subject;
use super::{PkiError, PkiResult, crypto};

/// The group of masters, whose certificates open the replicated store.
const PEERS: &str = "system:mainstay:masters";
/// How long the CA itself is good for.
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long everything that it issues is good for, unless it is told otherwise.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// Clocks may differ by this much.
pub(super) const BACKDATE: Duration = Duration::from_secs(3600);

/// The cluster CA with its key.
pub struct ClusterCa {
    cert_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
    leaf_lifetime: Duration,
}

/// Who a certificate names: the user and the groups of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Common name, the user.
    pub user: String,
    /// Organisation, the group; a certificate of this CA names one at the most.
    pub group: Option<String>,
}

/// Which kind of certificate is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The administrator of a new cluster.
    Admin,
    /// A master's API listener.
    Serving {
        /// The master's name.
        master: String,
        /// Further names and addresses that clients reach it by.
        addresses: Vec<String>,
    },
    /// A master to the other masters' peer listeners and APIs, as server and as client.
    Peer {
        /// The master's name.
        master: String,
        /// Names and addresses of its peer listener.
        addresses: Vec<String>,
    },
    /// A node's agent.
    Agent {
        /// The node's name.
        node: String,
    },
    /// Any other client.
    Client(Identity),
}

/// A certificate with its private key.
#[derive(Clone)]
pub struct Issued {
    /// PEM of the certificate.
    pub cert_pem: String,
    /// PEM of its key (PKCS#8).
    pub key_pem: String,
}

impl Profile {
    /// The user and groups that the certificate stands for.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let (user, group) = match self {
            Self::Admin => ("kubernetes-admin".to_owned(), Some("system:masters")),
            Self::Serving { master, .. } => (master.clone(), None),
            Self::Peer { master, .. } => (format!("system:mainstay:master:{master}"), Some(PEERS)),
            Self::Agent { node } => (format!("system:node:{node}"), Some("system:nodes")),
            Self::Client(identity) => return identity.clone(),
        };
        Identity { user, group: group.map(str::to_owned) }
    }

    fn usages(&self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Self::Serving { .. } => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Self::Peer { .. } | Self::Agent { .. } => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Self::Admin | Self::Client(_) => vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
    }

    fn alternative_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Serving { master, addresses } => [
                master.as_str(),
                "localhost",
                "127.0.0.1",
                "::1",
                "10.96.0.1",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ]
            .into_iter()
            .map(str::to_owned)
            .chain(addresses.iter().cloned())
            .collect(),
            Self::Peer { master, addresses } => ["mainstay-peer", master.as_str(), "localhost", "127.0.0.1"]
                .into_iter()
                .map(str::to_owned)
                .chain(addresses.iter().cloned())
                .collect(),
            Self::Agent { node } => vec![node.clone()],
            Self::Admin | Self::Client(_) => Vec::new(),
        };
        names.sort();
        names.dedup();
        names
    }

    fn params(&self, lifetime: Duration) -> PkiResult<CertificateParams> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = self.alternative_names().into_iter().map(subject_name).collect::<PkiResult<_>>()?;
        params.distinguished_name = distinguished(&self.identity());
        params.extended_key_usages = self.usages();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, lifetime);
        Ok(params)
    }
}

impl ClusterCa {
    /// A new CA.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn create() -> PkiResult<Self> {
        let key = KeyPair::generate().map_err(crypto("make the CA's key"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(&Identity { user: "mainstay-ca".into(), group: None });
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        validity(&mut params, CA_LIFETIME);
        let cert = params.self_signed(&key).map_err(crypto("sign the CA's certificate"))?;
        Self::from_pem(cert.pem(), key.serialize_pem())
    }

    /// The CA as it was written by [`ClusterCa::create`].
    ///
    /// # Errors
    /// When certificate or key do not parse.
    pub fn from_pem(cert_pem: String, key_pem: String) -> PkiResult<Self> {
        let damaged = |what: &str| {
            let what = what.to_owned();
            move |error: rcgen::Error| PkiError::Damaged { what, why: error.to_string() }
        };
        let key = KeyPair::from_pem(&key_pem).map_err(damaged("the cluster CA's key"))?;
        let issuer = Issuer::from_ca_cert_pem(&cert_pem, key).map_err(damaged("the cluster CA's certificate"))?;
        Ok(Self { cert_pem, key_pem, issuer, leaf_lifetime: LEAF_LIFETIME })
    }

    /// The same, issuing certificates that are good for this long.
    #[must_use]
    pub fn with_leaf_lifetime(self, leaf_lifetime: Duration) -> Self {
        Self { leaf_lifetime, ..self }
    }

    /// The certificate, for whoever has to trust the cluster.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The private key; goes to new masters only.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The administrator's bearer token: the same on all masters, since it derives from the CA's key.
    #[must_use]
    pub fn admin_token(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key_pem.trim().as_bytes());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, b"mainstay administrator token").as_ref())
    }

    /// A new key and its certificate.
    ///
    /// # Errors
    /// When key or signature cannot be made, or an address is not a valid name.
    pub fn issue(&self, profile: &Profile) -> PkiResult<Issued> {
        let key = KeyPair::generate().map_err(crypto("make a key"))?;
        let cert =
            profile.params(self.leaf_lifetime)?.signed_by(&key, &self.issuer).map_err(crypto("sign a certificate"))?;
        Ok(Issued { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }

    /// Certifies a joiner's key. Of the request only the public key is taken.
    ///
    /// # Errors
    /// When the request is malformed or its self-signature wrong.
    pub fn sign_request(&self, request_der: &[u8], profile: &Profile) -> PkiResult<String> {
        let mut request = CertificateSigningRequestParams::from_der(&request_der.into())
            .map_err(|error| PkiError::Damaged { what: "the certificate request".into(), why: error.to_string() })?;
        request.params = profile.params(self.leaf_lifetime)?;
        Ok(request.signed_by(&self.issuer).map_err(crypto("sign a certificate"))?.pem())
    }

    /// Certifies the key, the subject and the alternative names of a request (PEM of PKCS#10) for these usages, in
    /// Kubernetes' words, and for so long. PEM of the certificate.
    ///
    /// # Errors
    /// When the request is malformed, its self-signature wrong, a usage is none that this CA issues certificates for, or the
    /// subject is a master, or may be read in two ways.
    pub fn certify(&self, request_pem: &[u8], usages: &[String], lifetime: Duration) -> PkiResult<String> {
        let damaged = |why: String| PkiError::Damaged { what: "the certificate request".into(), why };
        if let Some(usage) = usages.iter().find(|usage| key_usage(usage).is_none() && extended_usage(usage).is_none()) {
            return Err(damaged(format!("this CA does not issue certificates for {usage:?}")));
        }
        let asked = Requested::read(request_pem).map_err(damaged)?;
        if asked.organisations.iter().any(|name| name == PEERS) {
            return Err(damaged(format!("only a master that joins gets a certificate for {PEERS}")));
        }
        let mut params = CertificateParams::default();
        params.subject_alt_names = asked.names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = usages.iter().filter_map(|usage| key_usage(usage)).collect();
        params.extended_key_usages = usages.iter().filter_map(|usage| extended_usage(usage)).collect();
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, lifetime);
        let certificate = params.signed_by(&asked.key, &self.issuer).map_err(crypto("sign a certificate"))?;
        let signed = with_subject(certificate.der(), &asked.subject, self.issuer.key());
        let signed = signed.map_err(|why| PkiError::Crypto { what: "sign a certificate", why })?;
        let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new("CERTIFICATE", signed), lines))
    }
}

/// Source: `KeyUsage` of certificates.k8s.io/v1.
fn key_usage(usage: &str) -> Option<KeyUsagePurpose> {
    Some(match usage {
        "signing" | "digital signature" => KeyUsagePurpose::DigitalSignature,
        "content commitment" => KeyUsagePurpose::ContentCommitment,
        "key encipherment" => KeyUsagePurpose::KeyEncipherment,
        "key agreement" => KeyUsagePurpose::KeyAgreement,
        "data encipherment" => KeyUsagePurpose::DataEncipherment,
        _ => return None,
    })
}

fn extended_usage(usage: &str) -> Option<ExtendedKeyUsagePurpose> {
    Some(match usage {
        "server auth" => ExtendedKeyUsagePurpose::ServerAuth,
        "client auth" => ExtendedKeyUsagePurpose::ClientAuth,
        "code signing" => ExtendedKeyUsagePurpose::CodeSigning,
        "email protection" => ExtendedKeyUsagePurpose::EmailProtection,
        "timestamping" => ExtendedKeyUsagePurpose::TimeStamping,
        "ocsp signing" => ExtendedKeyUsagePurpose::OcspSigning,
        _ => return None,
    })
}

/// The key and PKCS#10 request (DER) of a joiner.
///
/// # Errors
/// When the key cannot be made.
pub fn new_request(common_name: &str) -> PkiResult<(String, Vec<u8>)> {
    let key = KeyPair::generate().map_err(crypto("make a key"))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(&Identity { user: common_name.to_owned(), group: None });
    let request = params.serialize_request(&key).map_err(crypto("make a certificate request"))?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

fn subject_name(name: String) -> PkiResult<SanType> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let dns = name.as_str().try_into().map_err(crypto("use a name in a certificate"))?;
    Ok(SanType::DnsName(dns))
}

fn distinguished(identity: &Identity) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(group) = &identity.group {
        name.push(DnType::OrganizationName, group.as_str());
    }
    name.push(DnType::CommonName, identity.user.as_str());
    name
}

fn validity(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + lifetime).into();
}

#[cfg(test)]
mod tests {
    use x509_parser::extensions::GeneralName;
    use x509_parser::prelude::FromDer;

    use super::super::{der, verify_client};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn request(name: DistinguishedName) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap().into_bytes()
    }

    #[test]
    fn a_request_is_certified_as_it_asks() {
        let ca = ClusterCa::create().unwrap();
        let name = distinguished(&Identity { user: "jane".into(), group: Some("devs".into()) });
        let usages = ["client auth".to_owned(), "digital signature".to_owned()];
        let pem = ca.certify(&request(name), &usages, HOUR).unwrap();
        let certificate = der(&pem);
        let found = verify_client(&der(ca.cert_pem()), &certificate, jiff::Timestamp::now()).unwrap();
        assert_eq!((found.user.as_str(), found.groups), ("jane", vec!["devs".to_owned()]));
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&certificate).unwrap();
        assert!(certificate.extended_key_usage().unwrap().unwrap().value.client_auth);
        assert!(!certificate.is_ca());
    }

    #[test]
    fn a_certificate_names_all_organisations_of_its_request() {
        let ca = ClusterCa::create().unwrap();
        let mut name = distinguished(&Identity { user: "jane".into(), group: Some("devs".into()) });
        name.push(DnType::CustomDnType(vec![2, 5, 4, 10]), "ops");
        let certificate = der(&ca.certify(&request(name), &["client auth".to_owned()], HOUR).unwrap());
        let found = verify_client(&der(ca.cert_pem()), &certificate, jiff::Timestamp::now()).unwrap();
        assert_eq!((found.user.as_str(), found.groups), ("jane", vec!["devs".to_owned(), "ops".to_owned()]));
        assert!(ca.certify(b"junk", &[], HOUR).is_err());
        let master = distinguished(&Identity { user: "jane".into(), group: Some(PEERS.into()) });
        let refused = ca.certify(&request(master), &[], HOUR).unwrap_err();
        assert!(refused.to_string().contains("only a master that joins"), "{refused}");
    }

    #[test]
    fn a_certificate_is_for_the_alternative_names_of_its_request() {
        let ca = ClusterCa::create().unwrap();
        let names = ["web.example.com".to_owned(), "10.1.2.3".to_owned()];
        let params = CertificateParams::new(names.clone()).unwrap();
        let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        let certificate = der(&ca.certify(request.as_bytes(), &["server auth".to_owned()], HOUR).unwrap());
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&certificate).unwrap();
        let found = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
        assert_eq!(found, [GeneralName::DNSName("web.example.com"), GeneralName::IPAddress(&[10, 1, 2, 3])]);
    }

    #[test]
    fn usages_that_no_certificate_would_have_are_refused() {
        let ca = ClusterCa::create().unwrap();
        let name = distinguished(&Identity { user: "jane".into(), group: None });
        let refused = ca.certify(&request(name), &["netscape sgc".to_owned()], HOUR).unwrap_err();
        assert!(refused.to_string().contains("netscape sgc"), "{refused}");
    }
}
