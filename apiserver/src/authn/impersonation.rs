//! `Impersonate-*` headers: acting as somebody else, by whoever may.

mod asking;
mod mode;

use std::collections::{BTreeMap, HashMap};

use http::{HeaderMap, HeaderValue};
use mainstay_api::status::Status;
use parking_lot::Mutex;

use crate::authz::{Authorizer, RequestInfo, is_superuser};
use crate::user::UserInfo;
use asking::Asking;
use mode::{MODES, Mode};

/// How many users are remembered with the way in which they have acted as others.
const MOST_REMEMBERED: usize = 10_000;
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Lets users act as others. Which way has served somebody last is tried first, so it is what a refusal speaks of.
#[derive(Default)]
pub(super) struct Impersonation {
    last: Mutex<HashMap<String, Mode>>,
}

impl Impersonation {
    /// Who `user` acts as.
    ///
    /// # Errors
    /// The first refusal, if none of the ways is open.
    pub(super) fn act(
        &self,
        authorizer: &Authorizer,
        user: &UserInfo,
        wanted: &UserInfo,
        request: &RequestInfo,
    ) -> Result<UserInfo, Status> {
        let asking = Asking { authorizer, user, wanted, request };
        if is_superuser(user) {
            let first = MODES.into_iter().find(|mode| mode.fits(user, wanted));
            return Ok(asking.becomes(first.unwrap_or(Mode::Legacy)));
        }
        let last = self.last.lock().get(&user.name).copied();
        let others = MODES.into_iter().filter(|mode| Some(*mode) != last);
        let mut refusal = None;
        for mode in last.into_iter().chain(others).filter(|mode| mode.fits(user, wanted)) {
            match asking.check(mode) {
                Ok(()) => {
                    self.remember(user, mode);
                    return Ok(asking.becomes(mode));
                }
                Err(status) => refusal = refusal.or(Some(status)),
            }
        }
        Err(refusal.unwrap_or_else(|| Status::plain("all impersonation modes failed")))
    }

    fn remember(&self, user: &UserInfo, mode: Mode) {
        let mut last = self.last.lock();
        if last.len() >= MOST_REMEMBERED && !last.contains_key(&user.name) {
            last.clear();
        }
        last.insert(user.name.clone(), mode);
    }
}

/// Reads the headers: who they ask to be; `None` if there are none.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<UserInfo>, Status> {
    let first = |name: &str| headers.get(name).map(text).unwrap_or_default();
    let groups = headers.get_all("impersonate-group").iter().map(text).collect();
    let user =
        UserInfo { name: first("impersonate-user"), uid: first("impersonate-uid"), groups, extra: extra(headers) };
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty() {
        return Ok(None);
    }
    Err(Status::bad_request(format!("requested {} without impersonating a user name", go_syntax(&user))))
}

fn extra(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) {
            extra.entry(crate::percent::unescape(key)).or_default().push(text(value));
        }
    }
    extra
}

