//! Whether a request is signed with its own key.

use aws_lc_rs::signature::{self as verifiers, UnparsedPublicKey, VerificationAlgorithm};

use super::hash::Hash;
use super::key::{Curve, PublicKey};
use super::pss;
use super::request::{Algorithm, Request};
use crate::pki::asn1::Read;

/// Object identifiers. Sources: RFC 3279, RFC 4055, RFC 5758, RFC 8410.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
const ISO_RSA_SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1d];
const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
const DSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3];
const DSA_SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const UNIMPLEMENTED: &str = "x509: cannot verify signature: algorithm unimplemented";
/// Bits of an RSA key at the least, for Go and for most of the ways to verify with one.
const SMALLEST_RSA: usize = 1024;
const USUAL_RSA: usize = 2048;

/// How something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Rsa(Hash),
    /// With its hash, if it is made in a way that Go knows.
    RsaPss(Option<Hash>),
    Dsa,
    Ecdsa(Hash),
    Ed25519,
}

/// Whether it was found that the request is signed with this key, which is its own: `false` if that cannot be judged here.
///
/// # Errors
/// Go's words if it is not.
pub(super) fn check(request: &Request<'_>, key: &PublicKey) -> Read<bool> {
    let scheme = Scheme::of(&request.algorithm)?;
    let family = scheme.family();
    let (own, go_type) = match key {
        PublicKey::Rsa { .. } => ("RSA", "*rsa.PublicKey"),
        PublicKey::Ecdsa(_) => ("ECDSA", "*ecdsa.PublicKey"),
        PublicKey::Ed25519 => ("Ed25519", "ed25519.PublicKey"),
        PublicKey::Other => return Err(UNIMPLEMENTED.to_owned()),
    };
    if family != own {
        let what = format!("x509: signature algorithm specifies an {family} public key");
        return Err(format!("{what}, but have public key of type {go_type}"));
    }
    if let PublicKey::Rsa { size } = key
        && *size < SMALLEST_RSA
    {
        let where_from = "https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size";
        return Err(format!("crypto/rsa: {size}-bit keys are insecure (see {where_from})"));
    }
    let Some(verifier) = scheme.verifier(key) else { return Ok(false) };
    let verified = UnparsedPublicKey::new(verifier, &request.key_bits).verify(request.signed, &request.signature);
    verified.map(|()| true).map_err(|_| scheme.failure().to_owned())
}

impl Scheme {
    fn of(algorithm: &Algorithm<'_>) -> Read<Self> {
        let sha2 = |last: &[u8]| match last {
            [2] => Some(Self::Ecdsa(Hash::Sha256)),
            [3] => Some(Self::Ecdsa(Hash::Sha384)),
            [4] => Some(Self::Ecdsa(Hash::Sha512)),
            _ => None,
        };
        let known = match algorithm.name {
            ISO_RSA_SHA1 => Some(Self::Rsa(Hash::Sha1)),
            ECDSA_SHA1 => Some(Self::Ecdsa(Hash::Sha1)),
            DSA_SHA1 | DSA_SHA256 => Some(Self::Dsa),
            ED25519 => algorithm.parameters.is_empty().then_some(Self::Ed25519),
            name => match (name.strip_prefix(RSA), name.strip_prefix(ECDSA_SHA2)) {
                (Some(last), _) => Self::of_rsa(last, algorithm.parameters)?,
                (_, Some(last)) => sha2(last),
                _ => None,
            },
        };
        known.ok_or_else(|| UNIMPLEMENTED.to_owned())
    }

    fn of_rsa(last: &[u8], parameters: &[u8]) -> Read<Option<Self>> {
        Ok(match last {
            [4] => return Err("x509: cannot verify signature: insecure algorithm MD5-RSA".to_owned()),
            [5] => Some(Self::Rsa(Hash::Sha1)),
            [10] => Some(Self::RsaPss(pss::hash(parameters))),
            [11] => Some(Self::Rsa(Hash::Sha256)),
            [12] => Some(Self::Rsa(Hash::Sha384)),
            [13] => Some(Self::Rsa(Hash::Sha512)),
            _ => None,
        })
    }

    /// The kind of key that it is for.
    fn family(self) -> &'static str {
        match self {
            Self::Rsa(_) | Self::RsaPss(_) => "RSA",
            Self::Dsa => "DSA",
            Self::Ecdsa(_) => "ECDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    fn failure(self) -> &'static str {
        match self {
            Self::Ecdsa(_) => "x509: ECDSA verification failure",
            Self::Ed25519 => "x509: Ed25519 verification failure",
            Self::Rsa(_) | Self::RsaPss(_) | Self::Dsa => "crypto/rsa: verification error",
        }
    }

    /// What judges such signatures with such a key, if there is something.
    fn verifier(self, key: &PublicKey) -> Option<&'static dyn VerificationAlgorithm> {
        match (self, key) {
            (Self::Rsa(hash), PublicKey::Rsa { size }) => rsa(hash, *size),
            (Self::RsaPss(Some(hash)), PublicKey::Rsa { size }) if *size >= USUAL_RSA => rsa_pss(hash),
            (Self::Ecdsa(hash), PublicKey::Ecdsa(curve)) => ecdsa(hash, *curve),
            (Self::Ed25519, PublicKey::Ed25519) => Some(&verifiers::ED25519),
            _ => None,
        }
    }
}

