//! The decoders of `api` under libFuzzer, which looks for inputs that reach more of the code. What they are asked to do, and
//! the good inputs to begin from, are those of the tests.

mod plant;
#[path = "../../tests/fuzz/seeds.rs"]
pub mod seeds;
#[path = "../../tests/fuzz/targets.rs"]
pub mod targets;

pub use plant::plant;

/// A decoder under the fuzzer, and what it begins from; those of other crates too.
#[macro_export]
macro_rules! decoder {
    ($target:path, $seeds:path) => {
        libfuzzer_sys::fuzz_target!(init: $crate::plant(&$seeds), |data: &[u8]| $target(data));
    };
}
