//! What every fault can do once it is in force.

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::Cluster;

/// A fault in force.
#[async_trait]
pub trait Active: Send {
    /// In words, for the report.
    fn what(&self) -> String;

    /// The node that is hit, if it is one.
    fn node(&self) -> Option<&str> {
        None
    }

    /// Puts things right again, as far as that is the harness' business, and waits for what is its supervisor's.
    async fn undo(&mut self, _cluster: &Cluster) -> Result<()> {
        Ok(())
    }
}
