//! Whether somebody may do something, as expressions ask.

use std::sync::Arc;

use mainstay_api::cel::{Host, Val};
use mainstay_api::names;
use mainstay_api::selector::FieldSelector;

use crate::authz::{Authorizer, AuthzAttributes};
use crate::user::UserInfo;

/// What is asked about.
#[derive(Clone, Default)]
pub(super) struct Asked {
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub path: String,
    pub field_selector: String,
}

impl Asked {
    /// A selector that cannot be read limits nothing, so that more has to be allowed.
    fn select(&mut self, selector: String) {
        self.field_selector = if FieldSelector::parse(&selector).is_ok() { selector } else { String::new() };
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Root,
    Path,
    Group,
    Resource,
}

/// `authorizer`, and what its methods lead to.
#[derive(Clone)]
pub(super) struct Asker {
    authorizer: Arc<Authorizer>,
    user: UserInfo,
    asked: Asked,
    step: Step,
}

impl Asker {
    /// `authorizer` for who asks; `resource` is what the request itself is about.
    pub(super) fn new(authorizer: Arc<Authorizer>, user: UserInfo, resource: Asked) -> Self {
        Self { authorizer, user, asked: resource, step: Step::Root }
    }

    /// `authorizer.requestResource`.
    pub(super) fn of_request(&self) -> Self {
        Self { step: Step::Resource, ..self.clone() }
    }

    fn then(&self, step: Step, change: impl FnOnce(&mut Asked)) -> Val {
        let mut next = Asker { step, ..self.clone() };
        change(&mut next.asked);
        Val::Host(Arc::new(next))
    }

    fn check(&self, verb: &str) -> Val {
        let asked = &self.asked;
        let verdict = self.authorizer.explain(&AuthzAttributes {
            user: &self.user,
            verb,
            group: &asked.group,
            version: "*",
            resource: &asked.resource,
            subresource: &asked.subresource,
            namespace: &asked.namespace,
            name: &asked.name,
            path: &asked.path,
            is_resource: self.step != Step::Path,
            field_selector: &asked.field_selector,
        });
        Val::Host(Arc::new(Decided { allowed: verdict.allowed, reason: verdict.reason }))
    }
}

impl Host for Asker {
    fn type_name(&self) -> &'static str {
        match self.step {
            Step::Root => "kubernetes.authorization.Authorizer",
            Step::Path => "kubernetes.authorization.PathCheck",
            Step::Group => "kubernetes.authorization.GroupCheck",
            Step::Resource => "kubernetes.authorization.ResourceCheck",
        }
    }

    fn call(&self, name: &str, arguments: &[Val]) -> Option<Result<Val, String>> {
        let texts: Vec<String> = arguments.iter().filter_map(Val::to_text).collect();
        let first = texts.first().cloned().unwrap_or_default();
        Some(Ok(match (self.step, name) {
            (Step::Root, "path") | (Step::Group, "resource") if first.trim().is_empty() => {
                return Some(Err(format!("{name} must not be empty")));
            }
            (Step::Root, "path") => self.then(Step::Path, |asked| *asked = Asked { path: first, ..Asked::default() }),
            (Step::Root, "group") => {
                self.then(Step::Group, |asked| *asked = Asked { group: first, ..Asked::default() })
            }
            (Step::Root, "serviceAccount") => match account(&first, texts.get(1).map_or("", String::as_str)) {
                Ok(user) => Val::Host(Arc::new(Asker { user, ..self.clone() })),
                Err(why) => return Some(Err(why.to_owned())),
            },
            (Step::Group, "resource") => self.then(Step::Resource, |asked| asked.resource = first),
            (Step::Resource, "subresource") => self.then(Step::Resource, |asked| asked.subresource = first),
            (Step::Resource, "namespace") => self.then(Step::Resource, |asked| asked.namespace = first),
            (Step::Resource, "name") => self.then(Step::Resource, |asked| asked.name = first),
            (Step::Resource, "fieldSelector") => self.then(Step::Resource, |asked| asked.select(first)),
            // Nobody here decides by labels.
            (Step::Resource, "labelSelector") => self.then(Step::Resource, |_| {}),
            (Step::Path | Step::Resource, "check") => self.check(&first),
            _ => return None,
        }))
    }
}

