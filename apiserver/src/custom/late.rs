//! Kinds that were defined through another master a moment ago.

use std::sync::Arc;

use mainstay_api::status::ApiResult;

use super::{DEFINITIONS, GROUP};
use crate::engine::{Engine, store_status};
use crate::registry::Row;
use crate::strategy::Reader as _;

impl Engine {
    /// The row of a custom resource that this master does not know yet, if what others have acknowledged defines it: who
    /// has seen a kind established can use it at once, whichever master they ask.
    ///
    /// # Errors
    /// Those of consistent reads: who cannot hear of a kind does not know that there is none.
    pub(crate) async fn late_row(&self, group: &str, version: &str, resource: &str) -> ApiResult<Option<Arc<Row>>> {
        if !may_be_defined(group) {
            return Ok(None);
        }
        self.caches.consistent().await.map_err(store_status)?;
        let name = format!("{resource}.{group}");
        let Some(definition) = self.reader.get(GROUP, DEFINITIONS, "", &name) else { return Ok(None) };
        if !self.registry.has_rows_of(&definition) {
            self.registry.refresh(&self.reader);
        }
        Ok(self.registry.find(group, version, resource))
    }
}

/// Whether a group can have definitions: their groups are domains, which Kubernetes' first groups are not.
fn may_be_defined(group: &str) -> bool {
    group.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_about_groups_that_are_no_domains() {
        assert!(may_be_defined("example.com") && may_be_defined("networking.k8s.io"));
        assert!(!may_be_defined("") && !may_be_defined("apps"));
    }
}
