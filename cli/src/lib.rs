//! The command line: flags, wiring of the crates into one process, `mainstay up`, and kubectl's verbs over gRPC.
//! There is no logic of the cluster here.

mod agent;
mod args;
mod bench;
mod cluster;
mod connect;
mod dial;
mod join;
mod kubeconfig;
mod logging;
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
            eprintln!("{}", complaint(&error));
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

/// kubectl's words for what a server refused, ours for the rest.
fn complaint(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let text = text.trim();
    let Some(refusal @ mainstay_client::Error::Api(_)) = error.downcast_ref() else { return format!("error: {text}") };
    match refusal.reason() {
        "Unauthorized" => format!(
            "error: You must be logged in to the server ({text}): \
             the token or certificate in the kubeconfig is not of this cluster, or has expired"
        ),
        "" => format!("Error from server: {text}"),
        reason => format!("Error from server ({reason}): {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: &str) -> anyhow::Error {
        let status = serde_json::json!({"message": "no", "reason": reason, "code": 400});
        mainstay_client::Error::Api(Box::new(serde_json::from_value(status).unwrap())).into()
    }

    #[test]
    fn refusals_read_as_kubectl_words_them() {
        assert_eq!(complaint(&refused("NotFound")), "Error from server (NotFound): no");
        assert_eq!(complaint(&refused("").context("x.yaml")), "Error from server: x.yaml: no");
        assert!(complaint(&refused("Unauthorized")).starts_with("error: You must be logged in to the server (no)"));
        assert_eq!(complaint(&anyhow::anyhow!("no file")), "error: no file");
    }
}
