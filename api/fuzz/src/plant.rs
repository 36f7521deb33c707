//! Gives a fuzzer its first inputs.

use std::path::Path;

/// Writes them into the folder that `MAINSTAY_FUZZ_CORPUS` names, where libFuzzer looks for them next; ends the process if
/// that cannot be.
pub fn plant(seeds: &[&[u8]]) {
    let Some(folder) = std::env::var_os("MAINSTAY_FUZZ_CORPUS") else { return };
    for (number, seed) in seeds.iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number}"));
        if let Err(error) = std::fs::write(&path, seed) {
            eprintln!("{}: {error}", path.display());
            std::process::exit(1);
        }
    }
}
