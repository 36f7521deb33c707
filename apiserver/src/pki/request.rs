//! What a certificate request (PKCS#10) asks for, and the certificate with exactly the subject that it names.
//!
//! `rcgen` knows one value for each part of a subject. Kubernetes' users belong to a group for each organization of their
//! certificate, so the subject goes from the request into the certificate as it is.

use std::net::IpAddr;

use rcgen::{SanType, SigningKey, SubjectPublicKeyInfo};
use x509_parser::asn1_rs::Any;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// Where a certificate has what its signature is made with, and its subject. Source: RFC 5280, section 4.1.
const ALGORITHM_AT: usize = 2;
const SUBJECT_AT: usize = 5;

/// The parts of a request that a certificate takes over.
pub(super) struct Requested {
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
        let contents = contents(pem)?;
        let request = parse(&contents)?;
        request.verify_signature().map_err(|error| format!("its signature is wrong: {error}"))?;
        let info = &request.certification_request_info;
        let organisations = one_reading(&info.subject)?;
        let mut names = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(asked) = extension {
                names = asked.general_names.iter().map(alternative).collect::<Result<_, _>>()?;
            }
        }
        let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw).map_err(|error| format!("its key: {error}"))?;
        Ok(Self { subject: info.subject.as_raw().to_vec(), key, names, organisations })
    }
}

fn contents(pem: &[u8]) -> Result<Vec<u8>, String> {
    let (_, block) =
        x509_parser::pem::parse_x509_pem(pem).map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
    Ok(block.contents)
}

fn parse(contents: &[u8]) -> Result<X509CertificationRequest<'_>, String> {
    X509CertificationRequest::from_der(contents).map(|(_, request)| request).map_err(|error| error.to_string())
}

/// The organisations in the subject of a request (PEM of PKCS#10).
///
/// # Errors
/// Why it is no such request.
pub(crate) fn requested_organisations(pem: &[u8]) -> Result<Vec<String>, String> {
    let contents = contents(pem)?;
    let request = parse(&contents)?;
    organisations(&request.certification_request_info.subject)
}

fn organisations(subject: &X509Name<'_>) -> Result<Vec<String>, String> {
    let text = |name: &AttributeTypeAndValue<'_>| name.as_str().map(str::to_owned);
    // One that cannot be read must not count as none: it could be a group that nobody may ask for.
    let all = subject.iter_organization().map(text).collect::<Result<_, _>>();
    all.map_err(|error| format!("an organization is not readable: {error}"))
}

/// The organisations of a subject. Refuses one of which who approves might read another user or group than who meets its
/// certificate.
fn one_reading(subject: &X509Name<'_>) -> Result<Vec<String>, String> {
    let organisations = organisations(subject)?;
    let mut names = subject.iter_common_name();
    let readable = names.next().is_none_or(|name| name.as_str().is_ok());
    match (readable, names.next()) {
        (false, _) => Err("its common name is not readable".to_owned()),
        (true, Some(_)) => Err("it has several common names, and a user has one".to_owned()),
        (true, None) => Ok(organisations),
    }
}

fn alternative(name: &GeneralName<'_>) -> Result<SanType, String> {
    let odd = |error: rcgen::Error| format!("an alternative name is not usable: {error}");
    Ok(match name {
        GeneralName::DNSName(text) => SanType::DnsName((*text).try_into().map_err(odd)?),
        GeneralName::RFC822Name(text) => SanType::Rfc822Name((*text).try_into().map_err(odd)?),
        GeneralName::URI(text) => SanType::URI((*text).try_into().map_err(odd)?),
        GeneralName::IPAddress(bytes) => SanType::IpAddress(address(bytes)?),
        other => return Err(format!("an alternative name is not usable: {other}")),
    })
}

fn address(bytes: &[u8]) -> Result<IpAddr, String> {
    let of_4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let of_16 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    of_4.or_else(|_| of_16()).map_err(|_| "an alternative name is not usable: an address of odd length".to_owned())
}

/// The same certificate (DER) with another subject (DER), signed anew by its issuer.
///
/// # Errors
/// When it cannot be taken apart or signed.
pub(super) fn with_subject(certificate: &[u8], subject: &[u8], issuer: &impl SigningKey) -> Result<Vec<u8>, String> {
    let to_be_signed = parts(certificate)?.into_iter().next().ok_or("a certificate without content")?;
    let mut fields = parts(&to_be_signed)?;
    let algorithm = fields.get(ALGORITHM_AT).ok_or("a certificate without algorithm")?.clone();
    subject.clone_into(fields.get_mut(SUBJECT_AT).ok_or("a certificate without subject")?);
    let to_be_signed = wrapped(SEQUENCE, &fields.concat());
    let signature = issuer.sign(&to_be_signed).map_err(|error| error.to_string())?;
    // The first byte of a bit string is how many of its last bits are not used.
    let signature = wrapped(BIT_STRING, &[&[0], signature.as_slice()].concat());
    Ok(wrapped(SEQUENCE, &[to_be_signed, algorithm, signature].concat()))
}

/// What a sequence holds, each with its tag and length.
fn parts(sequence: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let odd = |error: &dyn std::fmt::Display| format!("not DER: {error}");
    let (_, outer) = Any::from_der(sequence).map_err(|error| odd(&error))?;
    let (mut rest, mut found) = (outer.data, Vec::new());
    while !rest.is_empty() {
        let (after, _) = Any::from_der(rest).map_err(|error| odd(&error))?;
        found.push(rest[..rest.len() - after.len()].to_vec());
        rest = after;
    }
    Ok(found)
}

/// Content with its tag and length. Source: X.690, section 8.1.3.
fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut out = vec![tag];
    match content.len() {
        // A byte has room for it.
        0..0x80 => out.push(content.len() as u8),
        _ => {
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    #[test]
    fn lengths_have_the_shortest_form() {
        assert_eq!(wrapped(SEQUENCE, &[7; 3]), [0x30, 3, 7, 7, 7]);
        assert_eq!(wrapped(SEQUENCE, &[7; 0x80])[..3], [0x30, 0x81, 0x80]);
        assert_eq!(wrapped(SEQUENCE, &[7; 0x100])[..4], [0x30, 0x82, 1, 0]);
        assert_eq!(parts(&wrapped(SEQUENCE, &[2, 1, 5, 4, 0])).unwrap(), [vec![2, 1, 5], vec![4, 0]]);
        assert!(parts(&[0x30, 5, 2]).is_err());
    }

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
        let mut der = request.der().to_vec();
        assert!(parse(&der).unwrap().verify_signature().is_ok());
        let name = der.windows(5).position(|bytes| bytes == b"rcgen").unwrap();
        der[name] = b'R';
        assert!(parse(&der).unwrap().verify_signature().is_err());
    }
}
