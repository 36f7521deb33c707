//! What is done to a data folder while no process uses it.

use std::path::Path;

use anyhow::{Result, anyhow};

use crate::server::store_dir;
use crate::verbs::print;

/// Makes the first master of a new cluster out of a backup.
pub(super) fn restore(file: &Path, data_dir: &Path, name: &str) -> Result<()> {
    let revision = mainstay_store::restore(file, &store_dir(data_dir), name).map_err(|error| anyhow!("{error}"))?;
    print::line(&format!(
        "master {name} in {0} goes on at revision {1}.\nStart it with: mainstay server --bootstrap --name {name} --data-dir {0} …\nFurther masters join it with empty data folders.",
        data_dir.display(),
        revision.0
    ))
}

/// Makes a survivor the only member.
pub(super) fn recover(data_dir: &Path) -> Result<()> {
    let survivor = mainstay_store::recover(&store_dir(data_dir)).map_err(|error| anyhow!("{error}"))?;
    print::line(&format!(
        "master {} is now the only one of its cluster; start it as before.\nRemove the data of the others (their folder `store`) before they join again.",
        survivor.name
    ))
}
