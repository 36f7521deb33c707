//! openraft's own suite, which every storage has to pass.

use std::time::{Duration, Instant};

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::log::{LogStore, Sizes, Writing};
use crate::raft_types::TypeConfig;
use crate::state::StateMachine;

/// Removed once the log's threads are done with it: they would write into what is being removed.
struct Folder(TempDir);

impl Drop for Folder {
    fn drop(&mut self) {
        let Ok(lock) = std::fs::File::open(self.0.path().join("log/lock")) else { return };
        let until = Instant::now() + Duration::from_secs(10);
        while lock.try_lock().is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Folder> for Builder {
    async fn build(&self) -> Result<(Folder, LogStore, StateMachine), StorageError<TypeConfig>> {
        let temp = TempDir::new().unwrap();
        // No room in memory: reads have to be served from disk as well.
        let sizes = Sizes { cache: 0, segment: 4 << 10 };
        let log = LogStore::open(&temp.path().join("log"), temp.path(), sizes, 1, Writing::Thread).unwrap();
        let (_, machine) = StateMachine::open(temp.path(), 1 << 20).unwrap();
        Ok((Folder(temp), log, machine))
    }
}

#[tokio::test]
async fn storage_keeps_openrafts_contract() {
    Suite::test_all(Builder).await.unwrap();
}
