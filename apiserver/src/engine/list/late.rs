//! Lists by what only a webhook can tell: fields that custom objects have in the version that is asked for, where they
//! are stored in another one.

use std::sync::Arc;

use mainstay_api::status::ApiResult;

use super::{ListOptions, Listing, Page, Selection, Source};
use crate::cache::CachedObject;
use crate::engine::continuation::Continuation;
use crate::engine::{Engine, Target};

impl Engine {
    /// Converts objects until the page is full, and no more of them: each takes a call of the webhook. What is behind
    /// the page is not looked at, so that there may be a next one without anything in it.
    pub(super) async fn list_late(
        &self,
        source: Source,
        target: &Target,
        options: &ListOptions,
        selection: &Selection,
        after: Option<Continuation>,
    ) -> ApiResult<Listing> {
        let (mut source, mut after, mut portion) = (source, after, options.clone());
        let mut found = Vec::new();
        loop {
            let listing = self.list_from(source, target, &portion, selection, after).await?;
            let page = Page { options, selection, revision: listing.revision };
            let mut rest = listing.items.into_iter();
            while !page.is_filled_by(&found)
                && let Some(object) = rest.next()
            {
                let object = self.converted_object(&target.row, object).await?;
                if selection.fields.fit(&object.parse()) {
                    found.push(object);
                }
            }
            let more = !rest.as_slice().is_empty() || !listing.continuation.is_empty();
            if page.is_filled_by(&found) || !more {
                return Ok(page.of(found, more));
            }
            source = Source::Exactly(page.revision);
            after = Some(Continuation::decode(&listing.continuation, &target.namespace)?);
            // Few look-ups also where hardly anything is selected.
            portion.limit = portion.limit.saturating_mul(2);
        }
    }
}

impl Page<'_> {
    fn is_filled_by(&self, objects: &[Arc<CachedObject>]) -> bool {
        self.limit().is_some_and(|limit| objects.len() >= limit)
    }

    /// It with these objects, behind which are more that may be selected, or none.
    fn of(&self, items: Vec<Arc<CachedObject>>, more: bool) -> Listing {
        let last = items.last().filter(|_| more);
        let continuation = last.map(|last| self.after(last, None).encode()).unwrap_or_default();
        Listing { items, revision: self.revision, continuation, remaining: None }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_api::selector::LabelSelector;
    use mainstay_store::Revision;

    use super::super::tests::objects;
    use super::*;
    use crate::engine::fields::Fields;

    #[test]
    fn a_page_goes_on_after_its_last_object_if_anything_is_left() {
        let options = ListOptions { limit: 2, ..ListOptions::default() };
        let selection = Selection { labels: LabelSelector::default(), fields: Fields::default() };
        let page = Page { options: &options, selection: &selection, revision: Revision(9) };
        assert!(page.is_filled_by(&objects(2)) && !page.is_filled_by(&objects(1)));
        let next = |more: bool| {
            let listing = page.of(objects(2), more);
            let next = Continuation::decode(&listing.continuation, "ns").ok();
            (listing.items.len(), next.map(|next| (next.revision, next.after)))
        };
        assert_eq!(next(true), (2, Some((9, "ns\0c2".to_owned()))));
        assert_eq!(next(false), (2, None));
    }

    #[test]
    fn a_list_without_pages_is_never_full() {
        let options = ListOptions::default();
        let selection = Selection { labels: LabelSelector::default(), fields: Fields::default() };
        let page = Page { options: &options, selection: &selection, revision: Revision(9) };
        assert!(!page.is_filled_by(&objects(5)) && !page.is_filled_by(&[]));
    }
}
