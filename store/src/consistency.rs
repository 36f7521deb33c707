//! Each master asks the others from time to time whether it still belongs to them. Masters must hold the same: one whose
//! checksums differ from a majority's says so, stops for good and marks its directory, so that the next start sets the
//! data aside. And one that was removed while it could not be told ends, rather than serve what is old.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mainstay_proto::raft as pb;

use crate::error::StoreError;
use crate::node::Node;
use crate::state::{Mark, Verdict, compare, write_durably};

/// In the data directory: the data is not to be used.
const MARKER: &str = "diverged";
/// What it costs is a small message to each master.
const EVERY: std::time::Duration = std::time::Duration::from_secs(3);

/// Asks until the node stops or has to go.
pub(crate) async fn watch(node: Arc<Node>) {
    let mut gone_before = false;
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let answers = ask(&node).await;
        // Twice in a row, so that nothing that is just changing is taken for settled.
        let gone = excluded(node.me.id, &answers);
        if gone && gone_before {
            let data_dir = node.state.dirs().data_dir().to_path_buf();
            return node.fail(StoreError::Removed { data_dir });
        }
        gone_before = gone;
        match verdict(&node, &answers) {
            Verdict::Fine => {}
            Verdict::Unclear(index) => tracing::error!(index, "masters differ, and it is not clear which is wrong"),
            Verdict::Diverged(index) => return retire(&node, index),
        }
    }
}

async fn ask(node: &Node) -> Vec<pb::StatusReply> {
    let others = node.members().into_iter().filter(|member| member.id != node.me.id);
    let asked = others.map(|member| async move { node.ping(&member).await });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// Whether a leader, and with it a majority of its voters, goes on without `me`. A removed master cannot tell by itself:
/// nobody talks to it any more, and what it heard last named it as a member.
fn excluded(me: u64, answers: &[pb::StatusReply]) -> bool {
    let without: Vec<_> = answers.iter().filter(|reply| reply.leader != 0 && !reply.members.contains(&me)).collect();
    let leads = |view: &pb::StatusReply| {
        let count = view.voters.iter().filter(|voter| without.iter().any(|reply| reply.id == **voter)).count();
        // The leader knows of every change; others may lag.
        view.id == view.leader && count > view.voters.len() / 2
    };
    without.iter().any(|view| leads(view))
}

fn verdict(node: &Node, answers: &[pb::StatusReply]) -> Verdict {
    let voters: Vec<u64> = node.membership().voter_ids().collect();
    let others = answers.iter().filter(|reply| voters.contains(&reply.id));
    let marks: Vec<Vec<Mark>> = others
        .map(|reply| reply.marks.iter().map(|mark| Mark { index: mark.index, checksum: mark.checksum }).collect())
        .collect();
    compare(&node.state.marks(), &marks, voters.len())
}

fn retire(node: &Node, index: u64) {
    let data_dir = node.state.dirs().data_dir().to_path_buf();
    let error = StoreError::Diverged { index, data_dir: data_dir.clone() };
    tracing::error!(name = node.me.name, %error, "taken out of service");
    if let Err(error) = write_durably(&data_dir.join(MARKER), index.to_string().as_bytes()) {
        tracing::error!(%error, "cannot mark the data as unusable");
    }
    node.fail(error);
}

/// Sets the data of a master aside that was found to differ; says where. Call it before [`crate::Store::open`].
///
/// # Errors
/// When the directory cannot be renamed.
pub fn set_aside_diverged(data_dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !data_dir.join(MARKER).exists() {
        return Ok(None);
    }
    let aside = data_dir.with_extension("diverged");
    let failed = |error: std::io::Error| StoreError::io(&aside, &error);
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(failed)?;
    }
    std::fs::rename(data_dir, &aside).map_err(failed)?;
    Ok(Some(aside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: u64, leader: u64, voters: &[u64], members: &[u64]) -> pb::StatusReply {
        pb::StatusReply { id, leader, voters: voters.to_vec(), members: members.to_vec(), ..Default::default() }
    }

    #[test]
    fn only_a_majority_that_leads_on_without_it_excludes_a_master() {
        let gone = |id| reply(id, 1, &[1, 2], &[1, 2]);
        assert!(excluded(3, &[gone(1), gone(2)]));
        // One of two may be out of date.
        assert!(!excluded(3, &[gone(1)]));
        assert!(!excluded(3, &[gone(1), reply(2, 1, &[1, 2, 3], &[1, 2, 3])]));
        assert!(!excluded(3, &[reply(1, 0, &[1, 2], &[1, 2]), gone(2)]));
        assert!(excluded(2, &[reply(1, 1, &[1], &[1])]));
        assert!(!excluded(3, &[]));
    }

    #[test]
    fn only_marked_data_is_set_aside() {
        let temp = tempfile::tempdir().unwrap();
        let data_dir = temp.path().join("store");
        std::fs::create_dir(&data_dir).unwrap();
        assert_eq!(set_aside_diverged(&data_dir).unwrap(), None);
        for _ in 0..2 {
            std::fs::create_dir_all(&data_dir).unwrap();
            std::fs::write(data_dir.join(MARKER), "7").unwrap();
            let aside = set_aside_diverged(&data_dir).unwrap().unwrap();
            assert!(aside.join(MARKER).exists() && !data_dir.exists());
        }
    }
}
