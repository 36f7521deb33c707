//! `mainstay chaos`: breaks a cluster on purpose and reports what held.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use mainstay_chaos::cluster::Cluster;
use mainstay_chaos::fault::pressure;
use mainstay_chaos::undo::{self, Journal};
use mainstay_chaos::{page, relay, run, scenario};
use tokio::signal::unix::{SignalKind, signal};

/// Breaks a cluster on purpose and reports what held
#[derive(Parser)]
#[command(name = "mainstay chaos", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the scenarios
    List,
    /// Run a scenario; exits with 1 if a property did not hold
    Run(Box<RunArgs>),
    /// Put right what a run that was killed left broken
    Undo,
    /// Delay connections that are redirected here; a fault's helper
    #[command(hide = true)]
    Relay(RelayArgs),
    /// Keep processors and memory busy; a fault's helper
    #[command(hide = true)]
    Burn(BurnArgs),
}

#[derive(Args)]
struct BurnArgs {
    #[arg(long)]
    parent: i32,
    #[arg(long)]
    megabytes: usize,
}

#[derive(Args)]
struct RelayArgs {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    delay_ms: u64,
}

#[derive(Args)]
struct RunArgs {
    /// The scenario; `list` names them
    #[arg(long)]
    scenario: String,
    /// Go through its steps this often
    #[arg(long)]
    rounds: Option<u32>,
    /// Choose faults of the scenario at random for so many minutes
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Chooses the victims; a run with the same seed chooses the same
    #[arg(long)]
    seed: Option<u64>,
    /// A cluster that runs already (its `mainstay up --dir`); without it one is started and removed again
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The runtime of a cluster that is started here; the scenario's if not given
    #[arg(long, value_enum)]
    runtime: Option<scenario::Runtime>,
    /// The program that upgrades are to; the same as before if not given
    #[arg(long, value_name = "FILE")]
    binary_new: Option<PathBuf>,
    /// Fetch this page all the time and count failures
    #[arg(long, value_name = "URL")]
    curl: Option<String>,
    /// Keep the logs of all processes in this folder, to look into what went wrong
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as a page for browsers, with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl RunArgs {
    /// The command that repeats this run.
    fn repetition(&self, seed: u64) -> String {
        let mut words = vec![format!("mainstay chaos run --scenario {} --seed {seed}", self.scenario)];
        words.extend(self.rounds.map(|rounds| format!("--rounds {rounds}")));
        words.extend(self.minutes.map(|minutes| format!("--minutes {minutes}")));
        words.extend(self.runtime.map(|runtime| format!("--runtime {}", runtime.word())));
        words.extend(self.binary_new.as_ref().map(|binary| format!("--binary-new {}", binary.display())));
        words.extend(self.curl.as_ref().map(|url| format!("--curl {url}")));
        words.join(" ")
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::ERROR).init();
    let outcome = match Cli::parse().command {
        Command::List => list(),
        Command::Run(args) => run_scenario(*args).await,
        Command::Undo => undo_dead_runs().map(|()| true),
        Command::Burn(args) => {
            pressure::burn(args.parent, args.megabytes);
            Ok(true)
        }
        Command::Relay(args) => relay::serve(args.port, Duration::from_millis(args.delay_ms)).await.map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<bool> {
    for scenario in scenario::catalogue()? {
        println!("{:<10} {}", scenario.name, scenario.about);
    }
    Ok(true)
}

fn undo_dead_runs() -> Result<()> {
    for line in undo::play_back().context("putting right what an earlier run left")? {
        eprintln!("put right what an earlier run left: {line}");
    }
    Ok(())
}

async fn run_scenario(args: RunArgs) -> Result<bool> {
    undo_dead_runs()?;
    let mut scenario = scenario::find(&args.scenario)?;
    scenario.rounds = args.rounds.unwrap_or(scenario.rounds);
    scenario.storm_minutes = args.minutes.unwrap_or(scenario.storm_minutes);
    let seed = args.seed.unwrap_or_else(rand::random);
    let temporary = tempfile::tempdir().context("making a folder for the cluster")?;
    let runtime = args.runtime.unwrap_or(scenario.runtime);
    scenario.suit(runtime);
    let journal = Journal::begin()?;
    let mut cluster = match &args.dir {
        Some(dir) => Cluster::attach(dir, &journal)?,
        None => Cluster::launch(&temporary.path().join("cluster"), runtime, &scenario, &journal).await?,
    };
    cluster.set_new_binary(args.binary_new.clone());
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let outcome = tokio::select! {
        outcome = run::run(&scenario, &cluster, &journal, seed, args.curl.clone()) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; faults are undone")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to end; faults are undone")),
    };
    if let Some(folder) = &args.logs {
        cluster.keep_logs(folder)?;
    }
    cluster.remove().await?;
    let (mut report, timeline) = outcome.with_context(|| format!("scenario {} with seed {seed}", scenario.name))?;
    report.command = args.repetition(seed);
    println!("{}", report.table());
    if let Some(path) = &args.json {
        report.write_json(path)?;
    }
    if let Some(path) = &args.html {
        page::write(&report, &timeline, path)?;
    }
    if let Some(path) = &args.junit {
        report.write_junit(path)?;
    }
    Ok(report.held())
}
