//! Logs go to stderr; `MAINSTAY_LOG` chooses what, as `RUST_LOG` does elsewhere.

use tracing_subscriber::EnvFilter;

/// For the long-running commands. openraft warns at each message that an absent master does not answer.
pub(crate) fn daemon() {
    start("info,openraft=error,h2=warn,hyper=warn,tower=warn");
}

/// For commands that talk to a user: warnings only.
pub(crate) fn client() {
    start("error");
}

fn start(default: &str) {
    let filter = EnvFilter::try_from_env("MAINSTAY_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let started =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
    if let Err(error) = started {
        eprintln!("warning: logging is not available: {error}");
    }
}
