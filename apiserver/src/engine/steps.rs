//! The steps that call out to strategies and admission.

use mainstay_api::field::{Error, ErrorList};
use mainstay_api::status::ApiResult;
use serde_json::{Value, json};

use super::modify::carry;
use super::{Call, DeleteOptions, Engine, Target, Told, WriteOptions, managed};
use crate::admission::{Attributes, Operation, Rounds};
use crate::audit::Notes;
use crate::authz::claim_status::{self, StatusWrite};
use crate::authz::escalation::{self, Write};
use crate::authz::policy_params;
use crate::strategy::{Context, SideWrite};

impl Engine {
    /// What a strategy is told of a call.
    pub(crate) fn context<'a>(&'a self, call: &'a Call, target: &'a Target, dry_run: bool) -> Context<'a> {
        Context {
            resource: &target.row.resource,
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: &target.name,
            user: &call.user,
            now: call.now,
            reader: &self.reader,
            dry_run,
        }
    }

    fn attributes<'a>(
        &'a self,
        call: &'a Call,
        target: &'a Target,
        operation: Operation,
        options: Value,
        dry_run: bool,
    ) -> Attributes<'a> {
        Attributes {
            operation,
            resource: &target.row.resource,
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: &target.name,
            user: &call.user,
            object: None,
            old_object: None,
            options,
            dry_run,
            side: Vec::new(),
            warnings: Vec::new(),
            notes: Default::default(),
            rounds: Rounds::default(),
            reader: &self.reader,
            now: call.now,
        }
    }

    /// Mutating admission of a new object.
    pub(crate) async fn admit_mutating(
        &self,
        call: &mut Call,
        target: &Target,
        operation: Operation,
        object: Value,
        options: &WriteOptions,
    ) -> ApiResult<Value> {
        let mut attributes =
            self.attributes(call, target, operation, options_value("CreateOptions", options), options.dry_run);
        attributes.object = Some(object);
        let (outcome, remarks) = self.run_mutating(attributes).await;
        call.heard(remarks);
        outcome
    }

    /// Mutating admission of a change.
    pub(crate) async fn admit_mutating_update(
        &self,
        call: &mut Call,
        target: &Target,
        new: Value,
        old: &Value,
        options: &WriteOptions,
    ) -> ApiResult<Value> {
        let mut attributes =
            self.attributes(call, target, Operation::Update, options_value("UpdateOptions", options), options.dry_run);
        attributes.object = Some(new);
        attributes.old_object = Some(old.clone());
        let (outcome, remarks) = self.run_mutating(attributes).await;
        call.heard(remarks);
        outcome
    }

    /// Nobody grants by roles and bindings what they do not have; who changes only what holds an object grants nothing.
    pub(crate) fn check_escalation(
        &self,
        call: &Call,
        target: &Target,
        object: &Value,
        old: Option<&Value>,
    ) -> ApiResult<()> {
        if target.group() != "rbac.authorization.k8s.io" || old.is_some_and(|old| held_alike(object, old)) {
            return Ok(());
        }
        let (resource, namespace, named) = (target.resource(), target.namespace.as_str(), target.name.as_str());
        escalation::check(&self.authorizer, &Write { user: &call.user, resource, namespace, named, object, old })
    }

    /// What of a status not everybody may write who may write the status; `verb` is the request's.
    pub(crate) fn status_errors(
        &self,
        call: &Call,
        target: &Target,
        verb: &str,
        new: &Value,
        old: &Value,
    ) -> ErrorList {
        let claim = (target.group(), target.resource(), target.subresource.as_str());
        if claim != ("resource.k8s.io", "resourceclaims", "status") {
            return ErrorList::new();
        }
        let write = StatusWrite { user: &call.user, verb, namespace: &target.namespace, new, old };
        claim_status::errors(&self.authorizer, &write)
    }

    /// The refusal of an admission policy or a binding, valid otherwise, whose writer may not read its parameters.
    pub(crate) fn params_error(&self, call: &Call, target: &Target, new: &Value, old: Option<&Value>) -> Option<Error> {
        if target.group() != policy_params::GROUP || !target.subresource.is_empty() {
            return None;
        }
        let write = policy_params::Write { user: &call.user, resource: target.resource(), new, old };
        policy_params::error(&self.authorizer, &self.registry, &write)
    }

    /// What became of the object, and the remarks, which are told also if it is refused.
    async fn run_mutating(&self, mut attributes: Attributes<'_>) -> (ApiResult<Value>, Remarks) {
        let outcome = self.admission.mutate(&mut attributes).await;
        let object = attributes.object.take().unwrap_or_default();
        (outcome.map(|()| object), remarks(&mut attributes))
    }

    /// Validating admission of creates and changes; what other objects it writes.
    pub(crate) async fn admit_validating(
        &self,
        call: &mut Call,
        target: &Target,
        operation: Operation,
        new: Option<&Value>,
        old: Option<&Value>,
        options: &WriteOptions,
    ) -> ApiResult<Vec<SideWrite>> {
        let kind = if old.is_some() { "UpdateOptions" } else { "CreateOptions" };
        let mut attributes = self.attributes(call, target, operation, options_value(kind, options), options.dry_run);
        attributes.object = new.cloned();
        attributes.old_object = old.cloned();
        let outcome = self.admission.validate(&mut attributes).await;
        let (side, remarks) = (std::mem::take(&mut attributes.side), remarks(&mut attributes));
        drop(attributes);
        call.heard(remarks);
        outcome.map(|()| side)
    }

    /// Both phases for the creation of something that is not stored itself: a binding, an eviction.
    /// The object comes back as the plugins left it.
    pub(crate) async fn admit_asked(
        &self,
        call: &mut Call,
        target: &Target,
        object: Value,
        options: &WriteOptions,
    ) -> ApiResult<Value> {
        let asked = options_value("CreateOptions", options);
        let mut attributes = self.attributes(call, target, Operation::Create, asked, options.dry_run);
        attributes.object = Some(object);
        let (outcome, remarks) = self.admit_both(attributes).await;
        call.heard(remarks);
        outcome
    }

    /// Both phases for a deletion.
    pub(crate) async fn admit_delete(
        &self,
        call: &mut Call,
        target: &Target,
        old: &Value,
        options: &DeleteOptions,
    ) -> ApiResult<()> {
        if options.told == Told::Nothing {
            return Ok(());
        }
        let mut attributes = self.attributes(call, target, Operation::Delete, options.raw.clone(), options.dry_run);
        if options.told == Told::Unnamed {
            attributes.name = "";
        }
        attributes.old_object = Some(old.clone());
        let (outcome, remarks) = self.admit_both(attributes).await;
        call.heard(remarks);
        outcome.map(drop)
    }

    /// Both phases for a stream to an object; `asked` is what is asked of the stream.
    pub(crate) async fn admit_connect(&self, call: &mut Call, target: &Target, asked: Value) -> ApiResult<Value> {
        let mut attributes = self.attributes(call, target, Operation::Connect, Value::Null, false);
        attributes.object = Some(asked);
        let (outcome, remarks) = self.admit_both(attributes).await;
        call.heard(remarks);
        outcome
    }

    async fn admit_both(&self, mut attributes: Attributes<'_>) -> (ApiResult<Value>, Remarks) {
        let outcome = match self.admission.mutate(&mut attributes).await {
            Ok(()) => self.admission.validate(&mut attributes).await,
            refused => refused,
        };
        let object = attributes.object.take().unwrap_or_default();
        (outcome.map(|()| object), remarks(&mut attributes))
    }
}

/// What admission has to say besides its verdict.
pub(crate) struct Remarks {
    /// To the client.
    pub warnings: Vec<String>,
    /// To the audit log.
    pub notes: Notes,
}

fn remarks(attributes: &mut Attributes<'_>) -> Remarks {
    Remarks { warnings: std::mem::take(&mut attributes.warnings), notes: std::mem::take(&mut attributes.notes) }
}

/// Whether an object changes in nothing but what holds it.
fn held_alike(new: &Value, old: &Value) -> bool {
    let mut new = new.clone();
    for field in ["ownerReferences", "finalizers"] {
        carry(&mut new, old, field);
    }
    managed::same_but_for_times(&new, old)
}

fn options_value(kind: &str, options: &WriteOptions) -> Value {
    let mut value = json!({"apiVersion": "meta.k8s.io/v1", "kind": kind});
    if options.dry_run {
        value["dryRun"] = json!(["All"]);
    }
    if !options.field_manager.is_empty() {
        value["fieldManager"] = options.field_manager.clone().into();
    }
    if !options.told_validation.is_empty() {
        value["fieldValidation"] = options.told_validation.clone().into();
    }
    value
}
