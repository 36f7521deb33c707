//! Deleting all objects of a collection that selectors choose.

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use mainstay_api::status::ApiResult;

use super::list::Selection;
use super::steps::Remarks;
use super::{Call, DeleteOptions, Engine, ListOptions, Listing, Target, Told};
use crate::strategy::Reader as _;

/// Deletions under way at once: the store writes together what comes together. One collection must not take the place of
/// everybody else's calls.
const AT_ONCE: usize = 32;

impl Engine {
    /// Judges which list a collection is deleted by, before how it is to be deleted is looked at.
    ///
    /// # Errors
    /// 400 and 422 for options that do not parse or fit together.
    pub fn judge_list(&self, target: &Target, list: &ListOptions) -> ApiResult<()> {
        Selection::of_list(target, list).map(drop)
    }

    /// Deletes what a list with these options shows; answers with that list.
    ///
    /// # Errors
    /// Those of listing, and the first that a deletion gives; no more are begun then, and what is under way is finished: nothing is left half
    /// done.
    pub async fn delete_collection(
        &self,
        call: &mut Call,
        target: &Target,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> ApiResult<Listing> {
        let listing = self.list(target, list).await?;
        let at_once = if self.asks_outside() { 1 } else { AT_ONCE };
        let options = &DeleteOptions { told: Told::Unnamed, ..options.clone() };
        let mut items = listing.items.iter();
        let mut under_way = FuturesOrdered::new();
        let mut failure = None;
        loop {
            let room = if failure.is_none() { at_once - under_way.len() } else { 0 };
            for item in items.by_ref().take(room) {
                let one = Target { namespace: item.namespace.clone(), name: item.name.clone(), ..target.clone() };
                under_way.push_back(self.delete_if_there(call.clone(), one, options));
            }
            match under_way.next().await {
                Some(Ok(remarks)) => call.heard(remarks),
                Some(Err(error)) => failure = failure.or(Some(error)),
                None => break,
            }
        }
        failure.map_or(Ok(listing), Err)
    }

    /// Whether admission may ask somebody else about each deletion, who then sees them in order.
    fn asks_outside(&self) -> bool {
        let configured = |resource| !self.reader.list("admissionregistration.k8s.io", resource, None).is_empty();
        configured("mutatingwebhookconfigurations") || configured("validatingwebhookconfigurations")
    }

    /// Deletes one of them, unless somebody else has; what was said of it.
    async fn delete_if_there(&self, mut call: Call, one: Target, options: &DeleteOptions) -> ApiResult<Remarks> {
        match self.delete(&mut call, &one, options).await {
            Err(error) if error.code() != 404 => Err(error),
            _ => Ok(Remarks { warnings: call.warnings, notes: call.notes }),
        }
    }
}
