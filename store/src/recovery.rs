//! Clusters out of what is left: a new one from a backup, or one from the only master that survived. Both work on a data
//! directory that no process uses; the master is then started as usual and is the only member, which others join.

use std::path::Path;

use crate::backup;
use crate::cluster::MemberInfo;
use crate::error::StoreError;
use crate::identity::Identity;
use crate::log::OfflineLog;
use crate::raft_types::Membership;
use crate::state::{Dirs, StateDb};
use crate::types::Revision;

/// Added to the revision of a restored cluster: what clients saw after the backup must not be taken for its future.
const LEAP: u64 = 1_000_000;

/// Makes `data_dir`, which must be empty or missing, the first master `name` of a new cluster with the data of `backup`.
/// Returns the revision at which it goes on; watches from before it are answered with `Compacted`.
///
/// # Errors
/// If the directory is in use or the backup is damaged; nothing usable is left then.
pub fn restore(backup: &Path, data_dir: &Path, name: &str) -> Result<Revision, StoreError> {
    std::fs::create_dir_all(data_dir).map_err(|error| StoreError::io(data_dir, &error))?;
    let mut found = std::fs::read_dir(data_dir).map_err(|error| StoreError::io(data_dir, &error))?;
    if found.next().is_some() {
        return Err(StoreError::Config(format!("{} is not empty", data_dir.display())));
    }
    let dirs = Dirs::open(data_dir)?;
    let dir = dirs.new_state();
    backup::unpack(backup, &dir)?;
    let state = StateDb::open(&dir, data_dir)?;
    let progress = state.progress()?;
    let applied = progress.applied.ok_or_else(|| StoreError::Io("the backup holds nothing".to_owned()))?;
    let revision = Revision(progress.revision.0 + LEAP);
    state.leap(applied, revision)?;
    state.flush()?;
    let identity = Identity::create(data_dir, name, 0)?;
    let mut log = OfflineLog::open(&data_dir.join("log"), data_dir)?;
    log.end_with(applied, alone(&identity, None), identity.id)?;
    dirs.set_current(&dir).map_err(|error| StoreError::io(&dir, &error))?;
    Ok(revision)
}

/// Makes the master in `data_dir` the only member of its cluster, with everything in its log. For when a majority is lost
/// for good: the others must not be started again with their old data. Writes that only they had are gone.
///
/// # Errors
/// If the directory is in use or holds no master.
pub fn recover(data_dir: &Path) -> Result<MemberInfo, StoreError> {
    let identity = Identity::load(data_dir)?;
    let state = StateDb::open(&Dirs::open(data_dir)?.current()?, data_dir)?;
    let mut log = OfflineLog::open(&data_dir.join("log"), data_dir)?;
    let progress = state.progress()?;
    let last = log.last().max(progress.applied);
    let last = last.ok_or_else(|| StoreError::Config(format!("{} holds no data", data_dir.display())))?;
    let known = progress.membership.get_node(&identity.id).cloned();
    let membership = alone(&identity, known);
    let member = membership.get_node(&identity.id).cloned().unwrap_or_default();
    log.end_with(last, membership, identity.id)?;
    Ok(member)
}

/// The membership of one. An address that is not known is announced at the next start.
fn alone(identity: &Identity, known: Option<MemberInfo>) -> Membership {
    let unknown = || MemberInfo { id: identity.id, name: identity.name.clone(), ..MemberInfo::default() };
    let member = known.unwrap_or_else(unknown);
    let nodes = std::collections::BTreeMap::from([(identity.id, member)]);
    Membership::new(vec![[identity.id].into()], nodes).unwrap_or_default()
}
