//! Closed-loop load: each client has one call in flight, and all of them stop at the same moment.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What a load saw.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Calls that succeeded, per second.
    pub per_s: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency in milliseconds.
    pub p99_ms: f64,
    /// Calls that failed.
    pub errors: u64,
}

/// Runs `call(client, sequence)` from that many clients for that long, after a tenth of it as warm-up.
///
/// # Errors
/// When no call succeeded.
pub(crate) async fn run<F, Fut>(clients: usize, length: Duration, call: F) -> Result<Measured>
where
    F: Fn(usize, u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let call = Arc::new(call);
    let sequence = Arc::new(AtomicU64::new(0));
    let from = Instant::now() + length / 10;
    let until = from + length;
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (call, sequence) = (call.clone(), sequence.clone());
        tasks.spawn(async move { one_client(client, &*call, &sequence, from, until).await });
    }
    let mut latencies = new_histogram()?;
    let mut errors = 0;
    while let Some(done) = tasks.join_next().await {
        let (own, failed) = done.context("a load task ended early")??;
        latencies.add(own).context("adding up latencies")?;
        errors += failed;
    }
    anyhow::ensure!(!latencies.is_empty(), "no call succeeded ({errors} failed)");
    Ok(Measured {
        per_s: latencies.len() as f64 / length.as_secs_f64(),
        p50_ms: latencies.value_at_quantile(0.5) as f64 / 1000.0,
        p99_ms: latencies.value_at_quantile(0.99) as f64 / 1000.0,
        errors,
    })
}

/// Microseconds, three digits.
fn new_histogram() -> Result<Histogram<u64>> {
    Histogram::new(3).context("making a histogram")
}

async fn one_client<F, Fut>(
    client: usize,
    call: &F,
    sequence: &AtomicU64,
    from: Instant,
    until: Instant,
) -> Result<(Histogram<u64>, u64)>
where
    F: Fn(usize, u64) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let mut latencies = new_histogram()?;
    let mut errors = 0;
    while Instant::now() < until {
        let begun = Instant::now();
        let outcome = call(client, sequence.fetch_add(1, Ordering::Relaxed)).await;
        let counted = begun >= from && Instant::now() <= until;
        match outcome {
            Ok(()) if counted => latencies.record(u64::try_from(begun.elapsed().as_micros())?.max(1))?,
            Ok(()) => {}
            Err(_) => errors += 1,
        }
    }
    Ok((latencies, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_are_counted_apart() {
        let measured = run(2, Duration::from_millis(100), |client, _| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            anyhow::ensure!(client == 0, "refused");
            Ok(())
        })
        .await
        .unwrap();
        assert!(measured.errors > 0 && measured.per_s > 0.0 && measured.p50_ms >= 1.0);
    }

    #[tokio::test]
    async fn nothing_but_failures_is_an_error() {
        let outcome = run(1, Duration::from_millis(20), |_, _| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            anyhow::bail!("refused")
        })
        .await;
        assert!(outcome.is_err());
    }
}
