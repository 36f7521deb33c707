//! Admission: who may ask for what beyond authorization, and what is filled in on the way.
//!
//! A [`Chain`] runs its plugins in order, first all that change the object, then, after the strategy has validated it,
//! all that judge it. A plugin is a file.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use mainstay_api::resource::Resource;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

pub(crate) use self::namespace_lifecycle::IMMORTAL;
pub use self::rounds::Rounds;
use crate::audit::Notes;
use crate::authz::Authorizer;
use crate::strategy::{Reader, SideWrite};
use crate::user::UserInfo;

mod certificates;
mod claim_resize;
mod defaults;
mod limit_ranger;
mod mountable_secrets;
mod namespace_lifecycle;
mod node_restriction;
mod pod_resize;
mod pod_security;
mod priority;
mod quota_costs;
mod quota_scopes;
mod resource_quota;
mod rounds;
mod runtime_class;
mod service_account;
mod tolerations;
mod usage;

/// What a request does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes it.
    Create,
    /// Changes it.
    Update,
    /// Removes it.
    Delete,
    /// Opens a stream to it.
    Connect,
}

/// What a plugin sees of a request.
pub struct Attributes<'a> {
    /// What is done.
    pub operation: Operation,
    /// The resource's row.
    pub resource: &'a Resource,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// Name; empty while it is to be generated.
    pub name: &'a str,
    /// Who asks.
    pub user: &'a UserInfo,
    /// The object as it shall become; `None` for a deletion. Plugins change it in the mutating phase only.
    pub object: Option<Value>,
    /// The object as it is; `None` for a creation.
    pub old_object: Option<Value>,
    /// The request's options object.
    pub options: Value,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// Writes to other objects that go with this one, or not at all; of the validating phase.
    pub side: Vec<SideWrite>,
    /// Texts for Warning headers, in order.
    pub warnings: Vec<String>,
    /// What the audit log is told.
    pub(crate) notes: Notes,
    /// Where the mutating phase is.
    pub rounds: Rounds,
    /// The other objects, from the watch caches.
    pub reader: &'a dyn Reader,
    /// The time of the request.
    pub now: Timestamp,
}

impl Attributes<'_> {
    /// Whether this is about `resource` of `group`, whichever the subresource.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.resource.resource == resource && self.resource.group == group
    }

    /// Whether this is a create of the object itself.
    pub fn creates(&self, group: &str, resource: &str) -> bool {
        self.operation == Operation::Create && self.subresource.is_empty() && self.is(group, resource)
    }

    /// The refusal of this request for a reason.
    pub fn forbidden(&self, why: impl std::fmt::Display) -> Status {
        let name = match (&self.object, self.name) {
            (Some(object), "") if mainstay_api::meta::name(object).is_empty() => {
                mainstay_api::meta::generate_name(object).to_owned()
            }
            (Some(object), "") => mainstay_api::meta::name(object).to_owned(),
            (_, name) => name.to_owned(),
        };
        let name = if name.is_empty() { "Unknown" } else { &name };
        Status::forbidden(&self.resource.group, &self.resource.resource, name, why)
    }
}

/// A rule of admission.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// The name, as in Kubernetes' flags.
    fn name(&self) -> &'static str;

    /// Fills in or changes the object, or refuses it.
    ///
    /// # Errors
    /// The refusal.
    async fn mutate(&self, _request: &mut Attributes<'_>) -> ApiResult<()> {
        Ok(())
    }

    /// Judges the object as it will be stored.
    ///
    /// # Errors
    /// The refusal.
    async fn validate(&self, _request: &mut Attributes<'_>) -> ApiResult<()> {
        Ok(())
    }
}

/// What can be set about the default plugins.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seconds that pods stay on a node that is not ready or unreachable, if they do not say.
    pub default_toleration_seconds: i64,
}

impl Default for Config {
    /// 30 seconds: Kubernetes' 300 leave services without their pods for five minutes.
    fn default() -> Self {
        Self { default_toleration_seconds: 30 }
    }
}

/// The plugins, in order.
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
}

impl Chain {
    /// A chain of these plugins.
    pub fn new(plugins: Vec<Box<dyn Plugin>>) -> Self {
        Self { plugins }
    }

    /// The plugins that Kubernetes runs by default and NodeRestriction, in its order, with others that run last but for
    /// the quota, which counts what is really made.
    pub fn with_extensions(config: &Config, authorizer: &Arc<Authorizer>, extensions: Vec<Box<dyn Plugin>>) -> Self {
        let mut plugins: Vec<Box<dyn Plugin>> = vec![
            Box::new(namespace_lifecycle::NamespaceLifecycle),
            Box::new(limit_ranger::LimitRanger),
            Box::new(service_account::ServiceAccount),
            Box::new(node_restriction::NodeRestriction(authorizer.clone())),
            Box::new(defaults::TaintNodes),
            Box::new(pod_security::PodSecurity),
            Box::new(priority::Priority),
            Box::new(tolerations::DefaultTolerationSeconds(config.default_toleration_seconds)),
            Box::new(defaults::DefaultStorageClass),
            Box::new(defaults::StorageProtection),
            Box::new(claim_resize::ClaimResize),
            Box::new(runtime_class::RuntimeClass),
            Box::new(certificates::CertificateApproval(authorizer.clone())),
            Box::new(certificates::CertificateSigning(authorizer.clone())),
            Box::new(certificates::CertificateSubjectRestriction),
            Box::new(defaults::DefaultIngressClass),
            Box::new(defaults::TopologyLabels),
            Box::new(pod_resize::PodResize),
        ];
        plugins.extend(extensions);
        plugins.push(Box::new(resource_quota::ResourceQuota));
        Self::new(plugins)
    }

    /// The mutating phase: a second round follows if what users configured has changed the object, so that what they
    /// added gets its defaults too.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        self.round(request).await?;
        if request.rounds.repeat() { self.round(request).await } else { Ok(()) }
    }

    async fn round(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        for plugin in &self.plugins {
            plugin.mutate(request).await?;
        }
        Ok(())
    }

    /// The validating phase.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        for plugin in &self.plugins {
            plugin.validate(request).await?;
        }
        Ok(())
    }
}

/// The list `field` of the object at `parent`, made if it is missing.
fn list_mut<'a>(object: &'a mut Value, parent: &str, field: &str) -> Option<&'a mut Vec<Value>> {
    let parent = object.pointer_mut(parent)?.as_object_mut()?;
    let slot = parent.entry(field).or_insert_with(|| Value::Array(Vec::new()));
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut()
}

/// Takes away a list that [`list_mut`] made and nobody filled.
fn drop_if_empty(object: Option<&mut Value>, parent: &str, field: &str) {
    let parent = object.and_then(|object| object.pointer_mut(parent)).and_then(Value::as_object_mut);
    if let Some(parent) = parent
        && parent.get(field).and_then(Value::as_array).is_some_and(Vec::is_empty)
    {
        parent.remove(field);
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
