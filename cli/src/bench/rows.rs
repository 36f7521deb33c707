//! What a benchmark found, as a table and as JSON.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::load::Measured;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// "mainstay" or "etcd"; of one system, the way to it.
    pub system: &'static str,
    /// What was done, such as "put".
    pub op: String,
    /// Concurrent clients, each with one call in flight.
    pub clients: usize,
    /// Calls that succeeded, per second.
    pub per_s: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency in milliseconds.
    pub p99_ms: f64,
    /// Calls that failed.
    pub errors: u64,
    /// Largest resident memory of one member afterwards, in MiB; 0 where it is not known.
    pub rss_mib: u64,
}

impl Row {
    /// What a load saw; memory is not known.
    pub(crate) fn new(system: &'static str, op: String, clients: usize, measured: &Measured) -> Self {
        let Measured { per_s, p50_ms, p99_ms, errors } = *measured;
        Self { system, op, clients, per_s, p50_ms, p99_ms, errors, rss_mib: 0 }
    }
}

#[derive(Serialize)]
struct Rows<'a> {
    rows: &'a [Row],
}

/// Prints the rows: one JSON document, or a table with the ratio to etcd where both were measured.
pub(crate) fn print(rows: &[Row], json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(&Rows { rows })?);
    } else {
        println!("{}", table(rows));
    }
    Ok(())
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["SYSTEM", "OP", "CLIENTS", "PER SECOND", "P50 MS", "P99 MS", "ERRORS", "RSS MIB", "VS ETCD"]);
    for row in rows {
        table.add_row([
            row.system.to_owned(),
            row.op.clone(),
            row.clients.to_string(),
            format!("{:.0}", row.per_s),
            format!("{:.2}", row.p50_ms),
            format!("{:.2}", row.p99_ms),
            row.errors.to_string(),
            row.rss_mib.to_string(),
            ratio(rows, row).map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
        ]);
    }
    table
}

fn ratio(rows: &[Row], row: &Row) -> Option<f64> {
    let same = |other: &&Row| other.system == "etcd" && other.op == row.op && other.clients == row.clients;
    let etcd = rows.iter().find(same).filter(|_| row.system != "etcd")?;
    (etcd.per_s > 0.0).then(|| row.per_s / etcd.per_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(system: &'static str, per_s: f64) -> Row {
        Row { system, op: "put".into(), clients: 16, per_s, p50_ms: 1.0, p99_ms: 2.0, errors: 0, rss_mib: 0 }
    }

    #[test]
    fn the_ratio_compares_like_with_like() {
        let mut rows = vec![row("mainstay", 300.0), row("etcd", 100.0)];
        assert_eq!(ratio(&rows, &rows[0]), Some(3.0));
        assert_eq!(ratio(&rows, &rows[1]), None);
        rows[1].clients = 1;
        assert_eq!(ratio(&rows, &rows[0]), None);
    }
}
