//! Listing: selectors, pages, and the meanings of `resourceVersion`.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::selector::LabelSelector;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{Freshness, ListQuery, Revision};

use super::continuation::Continuation;
use super::fields::Fields;
use super::{Engine, Target, store_status};
use crate::cache::{CachedObject, ResourceCache, Snapshot};

mod asked;
mod late;

pub use asked::ListOptions;
use asked::{Source, page_before, source, validate};

/// A page of a list.
#[derive(Clone)]
pub struct Listing {
    /// The objects, in their stored form.
    pub items: Vec<Arc<CachedObject>>,
    /// The revision of the list.
    pub revision: Revision,
    /// Where it goes on; empty: it does not.
    pub continuation: String,
    /// Objects after this page, where that is known.
    pub remaining: Option<i64>,
}

/// Labels and fields that objects have to have.
pub(crate) struct Selection {
    pub labels: LabelSelector,
    pub fields: Fields,
}

impl Selection {
    /// Reads both. Whether the kind offers the fields is asked after all other options are judged.
    pub(crate) fn read(labels: &str, fields: &str) -> ApiResult<Self> {
        let labels = LabelSelector::parse(labels).map_err(|error| Status::bad_request(error.to_string()))?;
        Ok(Self { labels, fields: Fields::read(fields)? })
    }

    /// What a list selects, all of whose options are judged.
    pub(super) fn of_list(target: &Target, options: &ListOptions) -> ApiResult<Self> {
        let mut selection = Self::read(&options.label_selector, &options.field_selector)?;
        validate(options)?;
        selection.fields.check(target)?;
        Ok(selection)
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &CachedObject) -> bool {
        (self.labels.is_empty() || self.labels.matches(object.labels())) && self.fields.matches(object)
    }
}

impl Engine {
    /// The objects of a collection.
    ///
    /// # Errors
    /// 400 and 422 for options that do not parse or fit together, 410 for pages whose history is gone, 504 for
    /// revisions that are not reached.
    pub async fn list(&self, target: &Target, options: &ListOptions) -> ApiResult<Listing> {
        let selection = Selection::of_list(target, options)?;
        let after = page_before(options, &target.namespace)?;
        let from = source(options, after.as_ref(), named(target, &selection).is_some())?;
        if !selection.fields.is_deferred() {
            return self.list_from(from, target, options, &selection, after).await;
        }
        self.list_late(from, target, options, &selection, after).await
    }

    async fn list_from(
        &self,
        source: Source,
        target: &Target,
        options: &ListOptions,
        selection: &Selection,
        after: Option<Continuation>,
    ) -> ApiResult<Listing> {
        match source {
            Source::Exactly(revision) => self.list_history(target, options, selection, revision, after).await,
            Source::Consistent => {
                self.caches.consistent().await.map_err(store_status)?;
                Ok(self.list_cache(target, options, selection, after))
            }
            Source::Cache(revision) => {
                if let Some(revision) = revision {
                    self.wait_until(revision).await?;
                }
                Ok(self.list_cache(target, options, selection, after))
            }
        }
    }

    /// From the present state of the cache; the pages after the first find it again.
    fn list_cache(
        &self,
        target: &Target,
        options: &ListOptions,
        selection: &Selection,
        after: Option<Continuation>,
    ) -> Listing {
        let reached = self.caches.reached();
        let cache = self.caches.of(&target.row.storage_group, target.resource());
        let view = cache.snapshot();
        let page = Page { options, selection, revision: reached.max(view.revision) };
        // How many were left is of another moment.
        let after = after.map(|after| Continuation { left: None, ..after });
        self.list_view(target, &cache, &view, &page, after)
    }

    /// A page from a view of the cache, which is kept if there are more.
    fn list_view(
        &self,
        target: &Target,
        cache: &ResourceCache,
        view: &Snapshot,
        page: &Page<'_>,
        after: Option<Continuation>,
    ) -> Listing {
        let listing = self.select(target, view, page, after);
        if !listing.continuation.is_empty() {
            cache.keep(listing.revision, view);
        }
        listing
    }

