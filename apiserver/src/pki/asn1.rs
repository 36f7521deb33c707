//! DER as Go's `encoding/asn1` reads it, with its words for what is wrong.

/// What was read, or Go's complaint.
pub(super) type Read<T> = Result<T, String>;

const CONTEXT: u8 = 2;
/// Go shows where in its memory the number of such a tag is.
const SOME_ADDRESS: &str = "0xc000012345";

/// What a value is. Source: X.690, section 8.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    class: u8,
    number: u32,
    compound: bool,
}

impl Tag {
    const fn universal(number: u32, compound: bool) -> Self {
        Self { class: 0, number, compound }
    }

    /// A tag with a meaning only where it stands.
    pub const fn context(number: u32, compound: bool) -> Self {
        Self { class: CONTEXT, number, compound }
    }

    /// Its number, if it stands for a type of ASN.1's own with a value that is not made of others.
    pub fn primitive(self) -> Option<u32> {
        (self.class == 0 && !self.compound).then_some(self.number)
    }
}

pub(super) const BOOLEAN: Tag = Tag::universal(1, false);
pub(super) const INTEGER: Tag = Tag::universal(2, false);
pub(super) const BIT_STRING: Tag = Tag::universal(3, false);
pub(super) const OCTET_STRING: Tag = Tag::universal(4, false);
pub(super) const IDENTIFIER: Tag = Tag::universal(6, false);
pub(super) const SEQUENCE: Tag = Tag::universal(16, true);
pub(super) const SET: Tag = Tag::universal(17, true);

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'d> {
    pub tag: Tag,
    /// What it holds.
    pub content: &'d [u8],
    /// The same with its tag and length.
    pub whole: &'d [u8],
}

impl<'d> Element<'d> {
    /// The values in a sequence whose members have types of their own.
    pub fn values(&self) -> Values<'d> {
        Values::of(self.content)
    }

    /// The values in a list, which all have one tag if it is given.
    pub fn each(&self, tag: Option<Tag>) -> Read<Vec<Self>> {
        let (mut values, mut found) = (self.values(), Vec::new());
        while !values.is_empty() {
            let header = values.header()?;
            if tag.is_some_and(|tag| tag != header.tag) {
                return Err(structure("sequence tag mismatch"));
            }
            found.push(values.take(header).ok_or_else(|| syntax("truncated sequence"))?);
        }
        Ok(found)
    }
}

/// Values one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'d> {
    bytes: &'d [u8],
    at: usize,
}

/// What a value begins with.
#[derive(Clone, Copy)]
struct Header {
    tag: Tag,
    /// Bytes of the content.
    length: usize,
    /// Where the content begins.
    begin: usize,
}

impl<'d> Values<'d> {
    pub fn of(bytes: &'d [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next value, whichever it is.
    pub fn any(&mut self) -> Read<Element<'d>> {
        let header = self.header()?;
        self.take(header).ok_or_else(|| syntax("data truncated"))
    }

    /// The next value, which has to have a tag; `name` is what Go calls the type.
    pub fn expect(&mut self, tag: Tag, name: &str) -> Read<Element<'d>> {
        let header = self.header()?;
        if header.tag != tag {
            return Err(mismatch(tag, &header, name));
        }
        self.take(header).ok_or_else(|| syntax("data truncated"))
    }

    /// The next value if it has a tag.
    pub fn optional(&mut self, tag: Tag) -> Read<Option<Element<'d>>> {
        if self.is_empty() || self.header()?.tag != tag { Ok(None) } else { self.any().map(Some) }
    }

    /// The next value, a sequence.
    pub fn sequence(&mut self, name: &str) -> Read<Element<'d>> {
        self.expect(SEQUENCE, name)
    }

    /// The next value, an object identifier: its bytes.
    pub fn identifier(&mut self) -> Read<&'d [u8]> {
        let content = self.expect(IDENTIFIER, "ObjectIdentifier")?.content;
        check_identifier(content).map(|()| content)
    }

    /// The next value, a bit string: its bytes, with unused bits at the beginning.
    pub fn bits(&mut self) -> Read<Vec<u8>> {
        bits(self.expect(BIT_STRING, "BitString")?.content)
    }

    fn header(&self) -> Read<Header> {
        if self.is_empty() {
            return Err(syntax("sequence truncated"));
        }
        let first = byte(self.bytes, self.at)?;
        let (number, at) = match first & 0x1f {
            0x1f => long_number(self.bytes, self.at + 1)?,
            number => (u32::from(number), self.at + 1),
        };
        let (length, begin) = length(self.bytes, at)?;
        Ok(Header { tag: Tag { class: first >> 6, number, compound: first & 0x20 != 0 }, length, begin })
    }

    /// The value of a header; `None` if it is not all there.
    fn take(&mut self, header: Header) -> Option<Element<'d>> {
        let end = header.begin.checked_add(header.length)?;
        let content = self.bytes.get(header.begin..end)?;
        let whole = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(Element { tag: header.tag, content, whole })
    }
}

