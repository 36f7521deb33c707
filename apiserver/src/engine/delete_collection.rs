//! Deleting all objects of a collection that selectors choose.

use mainstay_api::status::ApiResult;

use super::{Call, DeleteOptions, Engine, ListOptions, Listing, Target};

impl Engine {
    /// Deletes what a list with these options shows; answers with that list.
    ///
    /// # Errors
    /// Those of listing, and the first that a deletion gives.
    pub async fn delete_collection(
        &self,
        call: &mut Call,
        target: &Target,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> ApiResult<Listing> {
        let listing = self.list(target, list).await?;
        for object in &listing.items {
            let one = Target { namespace: object.namespace.clone(), name: object.name.clone(), ..target.clone() };
            match self.delete(call, &one, options).await {
                Ok(_) => {}
                Err(error) if error.code() == 404 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }
}
