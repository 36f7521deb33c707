//! Gives a fuzzer its first inputs.

/// Writes them into the folder that `MAINSTAY_FUZZ_CORPUS` names, where libFuzzer looks for them next.
pub fn plant(seeds: &[&[u8]]) {
    let Some(folder) = std::env::var_os("MAINSTAY_FUZZ_CORPUS") else { return };
    for (number, seed) in seeds.iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
        std::fs::write(path, seed).expect("the folder of inputs can be written");
    }
}
