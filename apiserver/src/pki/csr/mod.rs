//! Certificate requests (PKCS#10): what is wrong with one, in the words of Go's `crypto/x509`, which Kubernetes passes on to
//! who sent it, and what a certificate takes over from one.
//!
//! The faults come in the order in which `ParseCertificateRequest` and `CheckSignature` meet them. Left out are what URIs
//! among the alternative names may look like, and the times in a subject.

mod hash;
mod key;
mod names;
mod pss;
mod request;
mod requested;
mod signature;

use x509_parser::pem::Pem;

use key::PublicKey;
use request::Request;

pub(crate) use requested::{Requested, requested_common_name, requested_organisations};

const NOT_PEM: &str = "PEM block type must be CERTIFICATE REQUEST";

/// What Kubernetes would say of these bytes instead of taking them for a signed certificate request (PEM of PKCS#10).
pub(crate) fn request_fault(pem: &[u8]) -> Option<String> {
    contents(pem).and_then(|der| check(&der)).err()
}

/// What cannot be judged here passes: it is for the signer to refuse.
fn check(der: &[u8]) -> Result<(), String> {
    let (request, key) = read(der)?;
    signature::check(&request, &key).map(drop)
}

/// The DER in the PEM of a request.
fn contents(pem: &[u8]) -> Result<Vec<u8>, String> {
    let block = Pem::iter_from_buffer(pem).find_map(Result::ok);
    let block = block.filter(|block| block.label == "CERTIFICATE REQUEST");
    block.map(|block| block.contents).ok_or_else(|| NOT_PEM.to_owned())
}

/// A request with its key, in which Go would find no fault but in its signature.
fn read(der: &[u8]) -> Result<(Request<'_>, PublicKey), String> {
    let request = Request::read(der)?;
    let key = PublicKey::read(&request.key, &request.key_bits)?;
    names::check_subject(request.subject)?;
    names::check_extensions(&request.attributes)?;
    Ok((request, key))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn signed(params: CertificateParams) -> Vec<u8> {
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn plain() -> Vec<u8> {
        signed(CertificateParams::new(vec!["a.example".to_owned(), "10.0.0.1".to_owned()]).unwrap())
    }

    fn in_pem(label: &str, der: &[u8]) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    fn fault(der: &[u8]) -> String {
        request_fault(in_pem("CERTIFICATE REQUEST", der).as_bytes()).unwrap_or_default()
    }

    #[test]
    fn what_is_signed_is_taken() {
        assert_eq!(fault(&plain()), "");
        let made = |kind| KeyPair::generate_for(kind).unwrap();
        for key in [made(&rcgen::PKCS_ED25519), made(&rcgen::PKCS_ECDSA_P384_SHA384)] {
            let request = CertificateParams::default().serialize_request(&key).unwrap();
            assert_eq!(fault(request.der()), "");
        }
    }

    #[test]
    fn only_one_kind_of_block_is_taken() {
        let certificate = in_pem("CERTIFICATE", &plain());
        for other in ["", "nothing", certificate.as_str()] {
            assert_eq!(request_fault(other.as_bytes()).unwrap(), NOT_PEM);
        }
        let whole = in_pem("CERTIFICATE REQUEST", &plain());
        assert_eq!(request_fault(whole.rsplit_once("-----END").unwrap().0.as_bytes()).unwrap(), NOT_PEM);
        assert_eq!(request_fault(format!("Hello\n{whole}").as_bytes()), None);
    }

    #[test]
    fn a_request_is_neither_short_nor_long() {
        let whole = plain();
        assert_eq!(fault(&[]), "asn1: syntax error: sequence truncated");
        assert_eq!(fault(&whole[..1]), "asn1: syntax error: truncated tag or length");
        assert_eq!(fault(&whole[..whole.len() - 1]), "asn1: syntax error: data truncated");
        assert_eq!(fault(&[&whole[..], &[0]].concat()), "asn1: syntax error: trailing data");
    }

    #[test]
    fn something_else_is_told_by_its_tags() {
        let rest = "{optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> \
            stringType:0 timeType:0 set:false omitEmpty:false}";
        let text = fault(b"This is no request at all, but a line of text that is long enough to look like something.");
        let shown = "asn1: structure error: tags don't match (16 vs {class:1 tag:20 length:104 isCompound:false})";
        assert_eq!(text, format!("{shown} {rest} certificateRequest @2"));
        // The beginning of a private key.
        let key = fault(&[0x30, 6, 2, 1, 0, 4, 1, 7]);
        let shown = "asn1: structure error: tags don't match (16 vs {class:0 tag:2 length:1 isCompound:false})";
        assert_eq!(key, format!("{shown} {rest} tbsCertificateRequest @2"));
    }

    #[test]
    fn a_subject_is_readable() {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = rcgen::string::PrintableString::try_from("jane").unwrap();
        params.distinguished_name.push(DnType::CommonName, DnValue::PrintableString(name));
        let mut der = signed(params);
        let at = der.windows(4).position(|bytes| bytes == b"jane").unwrap();
        der[at] = b'@';
        assert_eq!(fault(&der), "asn1: syntax error: PrintableString contains invalid character");
    }

    #[test]
    fn addresses_have_four_or_sixteen_bytes() {
        let der = plain();
        let at = der.windows(6).position(|bytes| bytes == [0x87, 4, 10, 0, 0, 1]).unwrap();
        // As an address the name before has nine bytes.
        let mut odd = der.clone();
        let name = at - "a.example".len() - 2;
        assert_eq!(odd[name], 0x82);
        odd[name] = 0x87;
        assert_eq!(fault(&odd), "x509: cannot parse IP address of length 9");
        let mut odd = der;
        odd[at - 1] = 0xff;
        assert_eq!(fault(&odd), "x509: SAN dNSName is malformed");
    }

    #[test]
    fn a_request_that_somebody_has_changed_is_not_signed() {
        let mut der = plain();
        let at = der.windows(9).position(|bytes| bytes == b"a.example").unwrap();
        der[at] = b'b';
        assert_eq!(fault(&der), "x509: ECDSA verification failure");
    }
}