pub(super) fn syntax(why: &str) -> String {
    format!("asn1: syntax error: {why}")
}

fn structure(why: &str) -> String {
    format!("asn1: structure error: {why}")
}

fn mismatch(wanted: Tag, found: &Header, name: &str) -> String {
    let Header { tag, length, begin } = found;
    let own = if wanted.class == CONTEXT { SOME_ADDRESS } else { "<nil>" };
    structure(&format!(
        "tags don't match ({} vs {{class:{} tag:{} length:{length} isCompound:{}}}) {{optional:false explicit:false \
         application:false private:false defaultValue:<nil> tag:{own} stringType:0 timeType:0 set:false \
         omitEmpty:false}} {name} @{begin}",
        wanted.number, tag.class, tag.number, tag.compound
    ))
}

fn byte(bytes: &[u8], at: usize) -> Read<u8> {
    bytes.get(at).copied().ok_or_else(|| syntax("truncated tag or length"))
}

/// The number of a tag that takes several bytes, and where it ends.
fn long_number(bytes: &[u8], at: usize) -> Read<(u32, usize)> {
    let (number, end) = base128(bytes, at)?;
    if number < 0x1f { Err(syntax("non-minimal tag")) } else { Ok((number, end)) }
}

fn base128(bytes: &[u8], start: usize) -> Read<(u32, usize)> {
    let too_large = || structure("base 128 integer too large");
    let mut value = 0_i64;
    for (index, byte) in bytes.iter().skip(start).enumerate() {
        match index {
            0 if *byte == 0x80 => return Err(syntax("integer is not minimally encoded")),
            5 => return Err(too_large()),
            _ => value = (value << 7) | i64::from(byte & 0x7f),
        }
        if byte & 0x80 == 0 {
            let value = i32::try_from(value).map_err(|_| too_large())?;
            return Ok((value.unsigned_abs(), start + index + 1));
        }
    }
    Err(syntax("truncated base 128 integer"))
}

/// The length at an offset, and where it ends.
fn length(bytes: &[u8], at: usize) -> Read<(usize, usize)> {
    let first = byte(bytes, at)?;
    if first & 0x80 == 0 {
        return Ok((usize::from(first), at + 1));
    }
    let end = at + 1 + usize::from(first & 0x7f);
    if end == at + 1 {
        return Err(syntax("indefinite length found (not DER)"));
    }
    let mut length = 0_usize;
    for at in at + 1..end {
        let next = byte(bytes, at)?;
        if length >= 1 << 23 {
            return Err(structure("length too large"));
        }
        length = (length << 8) | usize::from(next);
        if length == 0 {
            return Err(structure("superfluous leading zeros in length"));
        }
    }
    if length < 0x80 { Err(structure("non-minimal length")) } else { Ok((length, end)) }
}

/// Whether the content of an integer is the shortest one.
pub(super) fn check_integer(content: &[u8]) -> Read<()> {
    match content {
        [] => Err(structure("empty integer")),
        [0, next, ..] if next & 0x80 == 0 => Err(structure("integer not minimally-encoded")),
        [0xff, next, ..] if next & 0x80 != 0 => Err(structure("integer not minimally-encoded")),
        _ => Ok(()),
    }
}

/// Whether the content of an integer is one of at most 64 bits.
pub(super) fn check_small_integer(content: &[u8]) -> Read<()> {
    check_integer(content)?;
    if content.len() > 8 { Err(structure("integer too large")) } else { Ok(()) }
}

