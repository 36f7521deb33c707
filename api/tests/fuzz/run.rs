//! Runs a decoder over damaged inputs: it may refuse them, but never panic, and never take long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::mutate::{Random, mutated};

/// Inputs of a run.
const INPUTS: usize = 4000;
/// For one input of 64 KiB at the most, on a busy machine, without optimisation.
const LIMIT: Duration = Duration::from_secs(5);
/// As of a worker thread of the server.
const STACK: usize = 2 << 20;

/// Tries `target` with what crashed it before, with the seeds, and with mutations of them.
///
/// # Panics
/// When the decoder panics or does not come to an end; the input is in a file then, which the message names.
pub(crate) fn fuzz(name: &'static str, crashes: &Path, seeds: &'static [&'static [u8]], target: fn(&[u8])) {
    let known = inputs_of(&crashes.join(name));
    let (sender, results) = channel();
    let working = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let mut random = Random::new(1);
        let first = known.into_iter().chain(seeds.iter().map(|seed| seed.to_vec()));
        let rest = std::iter::repeat_with(move || mutated(seeds, &mut random));
        for input in first.chain(rest).take(INPUTS) {
            if sender.send(Some(input.clone())).is_err() {
                break;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
            if outcome.is_err() || sender.send(None).is_err() {
                break;
            }
        }
    });
    let working = working.expect("a thread can be started");
    watch(name, &results);
    working.join().expect("panics of the decoder are caught");
}

/// Follows the inputs, each of which has to be answered in time.
fn watch(name: &str, results: &std::sync::mpsc::Receiver<Option<Vec<u8>>>) {
    let mut current: Option<Vec<u8>> = None;
    loop {
        match (results.recv_timeout(LIMIT), current.take()) {
            (Ok(next), _) => current = next,
            (Err(RecvTimeoutError::Disconnected), None) => return,
            (Err(RecvTimeoutError::Timeout), None) => {}
            (Err(why), Some(input)) => {
                let what = if why == RecvTimeoutError::Timeout { "takes too long" } else { "panics" };
                panic!("{name} {what}; the input is in {}", keep(name, &input).display());
            }
        }
    }
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mainstay-fuzz-{name}-{}", std::process::id()));
    std::fs::write(&path, input).expect("the folder for temporary files can be written");
    path
}

fn inputs_of(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| std::fs::read(entry.expect("a listed entry").path()).expect("a kept crash is readable"))
        .collect()
}
