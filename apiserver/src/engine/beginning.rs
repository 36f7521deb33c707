//! Where the history begins that clients can ask for.

use mainstay_store::{Freshness, Revision, StoreError};

use super::Engine;
use crate::admission::IMMORTAL;
use crate::key::ObjectKey;

impl Engine {
    /// Refuses a revision from before the cluster had the namespaces that no one can delete, which are the first objects
    /// that it is given. No client was told one of that time: who names it means all that ever was, which may be gone on
    /// another day, so it is called gone from the first. What has become of these namespaces since does not count.
    ///
    /// # Errors
    /// [`StoreError::Compacted`]; storage errors.
    pub(super) async fn check_begun(&self, asked: Revision) -> Result<(), StoreError> {
        let namespaces = self.caches.of("", "namespaces");
        for name in IMMORTAL {
            let key = place(name).encode();
            if namespaces.get(&key).is_some_and(|found| found.modified <= asked) {
                continue;
            }
            let (found, _) = self.store.get(&key, Freshness::Local).await?;
            if let Some(found) = found {
                begun(found.created, asked)?;
            }
        }
        Ok(())
    }
}

fn place(namespace: &str) -> ObjectKey {
    ObjectKey {
        group: String::new(),
        resource: "namespaces".to_owned(),
        namespace: String::new(),
        name: namespace.to_owned(),
    }
}

/// Whether what was made at one revision was there at another.
fn begun(created: Revision, asked: Revision) -> Result<(), StoreError> {
    if created <= asked { Ok(()) } else { Err(StoreError::Compacted { oldest: created }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_the_clusters_first_objects_is_gone() {
        let asked = |revision: u64| match begun(Revision(7), Revision(revision)) {
            Err(StoreError::Compacted { oldest }) => Some(oldest.0),
            _ => None,
        };
        assert_eq!([1, 6, 7, 50].map(asked), [Some(7), Some(7), None, None]);
    }

    #[test]
    fn namespaces_lie_where_the_cache_has_them() {
        assert_eq!(&place("default").encode()[..], b"/namespaces\0\0default");
    }
}
