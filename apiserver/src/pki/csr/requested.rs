//! What a certificate takes over from a request.

use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{SanType, SubjectPublicKeyInfo};

use super::names::{self, ADDRESS, HOST, MAIL, Part, URI};
use super::signature;
use crate::pki::asn1::Element;

/// Object identifiers. Source: X.520.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANISATION: &[u8] = &[0x55, 4, 10];

/// The parts of a request that a certificate takes over.
pub(crate) struct Requested {
    /// DER.
    pub subject: Vec<u8>,
    pub key: SubjectPublicKeyInfo,
    pub names: Vec<SanType>,
    pub organisations: Vec<String>,
}

impl Requested {
    /// Reads the PEM of a request. Usages and other extensions that it asks for are for the issuer to decide.
    ///
    /// # Errors
    /// Why it is no request, or not signed with its own key, or names a user that could be taken for another one.
    pub fn read(pem: &[u8]) -> Result<Self, String> {
        let der = super::contents(pem)?;
        let (request, key) = super::read(&der)?;
        let is_verified = signature::check(&request, &key).map_err(|why| format!("its signature is wrong: {why}"))?;
        if !is_verified {
            return Err("its signature is of a kind that cannot be verified".to_owned());
        }
        let organisations = one_reading(&names::parts_of(request.subject)?)?;
        let names = names::alternative_names(&request.attributes)?;
        let names = names.iter().map(alternative).collect::<Result<_, _>>()?;
        let key = SubjectPublicKeyInfo::from_der(request.key_info).map_err(|error| format!("its key: {error}"))?;
        Ok(Self { subject: request.subject.to_vec(), key, names, organisations })
    }
}

/// The organisations in the subject of a request (PEM of PKCS#10).
///
/// # Errors
/// Why it is no such request.
pub(crate) fn requested_organisations(pem: &[u8]) -> Result<Vec<String>, String> {
    let der = super::contents(pem)?;
    let (request, _) = super::read(&der)?;
    organisations(&names::parts_of(request.subject)?)
}

/// The common name in the subject of a request (PEM of PKCS#10), the last if there are several; empty if there is none.
///
/// # Errors
/// Why it is no such request.
pub(crate) fn requested_common_name(pem: &[u8]) -> Result<String, String> {
    let der = super::contents(pem)?;
    let (request, _) = super::read(&der)?;
    let subject = names::parts_of(request.subject)?;
    let name = subject.iter().rfind(|part| part.kind == COMMON_NAME);
    Ok(name.and_then(|part| part.text()).unwrap_or_default().to_owned())
}

/// One that cannot be read must not count as none: it could be a group that nobody may ask for.
fn organisations(subject: &[Part<'_>]) -> Result<Vec<String>, String> {
    let names = subject.iter().filter(|part| part.kind == ORGANISATION);
    let names = names.map(|part| part.text().map(str::to_owned)).collect::<Option<_>>();
    names.ok_or_else(|| "an organization is not readable".to_owned())
}

/// The organisations of a subject. Refuses one of which who approves might read another user or group than who meets its
/// certificate.
fn one_reading(subject: &[Part<'_>]) -> Result<Vec<String>, String> {
    let organisations = organisations(subject)?;
    let mut names = subject.iter().filter(|part| part.kind == COMMON_NAME);
    let readable = names.next().is_none_or(|name| name.text().is_some());
    match (readable, names.next()) {
        (false, _) => Err("its common name is not readable".to_owned()),
        (true, Some(_)) => Err("it has several common names, and a user has one".to_owned()),
        (true, None) => Ok(organisations),
    }
}

fn alternative(name: &Element<'_>) -> Result<SanType, String> {
    let odd = |why: &dyn std::fmt::Display| format!("an alternative name is not usable: {why}");
    let text = || -> Result<Ia5String, String> {
        let text = std::str::from_utf8(name.content).map_err(|error| odd(&error))?;
        text.try_into().map_err(|error: rcgen::Error| odd(&error))
    };
    Ok(match name.tag {
        HOST => SanType::DnsName(text()?),
        MAIL => SanType::Rfc822Name(text()?),
        URI => SanType::URI(text()?),
        ADDRESS => SanType::IpAddress(address(name.content).ok_or_else(|| odd(&"an address of odd length"))?),
        _ => return Err(odd(&"it is neither a host, an address, a mailbox nor a URI")),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let of_4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let of_16 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    of_4.or_else(|_| of_16()).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    #[test]
    fn an_organisation_in_a_strange_encoding_is_refused_and_not_overlooked() {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let masters = rcgen::string::BmpString::try_from("system:masters").unwrap();
        params.distinguished_name.push(DnType::OrganizationName, DnValue::BmpString(masters));
        let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        let refused = requested_organisations(request.as_bytes()).unwrap_err();
        assert!(refused.starts_with("an organization is not readable"), "{refused}");
    }

    #[test]
    fn a_user_has_one_name() {
        let asked = |names: &[(DnType, DnValue)]| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            names.iter().for_each(|(kind, name)| params.distinguished_name.push(kind.clone(), name.clone()));
            let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
            Requested::read(request.as_bytes()).map(drop)
        };
        let again = DnType::CustomDnType(vec![2, 5, 4, 3]);
        let (other, own) = (DnValue::from("kubernetes-admin"), DnValue::from("system:node:n1"));
        let strange = DnValue::BmpString(rcgen::string::BmpString::try_from("jane").unwrap());
        assert_eq!(asked(&[]), Ok(()));
        assert_eq!(asked(&[(DnType::CommonName, own.clone())]), Ok(()));
        let twice = asked(&[(DnType::CommonName, other), (again, own)]).unwrap_err();
        assert!(twice.contains("several common names"), "{twice}");
        assert!(asked(&[(DnType::CommonName, strange.clone())]).unwrap_err().contains("common name is not readable"));
        assert!(asked(&[(DnType::OrganizationName, strange)]).unwrap_err().contains("organization is not readable"));
    }

    #[test]
    fn a_request_that_somebody_has_changed_is_refused() {
        let request = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap();
        let read = |der: &[u8]| {
            let pem = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der));
            Requested::read(pem.as_bytes()).map(drop)
        };
        let mut der = request.der().to_vec();
        assert_eq!(read(&der), Ok(()));
        let name = der.windows(5).position(|bytes| bytes == b"rcgen").unwrap();
        der[name] = b'R';
        assert_eq!(read(&der).unwrap_err(), "its signature is wrong: x509: ECDSA verification failure");
    }

    #[test]
    fn alternative_names_are_what_a_certificate_can_have() {
        let of = |tag: u8, content: &[u8]| {
            let bytes = [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat();
            alternative(&crate::pki::asn1::Values::of(&bytes).any().unwrap())
        };
        assert_eq!(of(0x82, b"a.example"), Ok(SanType::DnsName("a.example".try_into().unwrap())));
        assert_eq!(of(0x87, &[10, 1, 2, 3]), Ok(SanType::IpAddress(IpAddr::from([10, 1, 2, 3]))));
        assert!(of(0x88, &[0x2a]).unwrap_err().starts_with("an alternative name is not usable: "));
    }
}
