//! The report as one HTML page that needs nothing else: what was broken when, and what clients saw meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::history::Call;
use crate::report::{Report, escape};
use crate::status::Leadership;

const SIZE: (u32, u32) = (1100, 220);
/// Points are counted in steps of this many seconds.
const STEP: f64 = 0.1;

/// What clients did over a run, as the plots show it.
#[derive(Debug, Default)]
pub struct Timeline {
    /// When writes were acknowledged, since the run began.
    pub acknowledgements: Vec<Duration>,
    /// Calls on registers.
    pub calls: Vec<Call>,
    /// Fetches of the service, and whether they were answered with 200.
    pub fetches: Vec<(Duration, bool)>,
    /// Who led from when on; nobody's name is empty.
    pub leaders: Vec<(Duration, Leadership)>,
}

impl Timeline {
    fn end(&self) -> f64 {
        let last = self.acknowledgements.iter().chain(self.calls.iter().map(|call| &call.answered)).max();
        last.map_or(1.0, Duration::as_secs_f64).max(1.0)
    }

    fn writes(&self) -> Vec<(f64, f64)> {
        counted(self.acknowledgements.iter().map(Duration::as_secs_f64), self.end())
    }

    fn latencies(&self) -> Vec<(f64, f64)> {
        let latency = |call: &Call| (call.answered - call.sent).as_secs_f64() * 1000.0;
        self.calls.iter().map(|call| (call.answered.as_secs_f64(), latency(call))).collect()
    }

    /// The masters that led, by name.
    fn names(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.leaders.iter().map(|(_, one)| one.leader.as_str()).collect();
        names.into_iter().filter(|name| !name.is_empty()).collect()
    }

    fn failed_fetches(&self) -> Vec<(f64, f64)> {
        let failed = self.fetches.iter().filter(|(_, answered)| !answered);
        counted(failed.map(|(at, _)| at.as_secs_f64()), self.end())
    }
}

/// How many fall into each step.
fn counted(times: impl Iterator<Item = f64>, end: f64) -> Vec<(f64, f64)> {
    let mut steps = vec![0.0; step_of(end) + 1];
    for at in times {
        if let Some(count) = steps.get_mut(step_of(at)) {
            *count += 1.0;
        }
    }
    let middle = |index: usize| (f64::from(u32::try_from(index).unwrap_or(u32::MAX)) + 0.5) * STEP;
    steps.into_iter().enumerate().map(|(index, count)| (middle(index), count)).collect()
}

// Seconds of a run are positive and far below the limit of the type.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn step_of(at: f64) -> usize {
    (at / STEP) as usize
}

/// Writes the page.
///
/// # Errors
/// When a plot cannot be drawn or the file not be written.
pub fn write(report: &Report, timeline: &Timeline, path: &Path) -> Result<()> {
    let page = render(report, timeline)?;
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}

fn render(report: &Report, timeline: &Timeline) -> Result<String> {
    let mut plots = vec![
        plot("Acknowledged writes per 100 ms", report, timeline.end(), &timeline.writes(), true)?,
        plot("Latency of calls on registers, ms", report, timeline.end(), &timeline.latencies(), false)?,
    ];
    plots.push(leaders(report, timeline)?);
    if !timeline.fetches.is_empty() {
        let failed = timeline.failed_fetches();
        plots.push(plot("Failed fetches of the service per 100 ms", report, timeline.end(), &failed, true)?);
    }
    let verdict = if report.held() { "every property held" } else { "a property did not hold" };
    let violations: String =
        report.violations.iter().map(|v| format!("<li>{}: {}</li>", escape(v.property), escape(&v.seen))).collect();
    Ok(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>mainstay chaos: {name}</title>\n\
         <style>body{{font:15px sans-serif;max-width:1120px;margin:2em auto}}table{{border-collapse:collapse}}\
         td,th{{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}}.bad{{color:#b00}}</style>\n\
         <h1>{name}: {verdict}</h1>\n<ul class=\"bad\">{violations}</ul>\n\
         <p>{writes} acknowledged writes, longest gap {gap} ms. To repeat it:\n\
         <code>{command}</code></p>\n\
         {plots}\n{faults}\n{distributions}\n</html>\n",
        name = escape(&report.scenario),
        writes = report.acknowledged_writes,
        gap = report.longest_gap_ms,
        command = escape(&report.command),
        plots = plots.join("\n"),
        faults = faults(report),
        distributions = distributions(report),
    ))
}

fn faults(report: &Report) -> String {
    let rows = report.faults.iter().map(|fault| {
        let gap = fault.write_gap_ms.map_or_else(|| "never again".to_owned(), |ms| format!("{ms} ms"));
        let expected = fault.measured.iter().map(|measured| {
            let took = measured.took_ms.map_or_else(|| "not in time".to_owned(), |ms| format!("{ms} ms"));
            format!("{}: {took}", measured.state)
        });
        format!(
            "<tr><td>{:.1} s<td>{}<td>{gap}<td>{} ms<td>{}<td>{}",
            Duration::from_millis(fault.at_ms).as_secs_f64(),
            escape(&fault.what),
            fault.recovered_ms,
            escape(fault.leader_after.as_deref().unwrap_or("none")),
            escape(&expected.collect::<Vec<_>>().join("; ")),
        )
    });
    let head = "<tr><th>at<th>fault<th>no writes for<th>recovered in<th>leader then<th>expected";
    format!("<h2>Faults</h2><table>{head}{}</table>", rows.collect::<String>())
}

fn distributions(report: &Report) -> String {
    let rows = report.distributions().into_iter().map(|one| {
        let what = escape(&one.what);
        format!("<tr><td>{what}<td>{}<td>{} ms<td>{} ms<td>{} ms", one.count, one.median_ms, one.p99_ms, one.max_ms)
    });
    let head = "<tr><th>how long<th>times<th>median<th>p99<th>longest";
    format!("<h2>Distributions</h2><table>{head}{}</table>", rows.collect::<String>())
}

/// An SVG of points over the run, with the faults behind them.
fn plot(title: &str, report: &Report, end: f64, points: &[(f64, f64)], line: bool) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, title, report, end, points, line).map_err(|error| anyhow!("drawing {title:?}: {error}"))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    report: &Report,
    end: f64,
    points: &[(f64, f64)],
    line: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let top = points.iter().map(|point| point.1).fold(1.0, f64::max) * 1.05;
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = frame(title, &root).build_cartesian_2d(0.0..end, 0.0..top)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("seconds").draw()?;
    chart.draw_series(faults_behind(report, top))?;
    if line {
        chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE))?;
    } else {
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 1, BLUE.filled())))?;
    }
    root.present()?;
    Ok(())
}