/// Whatever a header holds: who is to act as somebody must not act as himself because of how that one is written.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Reader;
    use http::{Method, Uri};
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// A cluster in which `imp` has one rule.
    struct OneRule(Value);

    impl Reader for OneRule {
        fn get(&self, _: &str, resource: &str, _: &str, _: &str) -> Option<Arc<Value>> {
            (resource == "clusterroles").then(|| Arc::new(json!({"rules": [self.0]})))
        }

        fn list(&self, _: &str, resource: &str, _: Option<&str>) -> Vec<Arc<Value>> {
            let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"},
                "subjects": [{"kind": "User", "name": "imp"}]});
            if resource == "clusterrolebindings" { vec![Arc::new(binding)] } else { Vec::new() }
        }
    }

    fn user(name: &str) -> UserInfo {
        UserInfo { name: name.to_owned(), ..UserInfo::default() }
    }

    fn in_turn(rule: Value, wanted: &[UserInfo]) -> Vec<Result<Vec<String>, String>> {
        let authorizer = Authorizer::new(Arc::new(OneRule(rule)));
        let request = RequestInfo::of(&Method::GET, &Uri::from_static("/api/v1/namespaces/ns/pods"));
        let impersonation = Impersonation::default();
        let act = |wanted| impersonation.act(&authorizer, &user("imp"), wanted, &request);
        wanted.iter().map(act).map(|got| got.map(|user| user.groups).map_err(|s| s.message.into_owned())).collect()
    }

    #[test]
    fn a_refusal_speaks_of_the_way_that_served_last() {
        let rule =
            json!({"apiGroups": [""], "resources": ["users"], "resourceNames": ["bob"], "verbs": ["impersonate"]});
        let got = in_turn(rule, &[user("eve"), user("bob"), user("eve")]);
        let first = "pods is forbidden: User \"imp\" cannot impersonate-on:user-info:list resource \"pods\" in API group \"\" \
                     in the namespace \"ns\"";
        assert_eq!(got[0], Err(first.to_owned()));
        assert_eq!(got[1], Ok(vec!["system:authenticated".to_owned()]));
        let last = "users \"eve\" is forbidden: User \"imp\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
        assert_eq!(got[2], Err(last.to_owned()));
    }

    #[test]
    fn a_name_may_be_written_in_any_letters() {
        let mut headers = HeaderMap::new();
        headers.insert("impersonate-user", HeaderValue::from_bytes("josé".as_bytes()).unwrap());
        assert_eq!(wanted(&headers).unwrap().unwrap().name, "josé");
    }

    #[test]
    fn an_account_with_groups_is_impersonated_in_the_old_way_alone() {
        let account = UserInfo { groups: vec!["g".to_owned()], ..user("system:serviceaccount:ns:bot") };
        let refused = in_turn(json!({}), &[account]).remove(0).unwrap_err();
        assert_eq!(
            refused,
            "serviceaccounts \"bot\" is forbidden: User \"imp\" cannot impersonate resource \"serviceaccounts\" in API group \"\" \
             in the namespace \"ns\""
        );
    }

    #[test]
    fn a_node_has_its_group_by_the_way_for_nodes() {
        let rule = json!({"apiGroups": ["*"], "resources": ["*"],
            "verbs": ["impersonate:arbitrary-node", "impersonate-on:arbitrary-node:list"]});
        let got = in_turn(rule, &[user("system:node:n1"), user("system:node:Not Valid")]);
        assert_eq!(got[0], Ok(vec!["system:nodes".to_owned(), "system:authenticated".to_owned()]));
        assert!(got[1].as_ref().unwrap_err().contains("cannot impersonate-on:user-info:list"));
    }

    #[test]
    fn a_superuser_becomes_whole_nodes() {
        let authorizer = Authorizer::new(Arc::new(OneRule(json!({}))));
        let request = RequestInfo::of(&Method::GET, &Uri::from_static("/api/v1/nodes"));
        let root = UserInfo { groups: vec!["system:masters".to_owned()], ..user("root") };
        let act = |wanted| Impersonation::default().act(&authorizer, &root, &wanted, &request).unwrap().groups;
        assert_eq!(act(user("system:node:n1")), ["system:nodes", "system:authenticated"]);
        assert_eq!(act(user("bob")), ["system:authenticated"]);
        assert_eq!(act(root.clone()), ["system:masters", "system:authenticated"]);
    }

    #[test]
    fn masters_are_not_impersonated_in_the_new_ways() {
        let rule = json!({"apiGroups": ["*"], "resources": ["*"],
            "verbs": ["impersonate:user-info", "impersonate-on:user-info:list"]});
        let root = |group: &str| UserInfo { groups: vec![group.to_owned()], ..user("root") };
        let odd = UserInfo { extra: BTreeMap::from([("a".to_owned(), vec!["b".to_owned()])]), ..user("root") };
        let got = in_turn(rule, &[root("system:masters"), root("system:mainstay:masters"), odd]);
        assert!(got[0].as_ref().unwrap_err().ends_with("impersonating the system:masters group is not allowed"));
        let own = "impersonating the system:mainstay:masters group is not allowed";
        assert!(got[1].as_ref().unwrap_err().ends_with(own));
        assert!(got[2].as_ref().unwrap_err().ends_with(
            "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: \"a\": \
             must be a domain-prefixed path (such as \"acme.io/foo\")"
        ));
    }
}
