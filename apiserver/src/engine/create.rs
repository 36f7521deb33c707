//! Creating: the fixed order of steps of a new object.

use mainstay_api::field::{ErrorList, Path};
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::commit::{Answer, Finished, Plan};
use super::decode::{Body, place};
use super::{Call, Engine, Target, WriteOptions, managed, owners, present};
use crate::admission::Operation as AdmissionOperation;
use crate::authz::{AuthzAttributes, reviews};
use crate::strategy::SideWrite;

/// How often a taken generated name is drawn again.
const NAME_TRIES: usize = 8;
/// How often a create is planned anew because another object changed that is written with it.
const SIDE_TRIES: usize = 64;

impl Engine {
    /// Makes an object from a request body.
    ///
    /// # Errors
    /// Everything that decoding, admission, validation and the store refuse.
    pub async fn create(
        &self,
        call: &mut Call,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        match (target.resource(), target.subresource.as_str()) {
            ("pods", "binding") | ("bindings", "") => return self.bind(call, target, body, options).await,
            ("pods", "eviction") => return self.evict(call, target, body, options).await,
            ("serviceaccounts", "token") => return self.issue_token(call, target, body, options).await,
            _ if reviews::is_review(target.group(), target.kind()) => {
                return self.review(call, target, body, options).await;
            }
            _ => {}
        }
        let mut object = self.read_body(call, target, body, options)?;
        owners::name_once(call, &mut object, false);
        self.create_object(call, target, object, options).await
    }

    /// Makes a decoded and defaulted object of the request's version.
    pub(crate) async fn create_object(
        &self,
        call: &mut Call,
        target: &Target,
        object: Value,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        let mut name = String::new();
        let (mut names, mut sides) = (0, 0);
        while names < NAME_TRIES && sides < SIDE_TRIES {
            let plan = self.plan_create(call, target, object.clone(), options, &mut name).await?;
            if options.dry_run {
                self.check_absent(&target.named(&name), &object).await?;
            }
            match self.finish(call, target, plan, options.dry_run).await? {
                Finished::Answer(answer) => return Ok(answer),
                Finished::Lost { own: false } => sides += 1,
                Finished::Lost { own: true } => {
                    names += 1;
                    if !meta::name(&object).is_empty() || meta::generate_name(&object).is_empty() {
                        break;
                    }
                }
            }
        }
        if sides >= SIDE_TRIES {
            return Err(Status::conflict(target.group(), target.resource(), &name));
        }
        Err(self.name_taken(&target.named(&name), &object).await)
    }

    /// The refusal of a creation whose name something has or had.
    pub(crate) async fn name_taken(&self, target: &Target, object: &Value) -> Status {
        let there = self.latest(target).await.ok().flatten().map(|there| crate::codec::decode(&there.value));
        taken(target, object, there.as_ref())
    }

    /// What a dry run cannot learn from the store.
    pub(crate) async fn check_absent(&self, target: &Target, object: &Value) -> ApiResult<()> {
        match self.latest(target).await? {
            Some(there) => Err(taken(target, object, Some(&crate::codec::decode(&there.value)))),
            None => Ok(()),
        }
    }

    /// All steps up to the proposal; `name` becomes the object's.
    pub(crate) async fn plan_create(
        &self,
        call: &mut Call,
        target: &Target,
        object: Value,
        options: &WriteOptions,
        name: &mut String,
    ) -> ApiResult<Plan> {
        let revision = read_revision(&object);
        let asked = target;
        let mut object = clean_new(present::to_stored(&target.row, object)?, target);
        let target = target.named(meta::name(&object));
        // What admission changes belongs to nobody.
        if !options.owned {
            managed::track_stored(call, &target, None, &mut object, options)?;
        }
        object = self.admit_mutating(call, &target, AdmissionOperation::Create, object, options).await?;
        place(&target, &mut object)?;
        owners::name_once(call, &mut object, true);
        self.check_escalation(call, asked, &object, None)?;
        if let (Err(why), true) = (&revision, options.upsert) {
            return Err(Status::plain(why.clone()));
        }
        if meta::name(&object).is_empty() && !meta::generate_name(&object).is_empty() {
            let prefix = meta::generate_name(&object);
            let generated = if target.row.strategy.draws_names() {
                meta::generated_name(prefix, rand::random())
            } else {
                prefix.to_owned()
            };
            meta::set(&mut object, "name", generated);
        }
        let mut target = target.named(meta::name(&object));
        self.prepare_new(call, &target, &mut object, options);
        // Some kinds name what comes without a name.
        meta::name(&object).clone_into(&mut target.name);
        target.name.clone_into(name);
        let side = self.validate_new(call, &target, &mut object, options)?;
        if options.upsert {
            self.require_create(call, asked)?;
        }
        let charged =
            self.admit_validating(call, &target, AdmissionOperation::Create, Some(&object), None, options).await?;
        if revision.is_ok_and(|revision| revision != 0) && !options.dry_run && !options.upsert {
            return Err(Status::plain("resourceVersion should not be set on objects to be created"));
        }
        target.row.strategy.complete(&mut object);
        let encoded = self.encode(&target.row, &object).await?;
        Ok(Plan::create(target.key(), encoded).with(side, call.now).with(charged, call.now))
    }

    /// Who may change an object need not be one who may make it. Of what a change makes this is asked once it is known to
    /// be valid and before validating admission, so faults and what mutating webhooks do are seen first.
    fn require_create(&self, call: &Call, target: &Target) -> ApiResult<()> {
        let (group, resource) = (target.group(), target.resource());
        let asked = AuthzAttributes::resource(&call.user, "create", group, resource, &target.namespace, &target.name);
        self.authorizer.require(&asked)
    }

