//! What `/metrics` tells of the process, under the names that Prometheus' clients give to it.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks a second in `/proc/self/stat`: `USER_HZ`, the same on every architecture that Linux runs on today.
const TICKS: f64 = 100.0;

/// Reads the figures each time they are asked for.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let status = read("/proc/self/status");
        let memory = [
            ("process_resident_memory_bytes", "Resident memory, in bytes", "VmRSS:"),
            ("process_virtual_memory_bytes", "Virtual memory, in bytes", "VmSize:"),
        ];
        for (name, help, field) in memory {
            if let Some(bytes) = kibibytes(&status, field).map(|kib| kib * 1024) {
                gauge(&mut encoder, name, help, bytes)?;
            }
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            let open = i64::try_from(open.count()).unwrap_or(i64::MAX);
            gauge(&mut encoder, "process_open_fds", "Open file descriptors", open)?;
        }
        if let Some(seconds) = started() {
            gauge(&mut encoder, "process_start_time_seconds", "Start, in seconds since 1970", seconds)?;
        }
        if let Some(seconds) = cpu_seconds(&read("/proc/self/stat")) {
            let counter = ConstCounter::new(seconds);
            let metric = encoder.encode_descriptor(
                "process_cpu_seconds",
                "User and system time, in seconds",
                None,
                counter.metric_type(),
            )?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: impl EncodeGaugeValue,
) -> Result<(), Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// Empty where there is no such file.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn kibibytes(status: &str, field: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = fields(stat)?.skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// When this process began, in seconds since 1970.
pub(super) fn started() -> Option<f64> {
    started_by(&read("/proc/self/stat"), &read("/proc/stat"))
}

/// A process counts from the machine's start.
fn started_by(own: &str, machine: &str) -> Option<f64> {
    let ticks: f64 = fields(own)?.nth(19)?.parse().ok()?;
    let booted: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + ticks / TICKS)
}

/// The fields from the third on: the name in brackets, the second, may hold anything.
fn fields(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_kernel_tells() {
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(cpu_seconds("7 (a) b) S 1 7 7 0 -1 4194304 9 0 0 0 250 50 0 0 20 0"), Some(3.0));
        assert_eq!(cpu_seconds(""), None);
        let own = "7 (a) b) S 1 7 7 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 1 0 150 0";
        assert_eq!(started_by(own, "cpu 1 2\nbtime 1000\n"), Some(1001.5));
        assert_eq!(started_by(own, ""), None);
    }

    #[test]
    fn the_own_process_shows_up() {
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(Process));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for name in [
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_cpu_seconds_total",
            "process_start_time_seconds",
        ] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 0.0, "{line}");
        }
    }
}
