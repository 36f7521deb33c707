//! What a request is about, as the authorizer sees it, from its method and path.

use crate::percent::unescape;
use crate::rest::path::RequestInfo as Routed;
use crate::rest::query::Query;
use crate::user::UserInfo;
use http::{Method, Uri};
use mainstay_api::field::go_quote;
use mainstay_api::selector::FieldSelector;

/// A request to be decided.
#[derive(Clone, Copy, Debug)]
pub struct AuthzAttributes<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// `get`, `list`, …; of a path that is no resource the lower-case method.
    pub verb: &'a str,
    /// API group, empty for core.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Subresource or empty.
    pub subresource: &'a str,
    /// Namespace or empty.
    pub namespace: &'a str,
    /// Object name or empty.
    pub name: &'a str,
    /// The path.
    pub path: &'a str,
    /// Whether the path is a resource's.
    pub is_resource: bool,
    /// The `fieldSelector` of a list, a watch or the deletion of a collection, as sent; empty if none.
    pub field_selector: &'a str,
}

/// The owned form, taken apart from a request line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// See [`AuthzAttributes::verb`].
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Object name.
    pub name: String,
    /// The path.
    pub path: String,
    /// Whether the path is a resource's.
    pub is_resource: bool,
    /// `fieldSelector` as sent, unescaped.
    pub field_selector: String,
}

impl<'a> AuthzAttributes<'a> {
    /// A resource request.
    #[must_use]
    pub fn resource(
        user: &'a UserInfo,
        verb: &'a str,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> Self {
        Self {
            user,
            verb,
            group,
            version: "",
            resource,
            subresource: "",
            namespace,
            name,
            path: "",
            is_resource: true,
            field_selector: "",
        }
    }

    /// A request for a path that is no resource.
    #[must_use]
    pub fn path(user: &'a UserInfo, verb: &'a str, path: &'a str) -> Self {
        Self { path, is_resource: false, ..Self::resource(user, verb, "", "", "", "") }
    }

    /// The same on a subresource.
    #[must_use]
    pub fn with_subresource(self, subresource: &'a str) -> Self {
        Self { subresource, ..self }
    }

    /// "pods/log", or just "pods".
    #[must_use]
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// `User "x" cannot …`, as in refusals: nothing in it reads as HTML.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.plain_sentence().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }

    fn plain_sentence(&self) -> String {
        let (user, verb) = (go_quote(&self.user.name), self.verb);
        if !self.is_resource {
            return format!("User {user} cannot {verb} path {}", go_quote(self.path));
        }
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {}", go_quote(self.namespace))
        };
        let (resource, group) = (go_quote(&self.full_resource()), go_quote(self.group));
        format!("User {user} cannot {verb} resource {resource} in API group {group} {place}")
    }
}

impl RequestInfo {
    /// Takes a request line apart by Kubernetes' rules, whether or not such a resource exists.
    #[must_use]
    pub fn of(method: &Method, uri: &Uri) -> Self {
        let verb = method.as_str().to_ascii_lowercase();
        // Escapes are undone first, as they are where requests are answered.
        let path = unescape(uri.path());
        let plain = Self { verb, path: path.clone(), ..Self::default() };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", rest @ ..] if rest.len() >= 2 => ("", rest),
            ["apis", group, rest @ ..] if rest.len() >= 2 => (*group, rest),
            _ => return plain,
        };
        let mut info = Self { is_resource: true, group: group.to_owned(), version: rest[0].to_owned(), ..plain };
        info.set_verb(method);
        let rest = info.strip_legacy_prefix(&rest[1..]);
        info.set_target(rest);
        info.narrow(&Query::parse(uri.query()));
        info
    }

    /// Takes over what the request will be answered as: whatever a path's taking apart comes to, that is what is judged.
    #[must_use]
    pub(crate) fn answered_as(self, routed: &Routed) -> Self {
        if !routed.is_resource {
            return self;
        }
        let Routed { group, version, resource, subresource, namespace, verb, .. } = routed.clone();
        // A collection that is deleted is not narrowed by its selector.
        let name = if verb == "deletecollection" { String::new() } else { routed.name.clone() };
        Self {
            is_resource: true,
            verb: verb.to_owned(),
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
            ..self
        }
    }

    /// The decision's input, asked by this user.
    #[must_use]
    pub fn attributes<'a>(&'a self, user: &'a UserInfo) -> AuthzAttributes<'a> {
        AuthzAttributes {
            user,
            verb: &self.verb,
            group: &self.group,
            version: &self.version,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            path: &self.path,
            is_resource: self.is_resource,
            field_selector: &self.field_selector,
        }
    }

    fn set_verb(&mut self, method: &Method) {
        self.verb = match *method {
            Method::POST => "create",
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "",
        }
        .to_owned();
    }

    /// `/api/v1/watch/…` and `/api/v1/proxy/…` name their verb in the path.
    fn strip_legacy_prefix<'p>(&mut self, parts: &'p [&'p str]) -> &'p [&'p str] {
        match parts {
            [verb @ ("watch" | "proxy"), rest @ ..] if !rest.is_empty() => {
                (*verb).clone_into(&mut self.verb);
                rest
            }
            _ => parts,
        }
    }

    fn set_target(&mut self, parts: &[&str]) {
        let parts = match parts {
            ["namespaces", namespace, rest @ ..] => {
                self.namespace = (*namespace).to_owned();
                match rest {
                    [] | ["status" | "finalize", ..] => parts,
                    _ => rest,
                }
            }
            _ => parts,
        };
        let part = |index: usize| parts.get(index).copied().unwrap_or_default().to_owned();
        (self.resource, self.name, self.subresource) = (part(0), part(1), part(2));
    }

    fn narrow(&mut self, query: &Query) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb.as_str() {
            "get" => self.verb = if query.flag("watch") { "watch" } else { "list" }.to_owned(),
            "delete" => self.verb = "deletecollection".to_owned(),
            _ => {}
        }
        if matches!(self.verb.as_str(), "list" | "watch" | "deletecollection") {
            query.text("fieldSelector").clone_into(&mut self.field_selector);
        }
        if matches!(self.verb.as_str(), "list" | "watch") {
            self.name = required_field(&self.field_selector, "metadata.name").unwrap_or_default();
        }
    }
}

/// The value that a field must have by this selector, as those who answer the request read it.
pub(super) fn required_field(selector: &str, field: &str) -> Option<String> {
    let selector = FieldSelector::parse(selector).ok()?;
    selector.requires(field).map(str::to_owned)
}
