/// The characters of a generated suffix: no vowels and no digits that read as letters, so that no words appear.
pub const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many characters a generated suffix has.
pub const SUFFIX_LENGTH: usize = 5;
/// The longest generated name, in bytes; longer bases are cut.
pub const GENERATED_NAME_MAX: usize = 63;

/// The name that `generateName` becomes with these random numbers.
#[must_use]
pub fn generated_name(base: &str, random: [u32; SUFFIX_LENGTH]) -> String {
    let mut cut = base.len().min(GENERATED_NAME_MAX - SUFFIX_LENGTH);
    while !base.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut name = base[..cut].to_owned();
    for number in random {
        let at = number as usize % SUFFIX_ALPHABET.len();
        name.push(char::from(SUFFIX_ALPHABET[at]));
    }
    name
}