fn frame<'a, 'b>(title: &str, root: &'a DrawingArea<SVGBackend<'b>, Shift>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(root);
    builder.caption(title, ("sans-serif", 15)).margin(8).x_label_area_size(30).y_label_area_size(70);
    builder
}

/// From the beginning of each fault until all was well again.
fn faults_behind(report: &Report, top: f64) -> impl Iterator<Item = Rectangle<(f64, f64)>> {
    let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
    report.faults.iter().map(move |fault| {
        let until = fault.at_ms + fault.held_ms + fault.recovered_ms;
        Rectangle::new([(seconds(fault.at_ms), 0.0), (seconds(until), top)], RED.mix(0.15).filled())
    })
}

/// A bar for each time that a master led, in its row.
fn leaders(report: &Report, timeline: &Timeline) -> Result<String> {
    let mut svg = String::new();
    draw_leaders(&mut svg, report, timeline).map_err(|error| anyhow!("drawing who led: {error}"))?;
    Ok(svg)
}

fn draw_leaders(svg: &mut String, report: &Report, timeline: &Timeline) -> Result<(), Box<dyn std::error::Error>> {
    let (names, end) = (timeline.names(), timeline.end());
    let rows = u32::try_from(names.len().max(1))?;
    let top = f64::from(rows);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = frame("Who led, and in which term", &root).build_cartesian_2d(0.0..end, 0.0..top)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().y_labels(0).x_desc("seconds").draw()?;
    chart.draw_series(faults_behind(report, top))?;
    let ends = timeline.leaders.iter().skip(1).map(|(at, _)| at.as_secs_f64()).chain([end]);
    for ((from, one), until) in timeline.leaders.iter().zip(ends) {
        let Some(row) = names.iter().position(|name| *name == one.leader) else { continue };
        let (row, from) = (f64::from(u32::try_from(row)?), from.as_secs_f64());
        let bar = [(from, row + 0.2), (until, row + 0.8)];
        chart.draw_series([Rectangle::new(bar, BLUE.mix(0.6).filled())])?;
        let label = format!("{} ({})", one.leader, one.term);
        chart.draw_series([Text::new(label, (from, row + 0.75), ("sans-serif", 12))])?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Action, Outcome};
    use crate::report::FaultRecord;

    #[test]
    fn the_page_holds_plots_faults_and_how_to_repeat_the_run() {
        let fault = FaultRecord {
            label: "kill leader".into(),
            what: "kill -9 <m1>".into(),
            at_ms: 500,
            held_ms: 0,
            write_gap_ms: Some(420),
            recovered_ms: 900,
            leader_after: Some("m2".into()),
            measured: Vec::new(),
            disturbed: None,
        };
        let command = "mainstay chaos run --scenario failover --seed 7".into();
        let report = Report { scenario: "failover".into(), command, faults: vec![fault], ..Report::default() };
        let (sent, answered) = (Duration::from_millis(10), Duration::from_millis(1200));
        let call = Call { register: 0, action: Action::Read, outcome: Outcome::Value(1), sent, answered };
        let timeline = Timeline {
            acknowledgements: vec![sent, answered],
            calls: vec![call],
            fetches: vec![(sent, true), (answered, false)],
            leaders: vec![(sent, Leadership { term: 3, leader: "m2".into() })],
        };
        let page = render(&report, &timeline).unwrap();
        assert_eq!(page.matches("<svg").count(), 4);
        assert!(page.contains("m2 (3)"));
        assert!(page.contains("kill -9 &lt;m1&gt;") && !page.contains("<m1>"));
        assert!(page.contains("--scenario failover --seed 7") && page.contains("every property held"));
        assert_eq!(
            page.matches("http").count(),
            page.matches("http://www.w3.org/2000/svg").count(),
            "it is self-contained"
        );
    }

    #[test]
    fn points_are_counted_by_steps() {
        assert_eq!(
            counted([0.01, 0.05, 0.25].into_iter(), 0.29).iter().map(|p| p.1).collect::<Vec<_>>(),
            [2.0, 0.0, 1.0]
        );
    }
}
