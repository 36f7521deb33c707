//! Decoders meet inputs that nobody would write. `make fuzz` hunts for longer, guided by what of the code an input reaches;
//! what it finds goes into `crashes/<decoder>/` and is tried first from then on.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod mutate;
mod run;
mod seeds;
mod targets;

use std::path::PathBuf;

/// Where the checkout is that runs, not the one that was compiled: a target directory may be shared between several.
fn crashes() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/fuzz/crashes")
}

macro_rules! decoders {
    ($($name:ident: $seeds:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            run::fuzz(stringify!($name), &crashes(), &seeds::$seeds, targets::$name);
        }
    )+};
}

decoders! {
    json: JSON,
    gojson: DOCUMENTS,
    yaml: YAML,
    protobuf: PROTOBUF,
    patches: PATCHES,
    selectors: SELECTORS,
    fieldsets: FIELD_SETS,
    quantities: QUANTITIES,
    cel: CEL,
    schemas: SCHEMAS,
}