/// Whether the content of an object identifier is one.
pub(super) fn check_identifier(content: &[u8]) -> Read<()> {
    if content.is_empty() {
        return Err(syntax("zero length OBJECT IDENTIFIER"));
    }
    let mut at = 0;
    while at < content.len() {
        (_, at) = base128(content, at)?;
    }
    Ok(())
}

/// The bytes of a bit string's content, with unused bits at the beginning.
pub(super) fn bits(content: &[u8]) -> Read<Vec<u8>> {
    let Some((unused, bytes)) = content.split_first() else { return Err(syntax("zero length BIT STRING")) };
    let last = bytes.last().copied().unwrap_or_default();
    if *unused > 7 || (bytes.is_empty() && *unused > 0) || last & ((1 << *unused) - 1) != 0 {
        return Err(syntax("invalid padding bits in BIT STRING"));
    }
    let mut before = 0_u16;
    let shifted = bytes.iter().map(|byte| {
        let both = (before << 8) | u16::from(*byte);
        before = u16::from(*byte);
        // What does not fit is the next byte's.
        ((both >> *unused) & 0xff) as u8
    });
    Ok(shifted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> String {
        Values::of(bytes).any().unwrap_err()
    }

    #[test]
    fn values_are_read_in_turn() {
        let mut values = Values::of(&[2, 1, 5, 0x30, 2, 5, 0]);
        assert_eq!(values.expect(INTEGER, "int").unwrap().content, [5]);
        assert_eq!(values.optional(SET).unwrap(), None);
        let list = values.sequence("").unwrap();
        assert_eq!((list.whole, list.content), (&[0x30, 2, 5, 0][..], &[5, 0][..]));
        assert!(values.is_empty());
        assert_eq!(values.any().unwrap_err(), "asn1: syntax error: sequence truncated");
    }

    #[test]
    fn lengths_are_the_shortest() {
        assert_eq!(fault(&[0x30, 0x80, 0, 0]), "asn1: syntax error: indefinite length found (not DER)");
        assert_eq!(fault(&[0x30, 0x81, 5]), "asn1: structure error: non-minimal length");
        assert_eq!(fault(&[0x30, 0x82, 0, 0x90]), "asn1: structure error: superfluous leading zeros in length");
        assert_eq!(fault(&[0x30, 0x85, 1, 0, 0, 0, 0]), "asn1: structure error: length too large");
        assert_eq!(fault(&[0x30, 0x82, 1]), "asn1: syntax error: truncated tag or length");
        assert_eq!(fault(&[0x1f, 5, 0]), "asn1: syntax error: non-minimal tag");
    }

    #[test]
    fn lists_hold_one_kind() {
        let list = Values::of(&[0x30, 5, 2, 1, 5, 5, 0]).any().unwrap();
        assert_eq!(list.each(None).unwrap().len(), 2);
        assert_eq!(list.each(Some(INTEGER)).unwrap_err(), "asn1: structure error: sequence tag mismatch");
        let short = Values::of(&[0x30, 3, 2, 2, 5]).any().unwrap();
        assert_eq!(short.each(Some(INTEGER)).unwrap_err(), "asn1: syntax error: truncated sequence");
    }

    #[test]
    fn contents_follow_their_types() {
        assert_eq!(check_integer(&[0, 1]).unwrap_err(), "asn1: structure error: integer not minimally-encoded");
        assert_eq!(check_small_integer(&[1; 9]).unwrap_err(), "asn1: structure error: integer too large");
        assert_eq!(check_identifier(&[0x2a, 0x86]).unwrap_err(), "asn1: syntax error: truncated base 128 integer");
        assert_eq!(check_identifier(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), Ok(()));
        assert_eq!(bits(&[]).unwrap_err(), "asn1: syntax error: zero length BIT STRING");
        assert_eq!(bits(&[1, 1]).unwrap_err(), "asn1: syntax error: invalid padding bits in BIT STRING");
        assert_eq!(bits(&[0, 1, 2]).unwrap(), [1, 2]);
        assert_eq!(bits(&[4, 0x12, 0x30]).unwrap(), [0x01, 0x23]);
    }
}
