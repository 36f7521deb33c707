//! Whether one way to act as somebody is open to a user: for this request, under this name, with these groups and the rest.

use super::mode::{Mode, node, service_account};
use crate::authz::{Authorizer, AuthzAttributes, RequestInfo, forbidden, is_superusers};
use crate::user::UserInfo;
use mainstay_api::field::{Error, ErrorList, Path, aggregate};
use mainstay_api::names;
use mainstay_api::status::Status;

const GROUP: &str = "authentication.k8s.io";
/// From so many on, it is first asked whether all groups, or all extra values, are allowed at once.
const MANY: usize = 4;

/// A user who wants to be another.
pub(super) struct Asking<'a> {
    pub(super) authorizer: &'a Authorizer,
    pub(super) user: &'a UserInfo,
    pub(super) wanted: &'a UserInfo,
    pub(super) request: &'a RequestInfo,
}

impl Asking<'_> {
    /// Whether a way is open.
    ///
    /// # Errors
    /// 403 with what is missing.
    pub(super) fn check(&self, mode: Mode) -> Result<(), Status> {
        let (verb, group) = match mode.word() {
            Some(word) => {
                let on = format!("impersonate-on:{word}:{}", self.request.verb);
                self.authorizer.require(&AuthzAttributes { verb: &on, ..self.request.attributes(self.user) })?;
                (format!("impersonate:{word}"), GROUP)
            }
            None => ("impersonate".to_owned(), ""),
        };
        self.check_name(mode, &verb, group)?;
        if !self.wanted.uid.is_empty() {
            self.authorizer.require(&self.attributes(&verb, GROUP, "uids", &self.wanted.uid))?;
        }
        self.check_groups(mode, &verb, group)?;
        self.check_extra(mode, &verb)
    }

    /// Whom it makes of who asks.
    pub(super) fn becomes(&self, mode: Mode) -> UserInfo {
        let mut user = self.wanted.clone();
        if let Some((namespace, _)) = service_account(&user.name).filter(|_| user.groups.is_empty()) {
            user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        }
        if matches!(mode, Mode::AssociatedNode | Mode::ArbitraryNode) {
            user.groups = vec!["system:nodes".to_owned()];
        }
        let group = match user.name.as_str() {
            "system:anonymous" => "system:unauthenticated",
            _ if user.groups.iter().any(|group| group == "system:unauthenticated") => return user,
            _ => "system:authenticated",
        };
        if !user.groups.iter().any(|known| known == group) {
            user.groups.push(group.to_owned());
        }
        user
    }

    fn attributes<'b>(
        &'b self,
        verb: &'b str,
        group: &'b str,
        resource: &'b str,
        name: &'b str,
    ) -> AuthzAttributes<'b> {
        AuthzAttributes::resource(self.user, verb, group, resource, "", name)
    }

    fn check_name(&self, mode: Mode, verb: &str, group: &str) -> Result<(), Status> {
        let name = &self.wanted.name;
        let asked = match (node(name), service_account(name)) {
            // Which node it is has been looked at: whoever may become their own may become each.
            (Some(_), _) if mode == Mode::AssociatedNode => self.attributes(verb, group, "nodes", "*"),
            (Some(node), _) if mode != Mode::Legacy => self.attributes(verb, group, "nodes", node),
            (_, Some((namespace, account))) => {
                AuthzAttributes { namespace, ..self.attributes(verb, group, "serviceaccounts", account) }
            }
            _ => self.attributes(verb, group, "users", name),
        };
        self.authorizer.require(&asked)
    }

    fn check_groups(&self, mode: Mode, verb: &str, group: &str) -> Result<(), Status> {
        let groups = &self.wanted.groups;
        let asked = |name| self.attributes(verb, group, "groups", name);
        if mode != Mode::Legacy {
            if groups.iter().any(String::is_empty) {
                return Err(forbidden(&asked(""), "impersonating the empty string group is not allowed"));
            }
            if let Some(name) = groups.iter().find(|name| is_superusers(name)) {
                return Err(forbidden(&asked(name), &format!("impersonating the {name} group is not allowed")));
            }
            if groups.len() >= MANY && self.authorizer.require(&asked("*")).is_ok() {
                return Ok(());
            }
        }
        groups.iter().try_for_each(|name| self.authorizer.require(&asked(name)))
    }

    fn check_extra(&self, mode: Mode, verb: &str) -> Result<(), Status> {
        let extra = &self.wanted.extra;
        let asked = |key, value| self.attributes(verb, GROUP, "userextras", value).with_subresource(key);
        if mode != Mode::Legacy {
            if let Some(why) = extra.iter().find_map(|(key, values)| extra_fault(key, values)) {
                return Err(forbidden(&asked("", ""), &why));
            }
            let count: usize = extra.values().map(Vec::len).sum();
            if count >= MANY && self.authorizer.require(&asked("*", "*")).is_ok() {
                return Ok(());
            }
        }
        let mut each = extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        each.try_for_each(|(key, value)| self.authorizer.require(&asked(key, value)))
    }
}

/// What is wrong with an extra field for all but the old way.
fn extra_fault(key: &str, values: &[String]) -> Option<String> {
    if key.is_empty() {
        return Some("impersonating the empty string key in extra is not allowed".to_owned());
    }
    let errors = path_errors(key);
    if !errors.is_empty() {
        return Some(format!("impersonating an invalid key in extra is not allowed: {}", aggregate(&errors)));
    }
    if key != key.to_lowercase() {
        return Some(format!("impersonating a non-lowercase key in extra is not allowed: {key:?}"));
    }
    let empty = values.iter().any(String::is_empty);
    empty.then(|| "impersonating the empty string value in extra is not allowed".to_owned())
}

/// What keeps a key from being like `example.com/path`.
fn path_errors(key: &str) -> ErrorList {
    const PATH: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
    let at = Path::new("extra").child("key");
    let parts = key.split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty());
    let Some((host, path)) = parts else {
        return vec![Error::invalid(&at, key, "must be a domain-prefixed path (such as \"acme.io/foo\")")];
    };
    let mut errors: ErrorList =
        names::is_dns1123_subdomain(host).into_iter().map(|why| Error::invalid(&at, host, why)).collect();
    if !path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c)) {
        errors.push(Error::invalid(&at, path, names::regex_error("Invalid path", PATH, &[])));
    }
    errors
}
