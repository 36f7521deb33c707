//! Code generation and repository checks.

mod arrows;
mod columns;
mod r#gen;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

/// What to do for the repository.
#[derive(Parser)]
enum Task {
    /// Writes api/tables from ../shared/kubernetes-1.36.
    Gen,
    /// Writes api/tables/columns.json from ../shared/kubernetes-1.36.
    GenColumns,
    /// Checks which crate depends on which.
    Arrows,
}

/// The top of the checkout that runs, which need not be the one that was compiled: a target directory may be shared between several.
fn root() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo run -p xtask`")?;
    Ok(PathBuf::from(folder).join(".."))
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Gen => r#gen::run(),
        Task::GenColumns => columns::run(),
        Task::Arrows => arrows::check(),
    }
}
