//! The API server's own decoders under libFuzzer, as those of `api` in its `fuzz/`.

#[path = "../../../api/fuzz/src/plant.rs"]
mod plant;

pub use mainstay_apiserver::fuzz;
pub use plant::plant;

/// A decoder, and what it begins from.
#[macro_export]
macro_rules! decoder {
    ($target:ident, $seeds:ident) => {
        libfuzzer_sys::fuzz_target!(init: $crate::plant(&$crate::fuzz::$seeds), |data: &[u8]| {
            $crate::fuzz::$target(data)
        });
    };
}
