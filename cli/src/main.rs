//! The `mainstay` binary.

use std::process::ExitCode;

/// Many small values of mixed lifetime: jemalloc keeps their memory together and gives it back, by threads of its own also
/// while nothing happens.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    mainstay::run()
}
