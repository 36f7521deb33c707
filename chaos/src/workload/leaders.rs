//! Notes who leads, for the report's timeline.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::Notes;
use crate::status::{Asker, Leadership};

const PAUSE: Duration = Duration::from_millis(200);
/// A master that takes longer says nothing this time.
const LIMIT: Duration = Duration::from_millis(400);

pub(super) async fn run(askers: Vec<Asker>, notes: Arc<Notes>, stop: CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        let asked = askers.iter().map(|asker| tokio::time::timeout(LIMIT, asker.leadership()));
        let answers = futures::future::join_all(asked).await;
        let known = answers.into_iter().filter_map(|answer| answer.ok()?.ok()?);
        let latest = known.max_by_key(|one| one.term).unwrap_or(Leadership { term: 0, leader: String::new() });
        note(&notes, latest);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn note(notes: &Notes, latest: Leadership) {
    let at = notes.now();
    let mut leaders = notes.leaders.lock();
    if leaders.last().is_none_or(|(_, last)| *last != latest) {
        leaders.push((at, latest));
    }
}
