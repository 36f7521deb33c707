//! Reading one object.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::Revision;

use super::commit::Answer;
use super::{Engine, Live, Target, store_status};
use crate::cache::CachedObject;

impl Engine {
    /// The object of a target; an empty `resource_version` reads consistently, `0` what the cache holds.
    ///
    /// # Errors
    /// 400 for names that cannot be, 404, 504 for revisions that are not reached, 500 for such that do not parse.
    pub async fn get(&self, target: &Target, resource_version: &str) -> ApiResult<Answer> {
        target.check_name()?;
        let bytes = self.read_bytes(target, resource_version).await?;
        let bytes = bytes.ok_or_else(|| not_found(target))?;
        self.answer(target, bytes, false).await
    }

    async fn read_bytes(&self, target: &Target, resource_version: &str) -> ApiResult<Option<Bytes>> {
        let object = match resource_version {
            "" => self.latest(target).await?,
            text => {
                if text != "0" {
                    // Lists say it in other words, and with another code.
                    let revision = read_revision(text).map_err(Status::plain)?;
                    self.wait_until(revision).await?;
                }
                self.caches.of(&target.row.storage_group, target.resource()).get(&target.key())
            }
        };
        Ok(object.map(|object| object.value.clone()))
    }

    /// The stored object of a target after every acknowledged write.
    pub(super) async fn latest(&self, target: &Target) -> ApiResult<Option<Arc<CachedObject>>> {
        let key = target.key();
        self.caches.latest(&target.row.storage_group, target.resource(), &key).await.map_err(store_status)
    }

    /// Waits until the caches have reached a revision.
    pub(crate) async fn wait_until(&self, revision: Revision) -> ApiResult<()> {
        if self.caches.wait_for(revision).await {
            return Ok(());
        }
        Err(Status::resource_version_too_large(revision.0, self.caches.reached().0, 1))
    }

    /// What a write begins from: the latest state.
    pub(crate) async fn live(&self, target: &Target) -> ApiResult<Option<Live>> {
        target.check_name()?;
        let Some(object) = self.latest(target).await? else { return Ok(None) };
        let value = self.load(&target.row, crate::codec::decode(&object.value)).await?;
        Ok(Some(Live { value, bytes: object.value.clone(), revision: object.modified }))
    }
}

/// The 404 of a target.
pub(crate) fn not_found(target: &Target) -> Status {
    Status::not_found(target.group(), target.resource(), &target.name)
}

/// A `resourceVersion` parameter.
pub(crate) fn parse_revision(text: &str) -> ApiResult<Revision> {
    read_revision(text).map_err(|why| Status::bad_request(format!("invalid resource version: {why}")))
}

/// A `resourceVersion` parameter, or what is wrong with it.
pub(crate) fn read_revision(text: &str) -> Result<Revision, String> {
    let wrong = |why: String| format!("resourceVersion: Invalid value: {}: {why}", mainstay_api::field::go_quote(text));
    mainstay_api::numbers::parse_uint(text).map(Revision).map_err(wrong)
}
