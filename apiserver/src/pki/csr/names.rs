//! Whom a request names: the subject, and the alternative names among the extensions that it asks for.

use std::collections::BTreeMap;

use crate::pki::asn1::{self, BOOLEAN, Element, OCTET_STRING, Read, SEQUENCE, SET, Tag, Values, syntax};

/// Object identifiers. Sources: RFC 2985, section 5.4.2; RFC 5280, section 4.2.1.6.
const EXTENSIONS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// What alternative names are.
pub(super) const MAIL: Tag = Tag::context(1, false);
pub(super) const HOST: Tag = Tag::context(2, false);
pub(super) const URI: Tag = Tag::context(6, false);
pub(super) const ADDRESS: Tag = Tag::context(7, false);

/// A part of a subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'d> {
    /// The content of its object identifier.
    pub kind: &'d [u8],
    value: Element<'d>,
}

impl<'d> Part<'d> {
    /// Its text; `None` if it is not of a type that is read in certificates.
    pub fn text(&self) -> Option<&'d str> {
        let is_read = matches!(self.value.tag.primitive(), Some(12 | 18 | 19 | 22));
        std::str::from_utf8(self.value.content).ok().filter(|_| is_read)
    }
}

/// Reads the DER of a subject.
///
/// # Errors
/// Its first fault.
pub(super) fn check_subject(subject: &[u8]) -> Read<()> {
    parts_of(subject).map(drop)
}

/// The parts of a subject, in order.
///
/// # Errors
/// As [`check_subject`].
pub(super) fn parts_of(subject: &[u8]) -> Read<Vec<Part<'_>>> {
    let sets = Values::of(subject).sequence("RDNSequence")?;
    let mut found = Vec::new();
    for set in sets.each(Some(SET))? {
        for pair in set.each(Some(SEQUENCE))? {
            let mut parts = pair.values();
            let part = Part { kind: parts.identifier()?, value: parts.any()? };
            check_value(&part.value)?;
            found.push(part);
        }
    }
    Ok(found)
}

/// A part of a subject, as far as Go looks into it.
fn check_value(value: &Element<'_>) -> Read<()> {
    let content = value.content;
    let printable = |byte: &u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(byte);
    let numeric = |byte: &u8| byte.is_ascii_digit() || *byte == b' ';
    let invalid = |kind: &str| Err(syntax(&format!("{kind} contains invalid character")));
    match value.tag.primitive() {
        Some(2) => asn1::check_small_integer(content),
        Some(3) => asn1::bits(content).map(drop),
        Some(6) => asn1::check_identifier(content),
        Some(12) if std::str::from_utf8(content).is_err() => Err("asn1: invalid UTF-8 string".to_owned()),
        Some(18) if !content.iter().all(numeric) => invalid("NumericString"),
        Some(19) if !content.iter().all(printable) => invalid("PrintableString"),
        Some(22) if !content.is_ascii() => invalid("IA5String"),
        Some(30) if !content.len().is_multiple_of(2) => Err("pkcs12: odd-length BMP string".to_owned()),
        _ => Ok(()),
    }
}

/// Reads the extensions among a request's attributes.
///
/// # Errors
/// Their first fault.
pub(super) fn check_extensions(attributes: &[Element<'_>]) -> Read<()> {
    alternative_names(attributes).map(drop)
}

/// The alternative names among a request's attributes.
///
/// # Errors
/// As [`check_extensions`].
pub(super) fn alternative_names<'d>(attributes: &[Element<'d>]) -> Read<Vec<Element<'d>>> {
    let mut found: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for list in attributes.iter().filter_map(asked_for) {
        let extensions = Values::of(list).sequence("")?.each(Some(SEQUENCE))?;
        let extensions: Vec<(&[u8], &[u8])> = extensions.iter().map(parts).collect::<Read<_>>()?;
        for (kind, value) in extensions {
            if found.insert(kind, value).is_some() {
                return Err("x509: certificate request contains duplicate requested extensions".to_owned());
            }
        }
    }
    match found.get(ALTERNATIVE_NAMES).copied() {
        Some(list) => listed(list),
        None => Ok(Vec::new()),
    }
}

/// The extensions of an attribute, if that is what it holds: Go passes over what it cannot read.
fn asked_for<'d>(attribute: &Element<'d>) -> Option<&'d [u8]> {
    let mut parts = Values::of(attribute.whole).sequence("").ok()?.values();
    let kind = parts.identifier().ok()?;
    let values = parts.expect(SET, "").ok()?.each(None).ok()?;
    values.first().filter(|_| kind == EXTENSIONS).map(|list| list.whole)
}

/// The name and the content of an extension.
fn parts<'d>(extension: &Element<'d>) -> Read<(&'d [u8], &'d [u8])> {
    let mut parts = extension.values();
    let kind = parts.identifier()?;
    let critical = parts.optional(BOOLEAN)?;
    if critical.is_some_and(|critical| !matches!(critical.content, [0 | 0xff])) {
        return Err(syntax("invalid boolean"));
    }
    Ok((kind, parts.expect(OCTET_STRING, "")?.content))
}

