//! From the stored form of an object to the form that a request speaks, and back.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::commit::Answer;
use super::{Engine, Listing, Live, Target, WatchItem, scale};
use crate::cache::CachedObject;
use crate::codec::Encoded;
use crate::custom::Served;
use crate::extension::conversion;
use crate::registry::Row;

impl Engine {
    /// The stored bytes of an object as this target shows them.
    pub(crate) async fn answer(&self, target: &Target, bytes: Bytes, created: bool) -> ApiResult<Answer> {
        let bytes = self.shown(&target.row, bytes).await?;
        if target.subresource == "scale" {
            let value = scale::of(target, &crate::codec::decode(&bytes))?;
            return Ok(Answer {
                bytes: value.to_string().into(),
                created,
                accepted: false,
                kind: Some("Scale".into()),
            });
        }
        let bytes = if target.row.custom { bytes } else { stored_to_request(&target.row, bytes)? };
        Ok(Answer { bytes, created, accepted: false, kind: None })
    }

    /// The object as a patch of this target sees it.
    pub(crate) fn view(&self, target: &Target, live: &Live) -> ApiResult<Value> {
        match target.subresource.as_str() {
            "scale" => {
                let mut view = scale::to_change(target, &live.value)?;
                mainstay_api::ssa::to_scale(&live.value, &scale::place(target), &mut view);
                Ok(view)
            }
            _ if target.row.custom => Ok(live.value.clone()),
            _ => to_request(&target.row, live.value.clone()),
        }
    }

    /// A stored object as writes work on it: as it is stored, but for custom kinds, which writes see in the version of
    /// the request.
    pub(crate) async fn load(&self, row: &Row, value: Value) -> ApiResult<Value> {
        match &row.served {
            Some(served) => {
                let mut value = value;
                served.stored_form(&mut value);
                self.convert(served, value, &served.api_version).await
            }
            None => Ok(value),
        }
    }

    /// The stored bytes of what a write has made.
    pub(crate) async fn encode(&self, row: &Row, value: &Value) -> ApiResult<Encoded> {
        match &row.served {
            Some(served) if !row.speaks_stored() => {
                Ok(crate::codec::encode(&self.convert(served, value.clone(), &served.stored).await?))
            }
            _ => Ok(crate::codec::encode(value)),
        }
    }

    /// Stored bytes as a row shows them.
    pub(crate) async fn shown(&self, row: &Row, bytes: Bytes) -> ApiResult<Bytes> {
        match &row.served {
            Some(_) => {
                let value = self.load(row, crate::codec::decode(&bytes)).await?;
                Ok(serde_json::to_vec(&value).map_err(Status::internal)?.into())
            }
            None => Ok(bytes),
        }
    }

    /// Whether reading objects of a row may need a webhook.
    fn converts(row: &Row) -> bool {
        row.served.as_ref().is_some_and(|served| conversion::by_webhook(served))
    }

    /// A list's objects as a row shows them, where a webhook is needed for that.
    ///
    /// # Errors
    /// What the webhook fails with.
    pub(crate) async fn converted(&self, row: &Row, mut listing: Listing) -> ApiResult<Listing> {
        if Self::converts(row) {
            for item in &mut listing.items {
                *item = self.converted_object(row, item.clone()).await?;
            }
        }
        Ok(listing)
    }

    /// One of them.
    ///
    /// # Errors
    /// What the webhook fails with.
    pub(super) async fn converted_object(&self, row: &Row, object: Arc<CachedObject>) -> ApiResult<Arc<CachedObject>> {
        let value = self.shown(row, object.value.clone()).await?;
        let shown = CachedObject::new(object.key.clone(), value, object.modified);
        Ok(shown.map_or(object, Arc::new))
    }

    /// A watch's item as a row shows it, where a webhook is needed for that. An object that cannot be converted is left
    /// as it is stored, in the version that it says.
    pub(crate) async fn converted_item(&self, row: &Row, item: WatchItem) -> WatchItem {
        match item {
            WatchItem::Event { kind, object, revision } if Self::converts(row) => {
                let shown = self.shown(row, object.clone()).await;
                WatchItem::Event { kind, object: shown.unwrap_or(object), revision }
            }
            item => item,
        }
    }

    /// Converts an object of a custom kind to another version of its group.
    async fn convert(&self, served: &Served, mut value: Value, api_version: &str) -> ApiResult<Value> {
        if mainstay_api::meta::api_version(&value) == api_version {
            return Ok(value);
        }
        if conversion::by_webhook(served) {
            value = conversion::convert(served, value, api_version, &self.reader).await?;
        }
        value["apiVersion"] = api_version.into();
        served.converted_form(&mut value);
        Ok(value)
    }
}

/// Converts a stored object to the version of a row.
pub(crate) fn to_request(row: &Row, value: Value) -> ApiResult<Value> {
    if let Some(served) = &row.served {
        let mut value = value;
        let converted = conversion::by_webhook(served) && value["apiVersion"] != served.stored.as_str();
        if !converted {
            served.stored_form(&mut value);
        }
        if value["apiVersion"] != served.api_version.as_str() {
            value["apiVersion"] = served.api_version.as_str().into();
            served.converted_form(&mut value);
        }
        return Ok(value);
    }
    if value.get("apiVersion").and_then(Value::as_str) == Some(&row.api_version()) {
        return Ok(value);
    }
    convert(value, &row.api_version(), &row.resource.kind)
}

/// Converts an object of a request to the stored version.
pub(crate) fn to_stored(row: &Row, value: Value) -> ApiResult<Value> {
    if row.speaks_stored() || row.custom {
        return Ok(value);
    }
    convert(value, &row.stored.0, &row.stored.1)
}

/// Brings an object into normal form after the server has changed it: what a preparation removed is empty, not absent.
pub(crate) fn normalise(row: &Row, object: &mut Value) {
    let (group, version) = row.stored.0.split_once('/').unwrap_or(("", &row.stored.0));
    if let Some(object_type) = mainstay_api::types::type_of(group, version, &row.stored.1) {
        *object = mainstay_api::decode::canonical(object_type, object);
    }
}

/// Stored bytes as a row's version has them; untouched if the versions agree.
pub(crate) fn stored_to_request(row: &Row, bytes: Bytes) -> ApiResult<Bytes> {
    if row.speaks_stored() && !row.custom && bytes.starts_with(&row.header) {
        return Ok(bytes);
    }
    let value = to_request(row, crate::codec::decode(&bytes))?;
    Ok(serde_json::to_vec(&value).map_err(Status::internal)?.into())
}

fn convert(value: Value, api_version: &str, kind: &str) -> ApiResult<Value> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    mainstay_api::convert::to_version(value, group, version, kind)
}

/// The kind of a row's lists.
pub(crate) fn list_kind(row: &Row) -> String {
    if row.resource.list_kind.is_empty() {
        format!("{}List", row.resource.kind)
    } else {
        row.resource.list_kind.to_string()
    }
}
