//! The key that a request is signed with.

use super::request::Algorithm;
use crate::pki::asn1::{self, INTEGER, Read, Values};

/// Object identifiers. Sources: RFC 3279, RFC 5480, RFC 8410.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const CURVES: [(&[u8], Curve); 4] = [
    (&[0x2b, 0x81, 4, 0, 0x21], Curve::P224),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], Curve::P256),
    (&[0x2b, 0x81, 4, 0, 0x22], Curve::P384),
    (&[0x2b, 0x81, 4, 0, 0x23], Curve::P521),
];
const NO_PARAMETERS: &[u8] = &[5, 0];
/// Bytes.
const ED25519_LENGTH: usize = 32;

/// An elliptic curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P224,
    P256,
    P384,
    P521,
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa {
        /// Bits of the modulus.
        size: usize,
    },
    Ecdsa(Curve),
    Ed25519,
    /// One that Go verifies nothing with.
    Other,
}

impl PublicKey {
    /// Reads the key of this algorithm.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(algorithm: &Algorithm<'_>, bits: &[u8]) -> Read<Self> {
        match algorithm.name {
            RSA => rsa(algorithm, bits),
            ECDSA => curve(algorithm).map(Self::Ecdsa),
            ED25519 if !algorithm.parameters.is_empty() => {
                Err("x509: Ed25519 key encoded with illegal parameters".to_owned())
            }
            ED25519 if bits.len() != ED25519_LENGTH => Err("x509: wrong Ed25519 public key size".to_owned()),
            ED25519 => Ok(Self::Ed25519),
            _ => Ok(Self::Other),
        }
    }
}

fn rsa(algorithm: &Algorithm<'_>, bits: &[u8]) -> Read<PublicKey> {
    if algorithm.parameters != NO_PARAMETERS {
        return Err("x509: RSA key missing NULL parameters".to_owned());
    }
    let outer = Values::of(bits).sequence("").map_err(|_| "x509: invalid RSA public key".to_owned())?;
    let mut parts = outer.values();
    let modulus = integer(&mut parts).ok_or("x509: invalid RSA modulus")?;
    let exponent = integer(&mut parts).filter(|exponent| exponent.len() <= 8);
    let exponent = exponent.ok_or("x509: invalid RSA public exponent")?;
    if !is_positive(modulus) {
        return Err("x509: RSA modulus is not a positive number".to_owned());
    }
    if !is_positive(exponent) {
        return Err("x509: RSA public exponent is not a positive number".to_owned());
    }
    let significant = modulus.strip_prefix(&[0_u8]).unwrap_or(modulus);
    let leading = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok(PublicKey::Rsa { size: 8 * significant.len() - leading })
}

fn integer<'d>(values: &mut Values<'d>) -> Option<&'d [u8]> {
    let content = values.expect(INTEGER, "").ok()?.content;
    asn1::check_integer(content).is_ok().then_some(content)
}

/// Whether an integer, of the shortest form, is over zero.
fn is_positive(content: &[u8]) -> bool {
    content != [0] && content.first().is_some_and(|first| first & 0x80 == 0)
}

fn curve(algorithm: &Algorithm<'_>) -> Read<Curve> {
    let name = Values::of(algorithm.parameters).identifier();
    let name = name.map_err(|_| "x509: invalid ECDSA parameters".to_owned())?;
    let known = CURVES.iter().find(|(own, _)| *own == name);
    known.map(|(_, curve)| *curve).ok_or_else(|| "x509: unsupported elliptic curve".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &[u8], parameters: &[u8], bits: &[u8]) -> Read<PublicKey> {
        PublicKey::read(&Algorithm { name, parameters }, bits)
    }

    #[test]
    fn a_key_has_the_parameters_of_its_kind() {
        assert_eq!(read(RSA, &[], &[]).unwrap_err(), "x509: RSA key missing NULL parameters");
        assert_eq!(read(ECDSA, &[], &[]).unwrap_err(), "x509: invalid ECDSA parameters");
        assert_eq!(read(ECDSA, &[6, 1, 0x2a], &[]).unwrap_err(), "x509: unsupported elliptic curve");
        assert_eq!(read(ECDSA, &[6, 5, 0x2b, 0x81, 4, 0, 0x22], &[]), Ok(PublicKey::Ecdsa(Curve::P384)));
        let illegal = read(ED25519, NO_PARAMETERS, &[0; 32]);
        assert_eq!(illegal.unwrap_err(), "x509: Ed25519 key encoded with illegal parameters");
        assert_eq!(read(ED25519, &[], &[0; 31]).unwrap_err(), "x509: wrong Ed25519 public key size");
        assert_eq!(read(&[0x2a], &[], &[]), Ok(PublicKey::Other));
    }

    #[test]
    fn an_rsa_key_has_two_positive_numbers() {
        let of = |bits: &[u8]| read(RSA, NO_PARAMETERS, bits);
        assert_eq!(of(&[4, 0]).unwrap_err(), "x509: invalid RSA public key");
        assert_eq!(of(&[0x30, 0]).unwrap_err(), "x509: invalid RSA modulus");
        assert_eq!(of(&[0x30, 3, 2, 1, 5]).unwrap_err(), "x509: invalid RSA public exponent");
        assert_eq!(of(&[0x30, 6, 2, 1, 0, 2, 1, 3]).unwrap_err(), "x509: RSA modulus is not a positive number");
        assert_eq!(
            of(&[0x30, 6, 2, 1, 5, 2, 1, 0x80]).unwrap_err(),
            "x509: RSA public exponent is not a positive number"
        );
        assert_eq!(of(&[0x30, 7, 2, 2, 0, 0x85, 2, 1, 3]), Ok(PublicKey::Rsa { size: 8 }));
        assert_eq!(of(&[0x30, 6, 2, 1, 5, 2, 1, 3]), Ok(PublicKey::Rsa { size: 3 }));
    }
}
