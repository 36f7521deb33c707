//! Who this data directory belongs to.

use std::path::Path;

use crate::config::StoreConfig;
use crate::error::StoreError;
use crate::state::write_durably;

/// Kept in `identity.json`. The id is drawn once and goes with the data: a master that lost its log must not vote under
/// an id that has voted before.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Identity {
    pub(crate) id: u64,
    pub(crate) name: String,
}

impl Identity {
    /// The directory's identity, made now if it has none.
    pub(crate) fn load_or_create(config: &StoreConfig) -> Result<Self, StoreError> {
        let path = config.data_dir.join("identity.json");
        match std::fs::read(&path) {
            Ok(json) => Self::check(&json, config, &path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(config, &path),
            Err(error) => Err(StoreError::io(&path, &error)),
        }
    }

    fn check(json: &[u8], config: &StoreConfig, path: &Path) -> Result<Self, StoreError> {
        let found: Self = serde_json::from_slice(json).map_err(|error| StoreError::Corrupt {
            path: path.to_path_buf(),
            data_dir: config.data_dir.clone(),
            detail: error.to_string(),
        })?;
        if found.name != config.name || (config.id != 0 && config.id != found.id) {
            return Err(StoreError::Config(format!(
                "{} belongs to master {} (id {}), not to {}",
                config.data_dir.display(),
                found.name,
                found.id,
                config.name
            )));
        }
        Ok(found)
    }

    fn create(config: &StoreConfig, path: &Path) -> Result<Self, StoreError> {
        let id = if config.id == 0 { draw() } else { config.id };
        let identity = Self { id, name: config.name.clone() };
        let json = serde_json::to_vec(&identity).map_err(|error| StoreError::Io(error.to_string()))?;
        write_durably(path, &json).map_err(|error| StoreError::io(path, &error))?;
        Ok(identity)
    }
}

/// Positive and small enough to be exact in any JSON reader.
fn draw() -> u64 {
    rand::random_range(1..1 << 53)
}