fn listed(list: &[u8]) -> Read<Vec<Element<'_>>> {
    let list = Values::of(list).sequence("").map_err(|_| "x509: invalid subject alternative names".to_owned())?;
    let (mut names, mut found) = (list.values(), Vec::new());
    while !names.is_empty() {
        let name = names.any().map_err(|_| "x509: invalid subject alternative name".to_owned())?;
        check_name(&name)?;
        found.push(name);
    }
    Ok(found)
}

fn check_name(name: &Element<'_>) -> Read<()> {
    let malformed = |kind: &str| Err(format!("x509: SAN {kind} is malformed"));
    match (name.tag, name.content.len()) {
        (MAIL, _) if !name.content.is_ascii() => malformed("rfc822Name"),
        (HOST, _) if !name.content.is_ascii() => malformed("dNSName"),
        (URI, _) if !name.content.is_ascii() => malformed("uniformResourceIdentifier"),
        (ADDRESS, 4 | 16) => Ok(()),
        (ADDRESS, length) => Err(format!("x509: cannot parse IP address of length {length}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of a short content.
    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat()
    }

    fn common_name(text: &[u8]) -> Vec<u8> {
        let pair = value(0x30, &[&[6, 3, 0x55, 4, 3][..], text].concat());
        value(0x30, &value(0x31, &pair))
    }

    fn attribute(extension: &[u8]) -> Vec<u8> {
        let list = value(0x31, &value(0x30, &value(0x30, extension)));
        value(0x30, &[&value(6, EXTENSIONS)[..], &list].concat())
    }

    fn of_extension(extension: &[u8]) -> Read<()> {
        check_extensions(&[Values::of(&attribute(extension)).any().unwrap()])
    }

    #[test]
    fn texts_have_the_letters_of_their_kind() {
        assert_eq!(check_subject(&common_name(&value(19, b"a & b"))), Ok(()));
        let of = |tag, text: &[u8]| check_subject(&common_name(&value(tag, text))).unwrap_err();
        assert_eq!(of(19, b"a_b"), "asn1: syntax error: PrintableString contains invalid character");
        assert_eq!(of(18, b"1a"), "asn1: syntax error: NumericString contains invalid character");
        assert_eq!(of(22, &[0xe9]), "asn1: syntax error: IA5String contains invalid character");
        assert_eq!(of(12, &[0xff]), "asn1: invalid UTF-8 string");
        assert_eq!(of(30, &[0]), "pkcs12: odd-length BMP string");
    }

    #[test]
    fn a_subject_is_a_list_of_sets_of_pairs() {
        assert_eq!(check_subject(&[0x30, 0]), Ok(()));
        let inner = value(0x30, &value(0x30, &[]));
        assert_eq!(check_subject(&inner).unwrap_err(), "asn1: structure error: sequence tag mismatch");
        assert!(check_subject(&[0x31, 0]).unwrap_err().ends_with(" RDNSequence @2"));
    }

    #[test]
    fn extensions_have_a_name_and_a_content() {
        let named = |more: &[u8]| [&value(6, ALTERNATIVE_NAMES)[..], more].concat();
        let names = value(4, &value(0x30, &value(0x82, b"a.example")));
        assert_eq!(of_extension(&named(&names)), Ok(()));
        assert_eq!(of_extension(&named(&[&[1, 1, 0xff][..], &names].concat())), Ok(()));
        let odd = of_extension(&named(&[&[1, 1, 7][..], &names].concat()));
        assert_eq!(odd.unwrap_err(), "asn1: syntax error: invalid boolean");
        assert_eq!(of_extension(&named(&[])).unwrap_err(), "asn1: syntax error: sequence truncated");
        let nothing = of_extension(&named(&value(4, &[])));
        assert_eq!(nothing.unwrap_err(), "x509: invalid subject alternative names");
        let mail = of_extension(&named(&value(4, &value(0x30, &value(0x81, &[0xe9])))));
        assert_eq!(mail.unwrap_err(), "x509: SAN rfc822Name is malformed");
    }

    #[test]
    fn an_extension_is_asked_for_once() {
        let names = value(4, &value(0x30, &value(0x82, b"a.example")));
        let attribute = attribute(&[&value(6, ALTERNATIVE_NAMES)[..], &names].concat());
        let twice = [Values::of(&attribute).any().unwrap(); 2];
        assert_eq!(alternative_names(&twice[..1]).map(|names| names.len()), Ok(1));
        let why = "x509: certificate request contains duplicate requested extensions";
        assert_eq!(alternative_names(&twice).unwrap_err(), why);
    }

    #[test]
    fn other_attributes_are_passed_over() {
        let (odd, other) = (value(0x30, &[5, 0]), value(0x30, &[6, 1, 0x2a, 0x31, 2, 5, 0]));
        let all = [Values::of(&odd).any().unwrap(), Values::of(&other).any().unwrap()];
        assert_eq!(check_extensions(&all), Ok(()));
    }
}
