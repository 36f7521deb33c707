//! Changing an object: update, patch and apply are one path with different ways to arrive at the new state.

use mainstay_api::field::{ErrorList, Path};
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::{meta, names};
use serde_json::Value;

use super::commit::{After, Answer, Finished, Plan};
use super::create::{read_revision, refuse};
use super::decode::{Body, place};
use super::identity::check_name;
use super::patch::Change;
use super::read::not_found;
use super::{Call, Engine, Live, Target, WriteOptions, managed, owners, present, scale};
use crate::admission::Operation as AdmissionOperation;
use crate::strategy::SideWrite;

/// How often a change is planned anew because the object changed meanwhile.
const TRIES: usize = 32;

impl Engine {
    /// Replaces an object by a request body.
    ///
    /// # Errors
    /// Everything that decoding, admission, validation and the store refuse.
    pub async fn update(
        &self,
        call: &mut Call,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        let mut object = self.read_body(call, target, body, options)?;
        check_name(target, &object)?;
        owners::name_once(call, &mut object, false);
        self.modify(call, target, &Change::Replace(object), options).await
    }

    /// Changes an object; planned anew while others change it, unless the request names a revision.
    ///
    /// # Errors
    /// Everything that decoding, admission, validation and the store refuse.
    pub async fn modify(
        &self,
        call: &mut Call,
        target: &Target,
        change: &Change,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        for _ in 0..TRIES {
            let plan = self.plan_modify(call, target, change, options).await?;
            if let Finished::Answer(answer) = self.finish(call, target, plan, options.dry_run).await? {
                return Ok(answer);
            }
        }
        Err(Status::conflict(target.group(), target.resource(), &target.name))
    }

    /// All steps up to the proposal.
    pub(crate) async fn plan_modify(
        &self,
        call: &mut Call,
        target: &Target,
        change: &Change,
        options: &WriteOptions,
    ) -> ApiResult<Plan> {
        match self.live(target).await? {
            Some(live) => self.plan_change(call, target, live, change, options).await,
            None => self.plan_missing(call, target, change, options).await,
        }
    }

    async fn plan_missing(
        &self,
        call: &mut Call,
        target: &Target,
        change: &Change,
        options: &WriteOptions,
    ) -> ApiResult<Plan> {
        let row = &target.row.resource;
        let creates = match change {
            Change::Replace(_) => row.create_on_update && target.subresource.is_empty(),
            Change::Apply(_) => target.subresource.is_empty(),
            _ => false,
        };
        if !creates {
            return Err(not_found(target));
        }
        if let Change::Replace(object) = change {
            // A uid is a precondition, and nothing has none.
            check_uid(target, object, &Value::Null)?;
        }
        let object = self.applied(call, target, None, change, options)?;
        if let Change::Apply(_) = change
            && !meta::uid(&object).is_empty()
        {
            let why = "uid mismatch: the provided object specified uid {}, and no existing object was found";
            let why = why.replace("{}", meta::uid(&object));
            return Err(Status::conflict_because(target.group(), target.resource(), &target.name, why));
        }
        let mut name = String::new();
        let options = WriteOptions { owned: matches!(change, Change::Apply(_)), upsert: true, ..options.clone() };
        self.plan_create(call, target, object, &options, &mut name).await
    }

    async fn plan_change(
        &self,
        call: &mut Call,
        target: &Target,
        live: Live,
        change: &Change,
        options: &WriteOptions,
    ) -> ApiResult<Plan> {
        if let Change::Edit(edit) = change {
            let mut value = live.value.clone();
            edit(&mut value)?;
            return self.change_plan(call, target, value, live, Vec::new()).await;
        }
        if let Change::Replace(object) = change {
            check_uid(target, object, &live.value)?;
        }
        let new = self.changed(call, target, &live, change, options)?;
        let mut new = self.admit_mutating_update(call, target, new, &live.value, options).await?;
        place(target, &mut new)?;
        owners::name_once(call, &mut new, true);
        self.check_escalation(call, target, &new, Some(&live.value))?;
        check_revision(target, &mut new, &live)?;
        carry_over(&mut new, &live.value);
        self.prepare_change(call, target, &mut new, &live.value, options);
        let verb = if matches!(change, Change::Replace(_)) { "update" } else { "patch" };
        let unauthorized = self.status_errors(call, target, verb, &new, &live.value);
        let side = self.validate_change(call, target, &mut new, &live.value, options, unauthorized)?;
        let charged = self
            .admit_validating(call, target, AdmissionOperation::Update, Some(&new), Some(&live.value), options)
            .await?;
        let plan = self.change_plan(call, target, new, live, side).await?;
        Ok(if plan.ops.is_empty() { plan } else { plan.with(charged, call.now) })
    }

    async fn change_plan(
        &self,
        call: &Call,
        target: &Target,
        mut new: Value,
        live: Live,
        side: Vec<SideWrite>,
    ) -> ApiResult<Plan> {
        if finishes_deletion(target, &new) {
            let last = crate::codec::encode(&new).at(live.revision.0);
            let plan = self.removal(call, target, &live).await?;
            return Ok(Plan { after: After::Bytes(last), ..plan });
        }
        if managed::same_but_for_times(&new, &live.value) {
            return Ok(Plan::unchanged(live.bytes));
        }
        meta::remove_field(&mut new, "resourceVersion");
        let encoded = self.encode(&target.row, &new).await?;
        Ok(Plan::replace(target.key(), live.revision, encoded).with(side, call.now))
    }

