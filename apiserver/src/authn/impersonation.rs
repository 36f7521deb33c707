//! `Impersonate-*` headers: acting as somebody else, by whoever may.

use crate::authz::{Authorizer, AuthzAttributes, Decision, RequestInfo, forbidden};
use crate::user::UserInfo;
use http::HeaderMap;
use mainstay_api::status::Status;
use std::collections::BTreeMap;

const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Who the headers ask to be.
#[derive(Debug)]
pub(super) struct Wanted {
    user: UserInfo,
}

/// Reads the headers; `None` if there are none.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<Wanted>, Status> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let groups: Vec<String> =
        headers.get_all("impersonate-group").iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
    let user = UserInfo { name: text("impersonate-user"), uid: text("impersonate-uid"), groups, extra: extra(headers) };
    if !user.name.is_empty() {
        return Ok(Some(Wanted { user }));
    }
    if user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty() {
        return Ok(None);
    }
    Err(Status::bad_request(format!("requested {} without impersonating a user name", go_syntax(&user))))
}

fn extra(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let (Some(key), Ok(value)) = (name.as_str().strip_prefix(EXTRA_PREFIX), value.to_str()) {
            extra.entry(crate::percent::unescape(key)).or_default().push(value.to_owned());
        }
    }
    extra
}

/// The struct as Go prints it; Kubernetes' message contains that.
fn go_syntax(user: &UserInfo) -> String {
    let strings = |list: &[String]| {
        if list.is_empty() {
            return "[]string(nil)".to_owned();
        }
        format!("[]string{{{}}}", list.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", "))
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let members: Vec<String> =
            user.extra.iter().map(|(key, values)| format!("{key:?}:{}", strings(values))).collect();
        format!("map[string][]string{{{}}}", members.join(", "))
    };
    format!(
        "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{}, Extra:{extra}}}",
        user.name,
        user.uid,
        strings(&user.groups)
    )
}

impl Wanted {
    /// The user with the groups that Kubernetes adds.
    pub(super) fn into_user(self) -> UserInfo {
        let mut user = self.user;
        if user.groups.is_empty()
            && let Some((namespace, _)) = service_account(&user.name)
        {
            user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        }
        let settled = |group: &String| group == "system:authenticated" || group == "system:unauthenticated";
        if !user.groups.iter().any(settled) {
            let anonymous = user.name == "system:anonymous";
            user.groups.push(if anonymous { "system:unauthenticated" } else { "system:authenticated" }.to_owned());
        }
        user
    }
}

/// Allowed are those with the verb for this kind of impersonation on this request, or with plain `impersonate`.
pub(super) fn check(
    authorizer: &Authorizer,
    user: &UserInfo,
    wanted: &Wanted,
    request: &RequestInfo,
) -> Result<(), Status> {
    let mode = mode(&wanted.user.name);
    let on_verb = format!("impersonate-on:{mode}:{}", request.verb);
    let on_request = AuthzAttributes { verb: &on_verb, ..request.attributes(user) };
    let on = authorizer.authorize(&on_request);
    let constrained = on == Decision::Allow
        && all_allowed(authorizer, user, wanted, &format!("impersonate:{mode}"), "authentication.k8s.io");
    if constrained || all_allowed(authorizer, user, wanted, "impersonate", "") {
        return Ok(());
    }
    let reason = match on {
        Decision::Deny(reason) => reason,
        Decision::Allow => String::new(),
    };
    Err(forbidden(&on_request, &reason))
}

fn mode(name: &str) -> &'static str {
    if service_account(name).is_some() {
        "serviceaccount"
    } else if name.starts_with("system:node:") {
        "arbitrary-node"
    } else {
        "user-info"
    }
}

fn all_allowed(authorizer: &Authorizer, user: &UserInfo, wanted: &Wanted, verb: &str, group: &str) -> bool {
    // Plain impersonation finds users, groups and accounts in the core group, the rest in authentication.k8s.io.
    let may = |group: &str, resource: &str, sub: &str, namespace: &str, name: &str| {
        let asked = AuthzAttributes::resource(user, verb, group, resource, namespace, name).with_subresource(sub);
        authorizer.authorize(&asked) == Decision::Allow
    };
    let target = &wanted.user;
    let who = match service_account(&target.name) {
        Some((namespace, name)) => may(group, "serviceaccounts", "", namespace, name),
        None => may(group, "users", "", "", &target.name),
    };
    who && target.groups.iter().all(|name| may(group, "groups", "", "", name))
        && (target.uid.is_empty() || may("authentication.k8s.io", "uids", "", "", &target.uid))
        && target
            .extra
            .iter()
            .all(|(key, values)| values.iter().all(|value| may("authentication.k8s.io", "userextras", key, "", value)))
}

fn service_account(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("system:serviceaccount:")?.split_once(':').filter(|(_, name)| !name.contains(':'))
}