    fn select(&self, target: &Target, view: &Snapshot, page: &Page<'_>, after: Option<Continuation>) -> Listing {
        let prefix = self.prefix(target);
        let from = after.as_ref().map(|after| full_key(target, &after.after));
        let behind = |object: &&Arc<CachedObject>| from.as_ref().is_none_or(|from| object.key > *from);
        let pinned = |field| page.selection.fields.pinned(field);
        if let Some(node) = pinned("spec.nodeName").filter(|_| is_pods(target)) {
            let objects = view.on_node(node);
            let objects = objects.values().filter(|object| object.key.starts_with(&prefix));
            return page.gather(objects.filter(behind), None);
        }
        if let Some(name) = named(target, page.selection) {
            let object = view.objects.get(&target.key_of(name));
            return page.gather(object.into_iter().filter(behind), None);
        }
        let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
        let left = match after {
            None => Some(view.count(namespace)),
            Some(after) => after.left,
        };
        page.gather(view.under_after(&prefix, from.as_ref()), left)
    }

    /// As of an earlier revision: from what was kept of it for pages, or from the store.
    async fn list_history(
        &self,
        target: &Target,
        options: &ListOptions,
        selection: &Selection,
        revision: Revision,
        after: Option<Continuation>,
    ) -> ApiResult<Listing> {
        let page = Page { options, selection, revision };
        let cache = self.caches.of(&target.row.storage_group, target.resource());
        if let Some(view) = cache.kept(revision).filter(|_| after.is_some()) {
            return Ok(self.list_view(target, &cache, &view, &page, after));
        }
        let begun = self.check_begun(revision).await;
        begun.map_err(|error| history_status(error, &options.continuation))?;
        let left = after.as_ref().and_then(|after| after.left);
        let query = ListQuery {
            prefix: self.prefix(target),
            after: after.map(|after| full_key(target, &after.after)),
            limit: page.rows(left),
            fresh: Freshness::Exactly(revision),
        };
        let found = self.store.list(query).await.map_err(|error| history_status(error, &options.continuation))?;
        let objects: Vec<Arc<CachedObject>> = found
            .entries
            .into_iter()
            .filter_map(|entry| CachedObject::new(entry.key, entry.value, entry.modified))
            .map(Arc::new)
            .collect();
        Ok(page.gather(objects.iter(), left))
    }

    pub(crate) fn prefix(&self, target: &Target) -> Bytes {
        let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
        let namespace = if target.row.resource.namespaced { namespace } else { None };
        crate::key::prefix(&target.row.storage_group, target.resource(), namespace)
    }
}

/// Who has a page of a moment that is forgotten may go on with the present.
fn history_status(error: mainstay_store::StoreError, page: &str) -> Status {
    let present = Continuation::at_present(page);
    match (error, present) {
        (mainstay_store::StoreError::Compacted { .. }, Some(present)) => {
            let mut status = Status::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            );
            status.metadata.insert("continue".to_owned(), present.into());
            status
        }
        (other, _) => store_status(other),
    }
}

/// Whether a collection is of pods, which the cache knows by their nodes; custom objects may be called so, too.
pub(super) fn is_pods(target: &Target) -> bool {
    target.resource() == "pods" && target.group().is_empty()
}

/// The one object that a list can be of.
fn named<'s>(target: &Target, selection: &'s Selection) -> Option<&'s str> {
    let one_place = !target.namespace.is_empty() || !target.row.resource.namespaced;
    selection.fields.pinned("metadata.name").filter(|_| one_place)
}

fn full_key(target: &Target, after: &str) -> Bytes {
    let mut key = crate::key::prefix(&target.row.storage_group, target.resource(), None).to_vec();
    key.extend_from_slice(after.as_bytes());
    key.into()
}

