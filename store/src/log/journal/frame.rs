//! Frames: what one synced write puts into a segment.
//!
//! A header of 32 bytes, the content, zeros up to the next multiple of 32. The header holds, little endian: a checksum of
//! the rest of it (4 bytes), the content's length (4), the write's number (8), the segment's seal (8), the offset (4), and the
//! content's checksum (4). Seal and offset are in it so that what a segment held when it had another number, what is at
//! the wrong place, and what a client wrote to look like a frame ([`Seal`]), is never taken for one.
//!
//! Writes are numbered one after the other, and each is synced before the next one begins. A frame therefore proves that
//! all before the one in front of it were on disk: if one of those cannot be read, that is damage, and not a write that
//! a crash cut off.

use std::ops::Range;

/// Bytes of a header.
pub(super) const HEADER: usize = 32;
/// Frames begin at multiples of this, so that a header never lies in two sectors.
const ALIGN: usize = 32;

/// Whole frames only have one that fits their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The write's.
    pub(super) number: u64,
    length: usize,
    content: u32,
}

/// What frames of one segment have in common. The first one, which no client's bytes are ever in the place of, has the
/// segment's number, the others that number with the journal's secret over it: it is drawn once and written into the first
/// frame of each segment, so that nobody can write a value that is taken for a frame when what a segment held before it
/// was used again lies behind its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal {
    /// The segment's number.
    pub(super) segment: u64,
    pub(super) secret: u64,
}

impl Seal {
    fn at(self, offset: usize) -> u64 {
        if offset == 0 { self.segment } else { self.segment ^ self.secret }
    }
}

/// Fills in the header of `frame`, which has room for it before its content, and the zeros after it.
pub(super) fn seal(frame: &mut Vec<u8>, seal: Seal, offset: usize, number: u64) -> std::io::Result<()> {
    let too_large = |_| std::io::Error::other("more than the log can write at once");
    let narrow = |wide: usize| u32::try_from(wide).map_err(too_large);
    // What is in it is found by its place in the segment, which has four bytes, too.
    narrow(offset + frame.len())?;
    let (length, segment, offset) = (narrow(frame.len() - HEADER)?, seal.at(offset), narrow(offset)?);
    let content = crc32c::crc32c(&frame[HEADER..]);
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[8..16].copy_from_slice(&number.to_le_bytes());
    frame[16..24].copy_from_slice(&segment.to_le_bytes());
    frame[24..28].copy_from_slice(&offset.to_le_bytes());
    frame[28..32].copy_from_slice(&content.to_le_bytes());
    let own = crc32c::crc32c(&frame[4..HEADER]);
    frame[..4].copy_from_slice(&own.to_le_bytes());
    frame.resize(padded(frame.len()), 0);
    Ok(())
}

/// Bytes that a frame takes with the zeros after it.
pub(super) fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGN)
}

/// The header at `offset` of a segment with these bytes.
pub(super) fn header(bytes: &[u8], seal: Seal, offset: usize) -> Option<Header> {
    let header: &[u8; HEADER] = bytes.get(offset..offset + HEADER)?.try_into().ok()?;
    let (short, long) = (|at| u32_at(header, at), |at| u64_at(header, at));
    let ours = short(0) == crc32c::crc32c(&header[4..]) && long(16) == seal.at(offset) && short(24) as usize == offset;
    ours.then(|| Header { number: long(8), length: short(4) as usize, content: short(28) })
}

fn u32_at(header: &[u8; HEADER], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(header: &[u8; HEADER], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// The frame at `offset`, if all of it is there: its header and where its content is.
pub(super) fn whole(bytes: &[u8], seal: Seal, offset: usize) -> Option<(Header, Range<usize>)> {
    let header = header(bytes, seal, offset)?;
    let content = offset + HEADER..offset + HEADER + header.length;
    (crc32c::crc32c(bytes.get(content.clone())?) == header.content).then_some((header, content))
}

/// The largest number of a write that begins at `offset` or after it.
pub(super) fn latest(bytes: &[u8], seal: Seal, offset: usize) -> Option<u64> {
    let places = (padded(offset)..bytes.len()).step_by(ALIGN);
    places.filter_map(|at| header(bytes, seal, at)).map(|header| header.number).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal { segment: 7, secret: 0x5ec2e7 };

    fn frame(content: &[u8], offset: usize, number: u64) -> Vec<u8> {
        let mut frame = vec![0; HEADER];
        frame.extend_from_slice(content);
        seal(&mut frame, SEAL, offset, number).unwrap();
        frame
    }

    #[test]
    fn a_frame_is_read_where_it_was_written_only() {
        let mut bytes = frame(b"first", 0, 1);
        bytes.extend(frame(b"second", 64, 2));
        let (header, content) = whole(&bytes, SEAL, 64).unwrap();
        assert_eq!((header.number, &bytes[content]), (2, &b"second"[..]));
        assert_eq!(whole(&bytes, Seal { segment: 8, ..SEAL }, 64), None);
        assert_eq!(whole(&bytes[64..], SEAL, 0), None);
        let guessed = Seal { secret: 0, ..SEAL };
        assert!(whole(&bytes, guessed, 0).is_some());
        assert_eq!(whole(&bytes, guessed, 64), None);
        assert_eq!(latest(&bytes, SEAL, 1), Some(2));
        assert_eq!(latest(&bytes, SEAL, 65), None);
    }

    #[test]
    fn a_frame_ends_where_four_bytes_can_tell() {
        let place = u32::MAX as usize - HEADER;
        assert!(seal(&mut vec![0; HEADER], SEAL, place, 1).is_ok());
        assert!(seal(&mut vec![0; HEADER + 1], SEAL, place, 1).is_err());
    }

    #[test]
    fn every_changed_bit_but_those_of_the_filling_is_noticed() {
        let bytes = frame(b"some content", 0, 9);
        for bit in 0..(HEADER + b"some content".len()) * 8 {
            let mut spoilt = bytes.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(whole(&spoilt, SEAL, 0), None, "bit {bit}");
        }
        assert_eq!(bytes.len(), 64);
    }
}
