//! `mainstay up` and `mainstay down`: a whole cluster on this machine, each master and agent a process of its own,
//! watched over by a supervisor that starts again what dies and keeps `cluster.json` current.

mod args;
mod containers;
mod file;
mod keeper;
mod layout;
mod lock;
mod naming;
mod network;
mod progress;
mod ready;
mod registry;
mod start;
mod supervisor;
mod teardown;

use std::io::Write;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::{logging, runtime};
pub(crate) use args::{DownArgs, UpArgs};
use file::ClusterFile;
use progress::Progress;

/// Starts the cluster; in the foreground stays until interrupted.
pub(crate) fn run(mut up: UpArgs) -> Result<ExitCode> {
    up.dir = std::path::absolute(&up.dir).context("cannot tell where the cluster's folder is")?;
    if up.supervised {
        logging::daemon();
        return supervise(&up, Progress::piped());
    }
    logging::client();
    check_before(&up)?;
    if up.detach {
        start_supervisor(&up)?;
        return Ok(ExitCode::SUCCESS);
    }
    supervise(&up, Progress::terminal())
}

fn supervise(up: &UpArgs, progress: Progress) -> Result<ExitCode> {
    let outcome = runtime::block_on(supervisor::run(up, &progress));
    if let Err(error) = &outcome {
        progress.failed(&format!("{error:#}"));
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What can be known to be wrong before anything is started.
fn check_before(up: &UpArgs) -> Result<()> {
    if let Some(running) = ClusterFile::read_if_there(&up.dir)?.filter(ClusterFile::is_running) {
        let (dir, masters) = (up.dir.display(), running.masters.len());
        bail!("a cluster with {masters} masters already runs in {dir}; stop it with: mainstay down --dir {dir}");
    }
    if up.has_containers() {
        containers::check_machine()?;
    } else if up.isolates() {
        network::check_machine()?;
    }
    Ok(())
}

/// Starts the supervisor in the background, shows what it reports, and returns when it is ready.
fn start_supervisor(up: &UpArgs) -> Result<()> {
    use std::io::BufRead;
    use std::os::unix::process::CommandExt;
    std::fs::create_dir_all(&up.dir).with_context(|| format!("cannot make {}", up.dir.display()))?;
    let log = log_file(&up.dir)?;
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let mut child = std::process::Command::new(own)
        .args(std::env::args_os().skip(1))
        .arg("--supervised")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the supervisor")?;
    let output = child.stdout.take().context("the supervisor has no output")?;
    let terminal = Progress::terminal();
    for line in std::io::BufReader::new(output).lines() {
        match progress::Report::parse(&line.context("the supervisor's report broke off")?) {
            progress::Report::Step(text) => terminal.step(&text),
            progress::Report::Ready(text) => {
                terminal.ready(&text);
                return Ok(());
            }
            progress::Report::Failed(text) => {
                child.wait().context("waiting for the supervisor")?;
                bail!("{text}");
            }
        }
    }
    bail!("the supervisor ended without a word; see {}", up.dir.join("up.log").display())
}

fn log_file(dir: &Path) -> Result<std::fs::File> {
    let path = dir.join("up.log");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "--- up").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

/// Stops the cluster and removes what it left.
pub(crate) fn down(down: &DownArgs) -> Result<ExitCode> {
    logging::client();
    let dir = std::path::absolute(&down.dir).context("cannot tell where the cluster's folder is")?;
    let Some(file) = ClusterFile::read_if_there(&dir)? else {
        bail!("there is no cluster in {} (no cluster.json); name its folder with --dir", dir.display());
    };
    let progress = Progress::terminal();
    teardown::stop_supervisor(&file, &progress);
    // The supervisor has cleaned up if it was alive; what a dead one left is found here.
    let file = ClusterFile::read_if_there(&dir)?.unwrap_or(file);
    teardown::everything(&file, &dir, &progress)?;
    let done = if down.keep_data {
        format!("The cluster is stopped. Start it again with: mainstay up --dir {}", dir.display())
    } else {
        teardown::remove_files(&dir)?;
        format!("The cluster in {} is gone.", dir.display())
    };
    progress.ready(&done);
    Ok(ExitCode::SUCCESS)
}
