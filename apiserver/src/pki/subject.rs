//! A certificate with exactly the subject that its request names.
//!
//! `rcgen` knows one value for each part of a subject. Kubernetes' users belong to a group for each organization of their
//! certificate, so the subject goes from the request into the certificate as it is.

use rcgen::SigningKey;

use super::asn1::Values;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// Where a certificate has what its signature is made with, and its subject. Source: RFC 5280, section 4.1.
const ALGORITHM_AT: usize = 2;
const SUBJECT_AT: usize = 5;

/// The same certificate (DER) with another subject (DER), signed anew by its issuer.
///
/// # Errors
/// When it cannot be taken apart or signed.
pub(super) fn with_subject(certificate: &[u8], subject: &[u8], issuer: &impl SigningKey) -> Result<Vec<u8>, String> {
    let to_be_signed = *parts(certificate)?.first().ok_or("a certificate without content")?;
    let mut fields = parts(to_be_signed)?;
    let algorithm = *fields.get(ALGORITHM_AT).ok_or("a certificate without algorithm")?;
    *fields.get_mut(SUBJECT_AT).ok_or("a certificate without subject")? = subject;
    let to_be_signed = wrapped(SEQUENCE, &fields.concat());
    let signature = issuer.sign(&to_be_signed).map_err(|error| error.to_string())?;
    // The first byte of a bit string is how many of its last bits are not used.
    let signature = wrapped(BIT_STRING, &[&[0], signature.as_slice()].concat());
    Ok(wrapped(SEQUENCE, &[to_be_signed.as_slice(), algorithm, &signature].concat()))
}

/// What a sequence holds, each with its tag and length.
fn parts(sequence: &[u8]) -> Result<Vec<&[u8]>, String> {
    let list = Values::of(sequence).sequence("").and_then(|list| list.each(None));
    let list = list.map_err(|why| format!("not DER: {why}"))?;
    Ok(list.iter().map(|part| part.whole).collect())
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
    use super::*;

    #[test]
    fn lengths_have_the_shortest_form() {
        assert_eq!(wrapped(SEQUENCE, &[7; 3]), [0x30, 3, 7, 7, 7]);
        assert_eq!(wrapped(SEQUENCE, &[7; 0x80])[..3], [0x30, 0x81, 0x80]);
        assert_eq!(wrapped(SEQUENCE, &[7; 0x100])[..4], [0x30, 0x82, 1, 0]);
        assert_eq!(parts(&wrapped(SEQUENCE, &[2, 1, 5, 4, 0])).unwrap(), [vec![2, 1, 5], vec![4, 0]]);
        assert!(parts(&[0x30, 5, 2]).is_err());
    }
}
