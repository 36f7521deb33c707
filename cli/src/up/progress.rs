//! What the user sees while a cluster starts: on a terminal a line that moves, else a line a step; from the supervisor
//! to the waiting `up`, lines in a pipe.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const READY: &str = "\u{1}ready ";
const FAILED: &str = "\u{1}failed ";

/// Where progress goes.
pub(super) enum Progress {
    /// A spinner on stderr.
    Spinner(ProgressBar),
    /// Plain lines on stderr.
    Lines,
    /// To the process that started us; silent once it is gone.
    Piped(Mutex<Option<std::io::Stdout>>),
}

impl Progress {
    /// For the user of this process.
    pub(super) fn terminal() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::Spinner(bar)
    }

    /// For the process that reads our stdout.
    pub(super) fn piped() -> Self {
        Self::Piped(Mutex::new(Some(std::io::stdout())))
    }

    /// Something begins.
    pub(super) fn step(&self, text: &str) {
        match self {
            Self::Spinner(bar) => bar.set_message(text.to_owned()),
            Self::Lines => eprintln!("{text}"),
            Self::Piped(out) => tell(out, text),
        }
    }

    /// All is done.
    pub(super) fn ready(&self, text: &str) {
        match self {
            Self::Spinner(bar) => {
                bar.finish_and_clear();
                println!("{text}");
            }
            Self::Lines => println!("{text}"),
            Self::Piped(out) => {
                tell(out, &format!("{READY}{}", text.replace('\n', "\u{2}")));
                if let Ok(mut out) = out.lock() {
                    *out = None;
                }
            }
        }
    }

    /// It did not work. Whoever shows the error shows it; here only the spinner stops.
    pub(super) fn failed(&self, text: &str) {
        match self {
            Self::Spinner(bar) => bar.finish_and_clear(),
            Self::Lines => {}
            Self::Piped(out) => tell(out, &format!("{FAILED}{}", text.replace('\n', " "))),
        }
    }
}

fn tell(out: &Mutex<Option<std::io::Stdout>>, line: &str) {
    let Ok(mut guard) = out.lock() else { return };
    let Some(stdout) = guard.as_mut() else { return };
    if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
        // Nobody listens any more; that is no reason to stop.
        *guard = None;
    }
}

/// A line of the supervisor.
pub(super) enum Report {
    /// Something begins.
    Step(String),
    /// All is done.
    Ready(String),
    /// It did not work.
    Failed(String),
}

impl Report {
    /// Reads one line.
    pub(super) fn parse(line: &str) -> Self {
        if let Some(text) = line.strip_prefix(READY) {
            return Self::Ready(text.replace('\u{2}', "\n"));
        }
        match line.strip_prefix(FAILED) {
            Some(text) => Self::Failed(text.to_owned()),
            None => Self::Step(line.to_owned()),
        }
    }
}
