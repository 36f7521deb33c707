//! The command line: flags, wiring of the crates into one process, `mainstay up`, and kubectl's verbs over gRPC.
//! There is no logic of the cluster here.

mod agent;
mod args;
mod bench;
mod cluster;
mod complaint;
mod connect;
mod dial;
mod join;
mod kubeconfig;
mod logging;
mod ports;
mod process;
mod runtime;
mod server;
mod up;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

/// Parses the command line, does what it says, and reports a failure in one line.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match args::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    mainstay_apiserver::pki::install_provider();
    match args::dispatch(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", complaint::complaint(&error));
            ExitCode::FAILURE
        }
    }
}

/// Help goes to stdout with exit code 0, a wrong command line to stderr with 2.
fn usage(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if error.print().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::from(code)
}