/// A service account as nobody has authenticated it.
fn account(namespace: &str, name: &str) -> Result<UserInfo, &'static str> {
    if !names::is_dns1123_subdomain(name).is_empty() {
        return Err("Invalid service account name");
    }
    if !names::is_dns1123_label(namespace).is_empty() {
        return Err("Invalid service account namespace");
    }
    let groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    Ok(UserInfo { name: format!("system:serviceaccount:{namespace}:{name}"), groups, ..UserInfo::default() })
}

struct Decided {
    allowed: bool,
    reason: String,
}

impl Host for Decided {
    fn type_name(&self) -> &'static str {
        "kubernetes.authorization.Decision"
    }

    fn call(&self, name: &str, _arguments: &[Val]) -> Option<Result<Val, String>> {
        Some(Ok(match name {
            "allowed" => Val::Bool(self.allowed),
            "reason" => Val::text(&self.reason),
            "errored" => Val::Bool(false),
            "error" => Val::text(""),
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use mainstay_api::cel::{CALL_BUDGET, Env, EvalError, Program, Scope, authorizer};

    use super::*;
    use crate::strategy::testing::Objects;

    /// Whether a node may do what an expression asks for.
    fn allowed(expression: &str) -> bool {
        outcome(expression) == Ok(Val::Bool(true))
    }

    fn outcome(expression: &str) -> Result<Val, EvalError> {
        let role = serde_json::json!({"metadata": {"name": "system:node"}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]});
        let roles = Objects(vec![("rbac.authorization.k8s.io", "clusterroles", role)]);
        let node =
            UserInfo { name: "system:node:n1".into(), groups: vec!["system:nodes".into()], ..UserInfo::default() };
        let asker = Asker::new(Arc::new(Authorizer::new(Arc::new(roles))), node, Asked::default());
        let program = Program::compile(expression, &Env::new([]).with("authorizer", authorizer())).unwrap();
        program.eval(&Alone(asker), &mut CALL_BUDGET.clone())
    }

    #[test]
    fn what_is_asked_about_has_a_name() {
        let why = |expression: &str| match outcome(expression) {
            Err(EvalError::Failed(why)) => why,
            other => panic!("{expression} gives {other:?}"),
        };
        assert_eq!(why("authorizer.path(' ').check('get').allowed()"), "path must not be empty");
        assert_eq!(why("authorizer.group('').resource('').check('get').allowed()"), "resource must not be empty");
        let account = |of: &str| why(&format!("authorizer.serviceAccount({of}).path('/x').check('get').allowed()"));
        assert_eq!(account("'ns', 'A'"), "Invalid service account name");
        assert_eq!(account("'n.s', 'a'"), "Invalid service account namespace");
        assert_eq!(super::account("ns", "a").unwrap().groups.len(), 2);
    }

    struct Alone(Asker);

    impl Scope for Alone {
        fn variable(&self, name: &str) -> Option<Val> {
            (name == "authorizer").then(|| Val::Host(Arc::new(self.0.clone())))
        }
    }

    #[test]
    fn selectors_are_part_of_what_is_asked() {
        let pods = |selector: &str| {
            allowed(&format!("authorizer.group('').resource('pods'){selector}.check('list').allowed()"))
        };
        assert!(!pods(""));
        assert!(pods(".fieldSelector('spec.nodeName=n1')"));
        assert!(pods(".fieldSelector('spec.nodeName=n1').labelSelector('a=b,!c')"));
        assert!(!pods(".fieldSelector('spec.nodeName=n2')"));
        assert!(!pods(".labelSelector('spec.nodeName=n1')"));
        // What cannot be read is left out.
        assert!(!pods(".fieldSelector('spec.nodeName=n1,nonsense')"));
    }
}
