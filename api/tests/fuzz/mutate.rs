//! Inputs that nobody would write: good ones, damaged.

/// A small generator of numbers (xorshift), so that a run can be repeated by its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }
}

/// Longest input.
const LONGEST: usize = 64 << 10;
/// How often a piece is repeated at the most: deep nesting and long lists come from that.
const REPEATS: usize = 4000;

/// Words that mean something to one decoder or another.
const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    ":",
    ",",
    "\\",
    "\0",
    "\n",
    "  ",
    "- ",
    "#",
    "&a",
    "*a",
    "!!binary",
    "|",
    ">-",
    "null",
    "true",
    "-0",
    "1e999",
    "9223372036854775808",
    "0.1",
    "~1",
    "/-",
    "$patch",
    "$setElementOrder/x",
    "k:{}",
    "f:",
    " in ",
    "notin",
    "!=",
    "%2F",
    "\u{feff}",
    "\u{10ffff}",
    "?.",
];

/// Another input, made of the given ones.
pub(crate) fn mutated(seeds: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].to_vec();
    for _ in 0..=random.below(6) {
        mutate(&mut data, seeds, random);
    }
    data.truncate(LONGEST);
    data
}

fn mutate(data: &mut Vec<u8>, seeds: &[&[u8]], random: &mut Random) {
    let at = random.below(data.len() + 1);
    let end = (at + random.below(24)).min(data.len());
    match random.below(9) {
        0 if at < data.len() => data[at] ^= 1 << random.below(8),
        1 if at < data.len() => data[at] = u8::try_from(random.below(256)).unwrap_or(0),
        2 => drop(data.drain(at..end)),
        3 => data.truncate(at),
        4 => insert(data, at, WORDS[random.below(WORDS.len())].as_bytes()),
        5 => {
            let piece = data[at..end].to_vec();
            let times = if random.below(8) == 0 { random.below(REPEATS) } else { random.below(8) };
            insert(data, at, &piece.repeat(times));
        }
        6 => {
            let times = if random.below(8) == 0 { random.below(REPEATS) } else { random.below(8) };
            insert(data, at, &WORDS[random.below(WORDS.len())].as_bytes().repeat(times));
        }
        7 => {
            let other = seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            insert(data, at, &other[from..(from + random.below(64)).min(other.len())]);
        }
        _ => {
            let other = seeds[random.below(seeds.len())];
            data.truncate(at);
            data.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
    }
    data.truncate(LONGEST);
}

fn insert(data: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let rest = data.split_off(at);
    data.extend_from_slice(piece);
    data.extend_from_slice(&rest);
}