    /// The new state as the change wants it, in the stored version, with its managers: what admission adds nobody owns.
    fn changed(
        &self,
        call: &mut Call,
        target: &Target,
        live: &Live,
        change: &Change,
        options: &WriteOptions,
    ) -> ApiResult<Value> {
        let view = self.view(target, live)?;
        let changed = self.applied(call, target, Some(&view), change, options)?;
        if target.subresource != "scale" {
            let mut new = present::to_stored(&target.row, changed)?;
            if !matches!(change, Change::Apply(_)) {
                managed::track_stored(call, target, Some(&view), &mut new, options)?;
            }
            return Ok(new);
        }
        let mut new = changed;
        if !matches!(change, Change::Apply(_)) {
            managed::track(call, target, Some(&view), &mut new, options);
        }
        let mut object = scale::take(target, &live.value, &new)?;
        let place = scale::place(target);
        mainstay_api::ssa::from_scale(&mut object, &place, &new, meta::api_version(&live.value));
        Ok(object)
    }

    fn prepare_change(&self, call: &Call, target: &Target, new: &mut Value, old: &Value, options: &WriteOptions) {
        let cx = self.context(call, target, options.dry_run);
        target.row.strategy.prepare_update(&cx, new, old);
        present::normalise(&target.row, new);
    }

    fn validate_change(
        &self,
        call: &mut Call,
        target: &Target,
        new: &mut Value,
        old: &Value,
        options: &WriteOptions,
        unauthorized: ErrorList,
    ) -> ApiResult<Vec<SideWrite>> {
        let strategy = target.row.strategy.clone();
        let cx = self.context(call, target, options.dry_run);
        let side = strategy.allocate(&cx, new, Some(old))?;
        let path = Path::new("metadata");
        let namespaced = target.row.resource.namespaced;
        let mut errors = meta::validate_object_meta(new, namespaced, &names::is_path_segment, &path);
        errors.extend(meta::validate_object_meta_update(new, old, &path));
        errors.extend(unauthorized);
        errors.extend(strategy.validate_update(&cx, new, old));
        if errors.is_empty() {
            errors.extend(self.params_error(call, target, new, Some(old)));
        }
        let warnings = if errors.is_empty() { strategy.warnings(&cx, new, Some(old)) } else { Vec::new() };
        call.empties.show(&mut errors);
        refuse(target, new, errors)?;
        warnings.into_iter().for_each(|warning| call.warn(warning));
        Ok(side)
    }
}

fn check_uid(target: &Target, new: &Value, old: &Value) -> ApiResult<()> {
    let (new, old) = (meta::uid(new), meta::uid(old));
    if new.is_empty() || new == old {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {new}, UID in object meta: {old}");
    let key = target.etcd_key();
    let why =
        format!("StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}");
    Err(Status::conflict_because(target.group(), target.resource(), &target.name, why))
}

/// A named revision must be the present one; where none has to be named, it is the present one.
fn check_revision(target: &Target, new: &mut Value, live: &Live) -> ApiResult<()> {
    let asked = read_revision(new).map_err(Status::plain)?;
    if asked == 0 {
        let through_other_kind = !matches!(target.subresource.as_str(), "" | "status");
        if target.row.resource.unconditional_update || through_other_kind {
            meta::set(new, "resourceVersion", live.revision.0.to_string());
            return Ok(());
        }
        let path = Path::new("metadata").child("resourceVersion");
        let error = mainstay_api::field::Error::invalid(&path, 0, "must be specified for an update");
        return Err(Status::invalid(target.group(), target.resource(), &target.name, [error].into_iter().collect()));
    }
    if asked == live.revision.0 {
        return Ok(());
    }
    Err(Status::conflict(target.group(), target.resource(), &target.name))
}

/// What an update cannot change, whatever it says.
fn carry_over(new: &mut Value, old: &Value) {
    for field in ["creationTimestamp", "generation"] {
        carry(new, old, field);
    }
    // A deletion that has begun is never taken back.
    if meta::is_deleting(old) {
        carry(new, old, "deletionTimestamp");
    }
    for field in ["uid", "deletionGracePeriodSeconds"] {
        let absent = meta::metadata(new).is_none_or(|metadata| metadata.get(field).is_none_or(Value::is_null));
        if absent {
            carry(new, old, field);
        }
    }
    meta::remove_field(new, "selfLink");
}

/// Gives a field of the metadata the value that it had.
pub(super) fn carry(new: &mut Value, old: &Value, field: &str) {
    match meta::metadata(old).and_then(|metadata| metadata.get(field)) {
        Some(value) => meta::set(new, field, value.clone()),
        None => {
            meta::remove_field(new, field);
        }
    }
}

/// A deleted object that nothing holds any longer.
fn finishes_deletion(target: &Target, new: &Value) -> bool {
    meta::is_deleting(new)
        && meta::finalizers(new).next().is_none()
        && meta::deletion_grace_period_seconds(new).unwrap_or(0) == 0
        && !target.row.strategy.holds_deletion(new)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mainstay_store::Revision;
    use serde_json::json;

    use super::*;
    use crate::engine::testing::config_map;

    #[test]
    fn a_change_names_the_revision_it_is_of_or_none() {
        let target = config_map();
        let live = Live { value: json!({}), bytes: Bytes::new(), revision: Revision(7) };
        let told = |named: &str| {
            let mut new = json!({"metadata": {"resourceVersion": named}});
            check_revision(&target, &mut new, &live).map_err(|refused| refused.code)
        };
        assert_eq!(["", "0", "00", "7", "007"].map(told), [Ok(()); 5]);
        assert_eq!([told("6"), told("x")], [Err(409), Err(500)]);
    }
}
