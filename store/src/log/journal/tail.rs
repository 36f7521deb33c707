//! Writing in whole blocks, so that it can go past the page cache.

use super::segment::Segment;

/// Writes begin and end at multiples of this; no disk has larger sectors.
pub(super) const BLOCK: usize = 4096;
/// A buffer that has grown beyond this is let go.
const BUFFER: usize = 2 << 20;

/// The end of a segment: what its last block holds is written again with what comes behind it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    block: Vec<u8>,
    buffer: Vec<u8>,
}

impl Tail {
    /// Of a segment that ends at `end`.
    pub(super) fn of(segment: &Segment, end: usize) -> std::io::Result<Self> {
        let block = segment.read(end - end % BLOCK, end % BLOCK)?;
        Ok(Self { block, buffer: Vec::new() })
    }

    /// Writes `bytes` at `at`, where the segment ended so far, and zeros up to the end of the block. All of it is on disk
    /// afterwards.
    pub(super) fn write(&mut self, segment: &Segment, bytes: &[u8], at: usize) -> std::io::Result<()> {
        let held = self.block.len();
        let end = held + bytes.len();
        let length = end.next_multiple_of(BLOCK);
        self.buffer.clear();
        self.buffer.resize(length + BLOCK, 0);
        // What goes past the page cache has to lie at such an address in memory, too.
        let skip = self.buffer.as_ptr().align_offset(BLOCK);
        let aligned = &mut self.buffer[skip..skip + length];
        aligned[..held].copy_from_slice(&self.block);
        aligned[held..end].copy_from_slice(bytes);
        segment.write_through(aligned, at - held)?;
        self.block.clear();
        self.block.extend_from_slice(&aligned[end - end % BLOCK..end]);
        if self.buffer.capacity() > BUFFER {
            self.buffer = Vec::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_pieces_of_any_size_is_read_as_a_whole() {
        let temp = tempfile::tempdir().unwrap();
        let segment = Segment::create(temp.path(), 1, 4 * BLOCK).unwrap();
        let mut expected = Vec::new();
        let mut tail = Tail::default();
        for (number, length) in [1, 100, BLOCK, 3000, 2 * BLOCK + 1, 995, 1, BLOCK].into_iter().enumerate() {
            let piece = vec![u8::try_from(number + 1).unwrap(); length];
            tail.write(&segment, &piece, expected.len()).unwrap();
            expected.extend(piece);
            if number % 3 == 2 {
                tail = Tail::of(&segment, expected.len()).unwrap();
            }
        }
        assert_eq!(segment.read(0, expected.len()).unwrap(), expected);
    }
}
