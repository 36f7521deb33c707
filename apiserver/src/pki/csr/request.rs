//! The structure of a certificate request. Source: RFC 2986, section 4.

use crate::pki::asn1::{self, Element, INTEGER, Read, Tag, Values, syntax};

/// An algorithm with its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Algorithm<'d> {
    /// The content of its object identifier.
    pub name: &'d [u8],
    /// DER; empty if there are none.
    pub parameters: &'d [u8],
}

/// The parts of a request.
#[derive(Debug)]
pub(super) struct Request<'d> {
    /// What the signature is of.
    pub signed: &'d [u8],
    /// DER.
    pub subject: &'d [u8],
    /// DER of the key with its algorithm.
    pub key_info: &'d [u8],
    pub key: Algorithm<'d>,
    pub key_bits: Vec<u8>,
    pub attributes: Vec<Element<'d>>,
    pub algorithm: Algorithm<'d>,
    pub signature: Vec<u8>,
}

impl<'d> Algorithm<'d> {
    /// Reads the next of some values.
    pub fn read(values: &mut Values<'d>) -> Read<Self> {
        let mut parts = values.sequence("AlgorithmIdentifier")?.values();
        let name = parts.identifier()?;
        let parameters: &[u8] = if parts.is_empty() { &[] } else { parts.any()?.whole };
        Ok(Self { name, parameters })
    }
}

impl<'d> Request<'d> {
    /// Reads the DER of a request.
    ///
    /// # Errors
    /// The first fault of its structure, in the order in which Go reads it.
    pub fn read(der: &'d [u8]) -> Read<Self> {
        let mut outer = Values::of(der);
        let mut parts = outer.sequence("certificateRequest")?.values();
        let info = parts.sequence("tbsCertificateRequest")?;
        let mut asked = info.values();
        asn1::check_small_integer(asked.expect(INTEGER, "int")?.content)?;
        let subject = asked.any()?.whole;
        let key_info = asked.sequence("publicKeyInfo")?;
        let mut public = key_info.values();
        let (key, key_bits) = (Algorithm::read(&mut public)?, public.bits()?);
        let attributes = asked.expect(Tag::context(0, true), "")?.each(None)?;
        let (algorithm, signature) = (Algorithm::read(&mut parts)?, parts.bits()?);
        if !outer.is_empty() {
            return Err(syntax("trailing data"));
        }
        let (signed, key_info) = (info.whole, key_info.whole);
        Ok(Self { signed, subject, key_info, key, key_bits, attributes, algorithm, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(der: &[u8]) -> String {
        Request::read(der).unwrap_err()
    }

    #[test]
    fn faults_come_in_the_order_of_the_parts() {
        assert_eq!(fault(&[0x30, 0]), "asn1: syntax error: sequence truncated");
        assert_eq!(fault(&[0x30, 4, 0x30, 2, 2, 0]), "asn1: structure error: empty integer");
        let no_key = [0x30, 7, 0x30, 5, 2, 1, 0, 0x30, 0];
        assert_eq!(fault(&no_key), "asn1: syntax error: sequence truncated");
        let no_attributes = [0x30, 17, 0x30, 15, 2, 1, 0, 0x30, 0, 0x30, 8, 0x30, 3, 6, 1, 0x2a, 3, 1, 0];
        assert_eq!(fault(&no_attributes), "asn1: syntax error: sequence truncated");
    }
}