    fn prepare_new(&self, call: &Call, target: &Target, object: &mut Value, options: &WriteOptions) {
        let uid = uuid::Uuid::new_v4().to_string();
        meta::set(object, "uid", uid);
        meta::set(object, "creationTimestamp", mainstay_api::time::seconds(call.now));
        let first = target.row.resource.generation.as_ref().map_or(0, |generation| generation.initial);
        // What is not counted from the beginning stays as the client says.
        if first > 0 {
            meta::set(object, "generation", first);
        }
        let cx = self.context(call, target, options.dry_run);
        target.row.strategy.prepare_create(&cx, object);
        if call.template_labels {
            share_labels(object);
        }
        present::normalise(&target.row, object);
    }

    fn validate_new(
        &self,
        call: &mut Call,
        target: &Target,
        object: &mut Value,
        options: &WriteOptions,
    ) -> ApiResult<Vec<SideWrite>> {
        let strategy = target.row.strategy.clone();
        let cx = self.context(call, target, options.dry_run);
        let side = strategy.allocate(&cx, object, None)?;
        let name_errors = |name: &str, prefix: bool| strategy.name_errors(name, prefix);
        let mut errors =
            meta::validate_object_meta(object, target.row.resource.namespaced, &name_errors, &Path::new("metadata"));
        errors.extend(strategy.validate_create(&cx, object));
        if errors.is_empty() {
            errors.extend(self.params_error(call, target, object, None));
        }
        let warnings = if errors.is_empty() { strategy.warnings(&cx, object, None) } else { Vec::new() };
        call.empties.show(&mut errors);
        refuse(target, object, errors)?;
        warnings.into_iter().for_each(|warning| call.warn(warning));
        Ok(side)
    }
}

/// The revision that an object names; 0: none. Where a change makes the object this has to be a revision, whichever.
pub(super) fn read_revision(object: &Value) -> Result<u64, String> {
    match meta::resource_version(object) {
        "" => Ok(0),
        text => mainstay_api::numbers::parse_uint(text),
    }
}

/// 422 with all errors, if there are any; the group is the stored object's.
pub(crate) fn refuse(target: &Target, object: &Value, errors: ErrorList) -> ApiResult<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let (group, _) = meta::split_api_version(meta::api_version(object)).unwrap_or((target.group(), ""));
    let kind = if target.row.custom { meta::kind(object) } else { target.kind() };
    Err(Status::invalid(group, kind, meta::name(object), errors))
}

/// The refusal of a creation whose name is taken: `object` is what was sent, `there` what has the name.
fn taken(target: &Target, object: &Value, there: Option<&Value>) -> Status {
    let (group, resource, name) = (target.group(), target.resource(), target.name.as_str());
    // It is put down to the drawing of names as soon as one could have been drawn.
    let refusal = if meta::generate_name(object).is_empty() {
        Status::already_exists(group, resource, name)
    } else {
        Status::no_unique_name(group, resource, name)
    };
    if !there.is_some_and(meta::is_deleting) {
        return refusal;
    }
    let message = format!("object is being deleted: {}", refusal.message);
    refusal.with_message(message)
}

/// Labels that an object got from its template by default are the template's own, so what the server adds to those
/// is in them too.
fn share_labels(object: &mut Value) {
    let Some(labels) = object.pointer("/spec/template/metadata/labels").cloned() else { return };
    let same = |own: &serde_json::Map<String, Value>| own.iter().all(|(key, value)| labels.get(key) == Some(value));
    if meta::labels(object).is_some_and(same) {
        meta::set(object, "labels", labels);
    }
}

/// What clients may not say of a new object.
fn clean_new(mut object: Value, target: &Target) -> Value {
    let fields =
        ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"];
    for field in fields {
        meta::remove_field(&mut object, field);
    }
    if target.row.resource.namespaced {
        meta::set(&mut object, "namespace", target.namespace.clone());
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::testing::config_map;

    #[test]
    fn labels_that_came_from_the_template_grow_with_it() {
        let template = json!({"metadata": {"labels": {"a": "b", "job-name": "j"}}});
        let shared = |own: Value| {
            let mut object = json!({"metadata": {"labels": own}, "spec": {"template": template}});
            share_labels(&mut object);
            object["metadata"]["labels"].clone()
        };
        assert_eq!(shared(json!({"a": "b"})), json!({"a": "b", "job-name": "j"}));
        assert_eq!(shared(json!({"a": "c"})), json!({"a": "c"}));
    }

    #[test]
    fn what_has_the_name_may_be_on_its_way_out() {
        let target = config_map();
        let told = |object: Value, there: Value| taken(&target, &object, Some(&there)).message.into_owned();
        let (plain, drawn) = (json!({}), json!({"metadata": {"name": "a", "generateName": "b"}}));
        let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(told(plain.clone(), json!({})), "configmaps \"a\" already exists");
        assert_eq!(told(plain, leaving), "object is being deleted: configmaps \"a\" already exists");
        assert_eq!(
            told(drawn, json!({})),
            "configmaps \"a\" already exists, the server was not able to generate a unique name for the object"
        );
    }

    #[test]
    fn a_new_object_may_name_a_revision() {
        let read = |revision: &str| read_revision(&json!({"metadata": {"resourceVersion": revision}}));
        assert_eq!((read(""), read("0"), read("7")), (Ok(0), Ok(0), Ok(7)));
        assert_eq!(read("x"), Err("strconv.ParseUint: parsing \"x\": invalid syntax".to_owned()));
        assert_eq!(read_revision(&json!({})), Ok(0));
    }
}