fn rsa(hash: Hash, size: usize) -> Option<&'static dyn VerificationAlgorithm> {
    match hash {
        Hash::Sha1 => Some(&verifiers::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        Hash::Sha256 => Some(&verifiers::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        Hash::Sha384 if size < USUAL_RSA => None,
        Hash::Sha384 => Some(&verifiers::RSA_PKCS1_2048_8192_SHA384),
        Hash::Sha512 => Some(&verifiers::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
    }
}

fn rsa_pss(hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    match hash {
        Hash::Sha1 => None,
        Hash::Sha256 => Some(&verifiers::RSA_PSS_2048_8192_SHA256),
        Hash::Sha384 => Some(&verifiers::RSA_PSS_2048_8192_SHA384),
        Hash::Sha512 => Some(&verifiers::RSA_PSS_2048_8192_SHA512),
    }
}

fn ecdsa(hash: Hash, curve: Curve) -> Option<&'static dyn VerificationAlgorithm> {
    match (curve, hash) {
        (Curve::P256, Hash::Sha1) => Some(&verifiers::ECDSA_P256_SHA1_ASN1),
        (Curve::P256, Hash::Sha256) => Some(&verifiers::ECDSA_P256_SHA256_ASN1),
        (Curve::P256, Hash::Sha384) => Some(&verifiers::ECDSA_P256_SHA384_ASN1),
        (Curve::P256, Hash::Sha512) => Some(&verifiers::ECDSA_P256_SHA512_ASN1),
        (Curve::P384, Hash::Sha256) => Some(&verifiers::ECDSA_P384_SHA256_ASN1),
        (Curve::P384, Hash::Sha384) => Some(&verifiers::ECDSA_P384_SHA384_ASN1),
        (Curve::P384, Hash::Sha512) => Some(&verifiers::ECDSA_P384_SHA512_ASN1),
        (Curve::P521, Hash::Sha1) => Some(&verifiers::ECDSA_P521_SHA1_ASN1),
        (Curve::P521, Hash::Sha256) => Some(&verifiers::ECDSA_P521_SHA256_ASN1),
        (Curve::P521, Hash::Sha384) => Some(&verifiers::ECDSA_P521_SHA384_ASN1),
        (Curve::P521, Hash::Sha512) => Some(&verifiers::ECDSA_P521_SHA512_ASN1),
        (Curve::P384, Hash::Sha1) | (Curve::P224, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &[u8], key: PublicKey) -> String {
        let algorithm = Algorithm { name, parameters: &[] };
        let request = Request {
            signed: b"what is signed",
            subject: &[],
            key_info: &[],
            key: algorithm,
            key_bits: vec![4; 65],
            attributes: Vec::new(),
            algorithm,
            signature: vec![0; 70],
        };
        check(&request, &key).err().unwrap_or_default()
    }

    #[test]
    fn schemes_are_told_by_their_names() {
        let of = |name: &[u8]| Scheme::of(&Algorithm { name, parameters: &[] });
        assert_eq!(of(&[RSA, &[11]].concat()), Ok(Scheme::Rsa(Hash::Sha256)));
        assert_eq!(of(&[ECDSA_SHA2, &[4]].concat()), Ok(Scheme::Ecdsa(Hash::Sha512)));
        assert_eq!(of(ED25519), Ok(Scheme::Ed25519));
        assert_eq!(Scheme::of(&Algorithm { name: ED25519, parameters: &[5, 0] }).unwrap_err(), UNIMPLEMENTED);
        // MD2 and MD5.
        assert_eq!(of(&[RSA, &[2]].concat()).unwrap_err(), UNIMPLEMENTED);
        let md5 = of(&[RSA, &[4]].concat()).unwrap_err();
        assert_eq!(md5, "x509: cannot verify signature: insecure algorithm MD5-RSA");
    }

    #[test]
    fn scheme_and_key_belong_together() {
        let p256 = PublicKey::Ecdsa(Curve::P256);
        let other =
            "x509: signature algorithm specifies an RSA public key, but have public key of type *ecdsa.PublicKey";
        assert_eq!(judged(&[RSA, &[11]].concat(), p256), other);
        assert_eq!(judged(ED25519, PublicKey::Other), UNIMPLEMENTED);
        let short = judged(&[RSA, &[11]].concat(), PublicKey::Rsa { size: 512 });
        assert!(short.starts_with("crypto/rsa: 512-bit keys are insecure (see "), "{short}");
    }

    #[test]
    fn wrong_signatures_are_told_and_unknown_ways_are_let_pass() {
        let sha256 = [ECDSA_SHA2, &[2]].concat();
        assert_eq!(judged(&sha256, PublicKey::Ecdsa(Curve::P256)), "x509: ECDSA verification failure");
        assert_eq!(judged(&sha256, PublicKey::Ecdsa(Curve::P224)), "");
        assert_eq!(judged(ED25519, PublicKey::Ed25519), "x509: Ed25519 verification failure");
        assert_eq!(judged(&[RSA, &[13]].concat(), PublicKey::Rsa { size: 2048 }), "crypto/rsa: verification error");
        assert_eq!(judged(&[RSA, &[10]].concat(), PublicKey::Rsa { size: 2048 }), "");
    }
}
