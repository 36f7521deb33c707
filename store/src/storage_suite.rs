//! openraft's own suite, which every storage has to pass.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::log::{LogStore, Writing};
use crate::raft_types::TypeConfig;
use crate::state::{State, StateMachine};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let temp = TempDir::new().unwrap();
        // No room in memory: reads have to be served from disk as well.
        let log = LogStore::open(&temp.path().join("log"), temp.path(), 0, 1, Writing::Thread).unwrap();
        let (_, machine) = State::open(temp.path(), 1 << 20).unwrap();
        Ok((temp, log, machine))
    }
}

#[tokio::test]
async fn storage_keeps_openrafts_contract() {
    Suite::test_all(Builder).await.unwrap();
}
