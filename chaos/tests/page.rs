//! The report's page in a real browser.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mainstay_chaos::history::{Action, Call, Outcome};
use mainstay_chaos::page::{self, Timeline};
use mainstay_chaos::report::{FaultRecord, Report};
use mainstay_chaos::status::Leadership;

/// From the folder of clients, or from the system.
fn chromium() -> Option<PathBuf> {
    let clients = std::env::var_os("MAINSTAY_CLIENTS").into_iter().map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = clients.chain(std::env::split_paths(&path).collect::<Vec<_>>());
    folders.map(|folder| folder.join("chromium")).find(|program| program.exists())
}

fn browse(program: &Path, profile: &Path, arguments: &[&str]) -> std::process::Output {
    let profile = format!("--user-data-dir={}", profile.display());
    let fixed = ["60", program.to_str().unwrap(), "--headless", "--no-sandbox", "--disable-gpu", profile.as_str()];
    let output = Command::new("timeout").args(fixed).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn write_page(path: &Path) {
    let fault = FaultRecord {
        label: "kill leader".into(),
        what: "kill -9 <master-1>".into(),
        at_ms: 500,
        held_ms: 0,
        write_gap_ms: Some(420),
        recovered_ms: 900,
        leader_after: Some("master-2".into()),
        measured: Vec::new(),
        disturbed: None,
    };
    let command = "mainstay chaos run --scenario failover --seed 7".into();
    let report = Report { scenario: "failover".into(), command, faults: vec![fault], ..Report::default() };
    let at = |ms| Duration::from_millis(ms);
    let call = Call { register: 0, action: Action::Read, outcome: Outcome::Value(1), sent: at(5), answered: at(9) };
    let acknowledgements = (0..200).filter(|n| !(50..92).contains(n)).map(|n| at(n * 10)).collect();
    let leaders = [(0, 3, "master-1"), (500, 0, ""), (700, 4, "master-2")];
    let leaders = leaders.map(|(ms, term, name)| (at(ms), Leadership { term, leader: name.into() })).to_vec();
    let fetches = vec![(at(3), true), (at(600), false)];
    let timeline = Timeline { acknowledgements, calls: vec![call], fetches, leaders };
    page::write(&report, &timeline, path).unwrap();
}

#[test]
fn a_browser_shows_the_report() {
    let Some(program) = chromium() else {
        println!("skipped: there is no chromium; .ci/tools installs it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    write_page(&page);
    let (url, profile) = (format!("file://{}", page.display()), folder.path().join("profile"));
    let dom = browse(&program, &profile, &["--dump-dom", &url]);
    let dom = String::from_utf8(dom.stdout).unwrap();
    // As the browser understood it: four plots, a row a fault below the head, and names that are not taken for tags.
    assert_eq!(dom.matches("<svg").count(), 4);
    assert!(dom.contains("<polyline"), "a line of writes is drawn");
    assert!(dom.contains("master-2 (4)") && dom.contains("--scenario failover --seed 7"));
    assert!(dom.contains("<td>kill -9 &lt;master-1&gt;</td>"), "{dom}");
    assert!(dom.contains("<title>mainstay chaos: failover</title>") && dom.contains("every property held</h1>"));
    let picture = folder.path().join("page.png");
    browse(&program, &profile, &[&format!("--screenshot={}", picture.display()), "--window-size=1200,1400", &url]);
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "a picture of {} bytes", bytes.len());
}
