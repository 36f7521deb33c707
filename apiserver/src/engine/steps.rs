//! The steps that call out to strategies and admission.

use mainstay_api::status::ApiResult;
use serde_json::{Value, json};

use super::{Call, Engine, Target, WriteOptions};
use crate::admission::{Attributes, Operation};
use crate::authz::escalation::{self, Write};
use crate::strategy::Context;

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
            warnings: Vec::new(),
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
        let (outcome, warnings) = self.run_mutating(attributes).await;
        warnings.into_iter().for_each(|warning| call.warn(warning));
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
        let (outcome, warnings) = self.run_mutating(attributes).await;
        warnings.into_iter().for_each(|warning| call.warn(warning));
        outcome
    }

    /// Nobody grants by roles and bindings what he does not have.
    pub(crate) fn check_escalation(
        &self,
        call: &Call,
        target: &Target,
        object: &Value,
        old: Option<&Value>,
    ) -> ApiResult<()> {
        if target.group() != "rbac.authorization.k8s.io" {
            return Ok(());
        }
        let write = Write { user: &call.user, resource: target.resource(), namespace: &target.namespace, object, old };
        escalation::check(&self.authorizer, &write)
    }

    /// What became of the object, and the warnings, which are told also if it is refused.
    async fn run_mutating(&self, mut attributes: Attributes<'_>) -> (ApiResult<Value>, Vec<String>) {
        let outcome = self.admission.mutate(&mut attributes).await;
        let object = attributes.object.take().unwrap_or_default();
        (outcome.map(|()| object), std::mem::take(&mut attributes.warnings))
    }

    /// Validating admission, of creates, changes, deletions and connections.
    pub(crate) async fn admit_validating(
        &self,
        call: &mut Call,
        target: &Target,
        operation: Operation,
        new: Option<&Value>,
        old: Option<&Value>,
        options: &WriteOptions,
    ) -> ApiResult<()> {
        let kind = if old.is_some() { "UpdateOptions" } else { "CreateOptions" };
        self.admit_with(call, target, operation, new, old, options_value(kind, options), options.dry_run).await
    }

    /// Validating admission with the options object of the request.
    #[allow(clippy::too_many_arguments)]
    pub(crate) async fn admit_with(
        &self,
        call: &mut Call,
        target: &Target,
        operation: Operation,
        new: Option<&Value>,
        old: Option<&Value>,
        options: Value,
        dry_run: bool,
    ) -> ApiResult<()> {
        let mut attributes = self.attributes(call, target, operation, options, dry_run);
        attributes.object = new.cloned();
        attributes.old_object = old.cloned();
        let outcome = self.admission.validate(&mut attributes).await;
        let warnings = std::mem::take(&mut attributes.warnings);
        drop(attributes);
        warnings.into_iter().for_each(|warning| call.warn(warning));
        outcome
    }
}

fn options_value(kind: &str, options: &WriteOptions) -> Value {
    let mut value = json!({"apiVersion": "meta.k8s.io/v1", "kind": kind});
    if options.dry_run {
        value["dryRun"] = json!(["All"]);
    }
    if !options.field_manager.is_empty() {
        value["fieldManager"] = options.field_manager.clone().into();
    }
    value
}