/// A page of a list that is to be made.
struct Page<'a> {
    options: &'a ListOptions,
    selection: &'a Selection,
    revision: Revision,
}

impl Page<'_> {
    /// Objects at the most, if that is limited.
    fn limit(&self) -> Option<usize> {
        usize::try_from(self.options.limit).ok().filter(|limit| *limit > 0)
    }

    /// How many rows of the store it needs (0: all), if so many objects are left.
    fn rows(&self, left: Option<usize>) -> usize {
        let limit = self.limit().filter(|_| left.is_some() && self.selection.is_everything());
        limit.map_or(0, |limit| limit.saturating_add(1))
    }

    /// Takes it from objects in order. `left` is how many there are said to be before selection; `None`: they have to be
    /// counted. Whether there are more does not depend on it.
    fn gather<'a>(&self, objects: impl Iterator<Item = &'a Arc<CachedObject>>, left: Option<usize>) -> Listing {
        let everything = self.selection.is_everything();
        let mut objects = objects.filter(|object| self.selection.matches(object));
        let Some(limit) = self.limit() else {
            let (items, revision) = (objects.cloned().collect(), self.revision);
            return Listing { items, revision, continuation: String::new(), remaining: None };
        };
        let items: Vec<Arc<CachedObject>> = objects.by_ref().take(limit).cloned().collect();
        let more = usize::from(objects.next().is_some());
        let rest = match left.filter(|_| everything && more > 0) {
            Some(left) => left.saturating_sub(items.len()).max(1),
            None if everything => more + objects.count(),
            None => more,
        };
        let last = items.last().filter(|_| rest > 0);
        let known = everything.then_some(rest);
        let continuation = last.map(|last| self.after(last, known).encode()).unwrap_or_default();
        let remaining = known.filter(|rest| *rest > 0).and_then(|rest| i64::try_from(rest).ok());
        Listing { items, revision: self.revision, continuation, remaining }
    }

    fn after(&self, last: &CachedObject, left: Option<usize>) -> Continuation {
        Continuation {
            revision: i64::try_from(self.revision.0).unwrap_or(i64::MAX),
            after: format!("{}\0{}", last.namespace, last.name),
            left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn objects(count: u64) -> Vec<Arc<CachedObject>> {
        let object = |number: u64| {
            let key = Bytes::from(format!("/configmaps\0ns\0c{number}"));
            CachedObject::new(key, Bytes::from_static(b"{\"metadata\":{}}"), Revision(number)).map(Arc::new)
        };
        (1..=count).filter_map(object).collect()
    }

    fn page(limit: i64, left: Option<usize>) -> (usize, bool, Option<i64>) {
        let options = ListOptions { limit, ..ListOptions::default() };
        let selection = Selection { labels: LabelSelector::default(), fields: Fields::default() };
        let page = Page { options: &options, selection: &selection, revision: Revision(9) };
        let listing = page.gather(objects(5).iter(), left);
        (listing.items.len(), !listing.continuation.is_empty(), listing.remaining)
    }

    #[test]
    fn custom_objects_that_are_called_pods_are_on_no_nodes() {
        let mut target = crate::engine::fields::testing::target("None");
        Arc::get_mut(&mut target.row).unwrap().resource.resource = "pods".into();
        assert!(!is_pods(&target));
        target.row = crate::registry::Registry::builtin().find("", "v1", "pods").unwrap();
        assert!(is_pods(&target));
    }

    #[test]
    fn what_a_token_says_is_left_neither_ends_a_list_nor_prolongs_it() {
        for left in [None, Some(5)] {
            assert_eq!(page(2, left), (2, true, Some(3)));
            assert_eq!(page(5, left), (5, false, None));
        }
        assert_eq!(page(2, Some(0)), (2, true, Some(1)));
        assert_eq!(page(5, Some(900)), (5, false, None));
        assert_eq!(page(0, Some(900)), (5, false, None));
    }
}
