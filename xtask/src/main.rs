//! Code generation and repository checks.

mod arrows;
mod columns;
mod r#gen;

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

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Gen => r#gen::run(),
        Task::GenColumns => columns::run(),
        Task::Arrows => arrows::check(),
    }
}
