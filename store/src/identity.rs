//! Who this data directory belongs to.

use std::path::{Path, PathBuf};

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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::first(config, path),
            Err(error) => Err(StoreError::io(&path, &error)),
        }
    }

    /// A log without its identity must not get another: it would vote a second time in the terms that it knows.
    fn first(config: &StoreConfig, path: PathBuf) -> Result<Self, StoreError> {
        if config.data_dir.join("log").exists() {
            let detail = "it is missing, beside a log".to_owned();
            return Err(StoreError::Corrupt { path, data_dir: config.data_dir.clone(), detail });
        }
        Self::create(&config.data_dir, &config.name, config.id)
    }

    /// The identity of a directory that has one.
    pub(crate) fn load(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join("identity.json");
        let json = std::fs::read(&path).map_err(|error| StoreError::io(&path, &error))?;
        Self::parse(&json, data_dir, &path)
    }

    fn parse(json: &[u8], data_dir: &Path, path: &Path) -> Result<Self, StoreError> {
        serde_json::from_slice(json).map_err(|error| StoreError::Corrupt {
            path: path.to_path_buf(),
            data_dir: data_dir.to_path_buf(),
            detail: error.to_string(),
        })
    }

    fn check(json: &[u8], config: &StoreConfig, path: &Path) -> Result<Self, StoreError> {
        let found = Self::parse(json, &config.data_dir, path)?;
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

    /// A new one; `id` 0 draws it.
    pub(crate) fn create(data_dir: &Path, name: &str, id: u64) -> Result<Self, StoreError> {
        let path = data_dir.join("identity.json");
        let identity = Self { id: if id == 0 { draw() } else { id }, name: name.to_owned() };
        let json = serde_json::to_vec(&identity).map_err(|error| StoreError::Io(error.to_string()))?;
        write_durably(&path, &json).map_err(|error| StoreError::io(&path, &error))?;
        Ok(identity)
    }
}

/// Positive and small enough to be exact in any JSON reader.
fn draw() -> u64 {
    rand::random_range(1..1 << 53)
}
