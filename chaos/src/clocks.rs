//! Clocks that can be set. Namespaces do not cover the time of day, so masters of a scenario with `clocks: true` are
//! started with a library of a few lines (`clock.c`, compiled when it is needed) that adds to it what is in a file; time
//! that only moves forward stays as it is. libfaketime would do the same, but hangs below jemalloc.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::tool::run;

const LIBRARY: &str = include_str!("clock.c");

/// What `mainstay up` is told for clocks that can jump.
pub(crate) fn environment(folder: &Path, masters: &[String]) -> Result<Vec<String>> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, LIBRARY).with_context(|| format!("writing {}", source.display()))?;
    let compiled = run(Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source));
    compiled.context("clocks want a C compiler; install: apt-get install build-essential")?;
    let mut words = Vec::new();
    for name in masters {
        let file = folder.join(name);
        std::fs::write(&file, 0_i64.to_ne_bytes()).with_context(|| format!("writing {}", file.display()))?;
        let preload = format!("{name}:LD_PRELOAD={}", library.display());
        let clock = format!("{name}:MAINSTAY_CHAOS_CLOCK={}", file.display());
        words.extend([preload, clock].into_iter().flat_map(|setting| ["--env".to_owned(), setting]));
    }
    Ok(words)
}

/// Sets how wrong a clock is. The file is mapped by its master, so it is written in place.
pub(crate) fn set(file: &Path, seconds: i64) -> Result<()> {
    let opened = OpenOptions::new().write(true).open(file);
    let written = opened.and_then(|opened| opened.write_all_at(&seconds.to_ne_bytes(), 0));
    written.with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_the_shift_change() {
        let folder = tempfile::tempdir().unwrap();
        let words = environment(folder.path(), &["m".to_owned()]).unwrap();
        let variables: Vec<(&str, &str)> =
            words.iter().filter_map(|word| word.strip_prefix("m:")?.split_once('=')).collect();
        let year = || {
            let output = Command::new("date").arg("+%Y").envs(variables.iter().copied()).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<i32>().unwrap()
        };
        let now = year();
        set(&folder.path().join("m"), 2 * 366 * 24 * 3600).unwrap();
        assert_eq!(year(), now + 2);
    }
}
