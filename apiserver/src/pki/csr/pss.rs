//! The hash that an RSA-PSS signature is made with. Source: RFC 4055, section 3.1.
//!
//! Like Go, this knows signatures of which the hash is that of the mask too, with a salt of the hash's length.

use super::hash::Hash;
use super::request::Algorithm;
use crate::pki::asn1::{INTEGER, Tag, Values};

/// Object identifiers. Sources: RFC 4055, section 2.
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];
const NO_PARAMETERS: &[u8] = &[5, 0];

/// The hash of a signature with these parameters (DER); `None` if it is made in another way.
pub(super) fn hash(parameters: &[u8]) -> Option<Hash> {
    let mut parts = Values::of(parameters).sequence("").ok()?.values();
    let mut part = |number| parts.expect(Tag::context(number, true), "").ok().map(|part| part.values());
    let hash = Algorithm::read(&mut part(0)?).ok()?;
    let mask = Algorithm::read(&mut part(1)?).ok()?;
    let salt = part(2)?.expect(INTEGER, "").ok()?.content;
    let masked = Algorithm::read(&mut Values::of(mask.parameters)).ok()?;
    let (known, length) = match hash.name.strip_prefix(SHA2)? {
        [1] => (Hash::Sha256, 32),
        [2] => (Hash::Sha384, 48),
        [3] => (Hash::Sha512, 64),
        _ => return None,
    };
    let is_plain = |algorithm: &Algorithm<'_>| matches!(algorithm.parameters, [] | NO_PARAMETERS);
    let is_usual = mask.name == MGF1 && masked.name == hash.name && salt == [length];
    (is_usual && is_plain(&hash) && is_plain(&masked) && parts.is_empty()).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of a short content.
    fn value(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        [&[tag, u8::try_from(content.len()).unwrap()][..], &content].concat()
    }

    fn sha2(last: u8) -> Vec<u8> {
        value(0x30, &[&value(6, &[SHA2, &[last]]), NO_PARAMETERS])
    }

    fn parameters(hash: u8, mask: u8, salt: u8) -> Vec<u8> {
        let mask = value(0x30, &[&value(6, &[MGF1]), &sha2(mask)]);
        let salt = value(2, &[&[salt]]);
        value(0x30, &[&value(0xa0, &[&sha2(hash)]), &value(0xa1, &[&mask]), &value(0xa2, &[&salt])])
    }

    #[test]
    fn hash_mask_and_salt_go_together() {
        assert_eq!(hash(&parameters(1, 1, 32)), Some(Hash::Sha256));
        assert_eq!(hash(&parameters(3, 3, 64)), Some(Hash::Sha512));
        assert_eq!(hash(&parameters(1, 2, 32)), None);
        assert_eq!(hash(&parameters(1, 1, 20)), None);
        assert_eq!(hash(&parameters(4, 4, 28)), None);
        assert_eq!(hash(&[]), None);
    }
}
