//! What a call is about and who makes it.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::Term;

use super::steps::Remarks;
use crate::audit::Notes;
use crate::key::ObjectKey;
use crate::registry::Row;
use crate::user::UserInfo;

/// The object or collection of a call.
#[derive(Clone)]
pub struct Target {
    /// The resource's row.
    pub row: Arc<Row>,
    /// Namespace; empty for cluster-scoped resources and for collections over all namespaces.
    pub namespace: String,
    /// Name; empty for collections.
    pub name: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
}

impl Target {
    /// The store's key of the object.
    pub fn key(&self) -> Bytes {
        self.key_of(&self.name)
    }

    /// The store's key of another object beside this.
    pub fn key_of(&self, name: &str) -> Bytes {
        let key = ObjectKey {
            group: self.row.storage_group.clone(),
            resource: self.row.resource.resource.to_string(),
            namespace: self.namespace.clone(),
            name: name.to_owned(),
        };
        key.encode()
    }

    /// Whether something can be stored under the name at all.
    ///
    /// # Errors
    /// 400 without a name, and for one that cannot be a segment of a path.
    pub(super) fn check_name(&self) -> ApiResult<()> {
        mainstay_api::names::key_error(&self.name).map_or(Ok(()), |why| Err(Status::bad_request(why)))
    }

    /// The key that Kubernetes keeps the object under, which its errors name.
    pub(crate) fn etcd_key(&self) -> String {
        let place = match (self.group(), self.resource()) {
            ("", "endpoints") => "services/endpoints".to_owned(),
            ("", "nodes") => "minions".to_owned(),
            ("", "replicationcontrollers") => "controllers".to_owned(),
            ("", "services") => "services/specs".to_owned(),
            ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
            (group @ ("apiextensions.k8s.io" | "apiregistration.k8s.io"), resource) => format!("{group}/{resource}"),
            (group, resource) if self.row.custom => format!("{group}/{resource}"),
            (_, resource) => resource.to_owned(),
        };
        if !self.row.resource.namespaced {
            return format!("/registry/{place}/{}", self.name);
        }
        format!("/registry/{place}/{}/{}", self.namespace, self.name)
    }

    /// The same target under another name.
    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The same object without the subresource.
    pub fn whole(&self) -> Self {
        Self { subresource: String::new(), ..self.clone() }
    }

    /// Group as errors name it.
    pub fn group(&self) -> &str {
        &self.row.resource.group
    }

    /// Plural resource as errors name it.
    pub fn resource(&self) -> &str {
        &self.row.resource.resource
    }

    /// Kind as errors name it.
    pub fn kind(&self) -> &str {
        &self.row.resource.kind
    }
}

/// Warnings that a call keeps: more than an answer shows, fewer than take long to compare.
const MOST_WARNINGS: usize = 4096;

/// One call of the engine: who, when, under which guard, and the warnings gathered on the way.
#[derive(Clone)]
pub struct Call {
    /// The caller.
    pub user: UserInfo,
    /// The caller's `User-Agent`, the default field manager.
    pub user_agent: String,
    /// The write counts only while the leader is in this term.
    pub term: Option<Term>,
    /// The clock, read once.
    pub now: Timestamp,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    /// What the audit log is told of it.
    pub(crate) notes: Notes,
    /// Where the request has empty lists, maps and texts, which the stored form leaves out; errors show them.
    pub(crate) empties: super::empties::Empties,
    /// The object of the request had no labels, and got its template's as a default.
    pub(crate) template_labels: bool,
}

impl Call {
    /// A call made now.
    pub fn new(user: UserInfo, user_agent: impl Into<String>, term: Option<Term>) -> Self {
        Self {
            user,
            user_agent: user_agent.into(),
            term,
            now: Timestamp::now(),
            warnings: Vec::new(),
            notes: Notes::default(),
            empties: Default::default(),
            template_labels: false,
        }
    }

    /// Takes over what admission had to say.
    pub(crate) fn heard(&mut self, remarks: Remarks) {
        remarks.warnings.into_iter().for_each(|warning| self.warn(warning));
        self.notes.join(remarks.notes);
    }

    /// Adds a warning unless it is there already, or there are so many that nobody will see it.
    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.warnings.len() < MOST_WARNINGS && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}
