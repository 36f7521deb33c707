//! A request as expressions see it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mainstay_api::cel::{Env, EvalError, Host, Program, Scope, Type, Val, authorizer};
use mainstay_api::selector::FieldSelector;
use parking_lot::Mutex;
use serde_json::Value;

use super::{Shared, matching, review, text};
use crate::admission::Attributes;
use crate::authz::{Authorizer, AuthzAttributes};
use crate::registry::Row;
use crate::user::UserInfo;

/// Steps that all expressions of one policy may take on one request.
const BUDGET: u64 = 10_000_000;
/// Compiled expressions that are kept.
const KEPT: usize = 4096;

/// Expressions that have been compiled, for all requests alike.
#[derive(Default)]
pub(super) struct Programs(Mutex<HashMap<String, Arc<Program>>>);

impl Programs {
    fn get(&self, text: &str) -> Result<Arc<Program>, String> {
        if let Some(found) = self.0.lock().get(text) {
            return Ok(found.clone());
        }
        let made = Arc::new(Program::compile(text, &environment()).map_err(|error| error.to_string())?);
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_owned(), made.clone());
        Ok(made)
    }
}

/// Expressions were checked with their policy; when they run, types are those of the values.
fn environment() -> Env {
    let names = ["object", "oldObject", "request", "params", "namespaceObject", "variables"];
    let variables = names.map(|name| (name.to_owned(), Type::Dyn));
    Env::new(variables).with("authorizer", authorizer()).constructing(&["Object", "JSONPatch"])
}

/// One request under one configuration.
pub(super) struct Review<'r> {
    programs: &'r Programs,
    values: BTreeMap<&'static str, Val>,
    authorizer: Asker,
    variables: HashMap<&'r str, &'r str>,
    /// Variables that have been worked out, or are being so.
    known: RefCell<HashMap<String, Option<Result<Val, EvalError>>>>,
    budget: Cell<u64>,
}

impl<'r> Review<'r> {
    pub(super) fn new(
        shared: &'r Shared,
        request: &Attributes<'_>,
        wanted: &Row,
        own: &Arc<Row>,
        params: Option<&Value>,
        variables: &'r [Value],
    ) -> Self {
        let shown = |object: &Option<Value>| match object {
            Some(object) => Val::from_json(&review::seen(request, object, wanted, own)),
            None => Val::Null,
        };
        let namespace = matching::namespace(request);
        let values = BTreeMap::from([
            ("object", shown(&request.object)),
            ("oldObject", shown(&request.old_object)),
            ("request", Val::from_json(&review::request(request, wanted, own))),
            ("params", params.map_or(Val::Null, Val::from_json)),
            ("namespaceObject", namespace.map_or(Val::Null, |namespace| Val::from_json(&namespace))),
        ]);
        let resource = Asked {
            group: own.resource.group.clone(),
            resource: own.resource.resource.clone(),
            subresource: request.subresource.to_owned(),
            namespace: request.namespace.to_owned(),
            name: matching::name(request).to_owned(),
            ..Asked::default()
        };
        Self {
            programs: &shared.programs,
            values,
            authorizer: Asker {
                authorizer: shared.authorizer.clone(),
                user: request.user.clone(),
                asked: resource,
                step: Step::Root,
            },
            variables: variables
                .iter()
                .map(|variable| (text(variable, "/name"), text(variable, "/expression")))
                .collect(),
            known: RefCell::default(),
            budget: Cell::new(BUDGET),
        }
    }

    /// The object has changed since.
    pub(super) fn set_object(&mut self, object: &Value) {
        self.values.insert("object", Val::from_json(object));
        self.known.borrow_mut().clear();
    }

    /// Runs an expression.
    pub(super) fn eval(&self, expression: &str) -> Result<Val, String> {
        self.eval_in(expression, self)
    }

    fn eval_in(&self, expression: &str, scope: &dyn Scope) -> Result<Val, String> {
        let program = self.programs.get(expression)?;
        self.run(&program, scope).map_err(|error| error.to_string())
    }

    fn run(&self, program: &Program, scope: &dyn Scope) -> Result<Val, EvalError> {
        let mut left = self.budget.get();
        let before = left;
        let outcome = program.eval(scope, &mut left);
        // Variables that the expression asked for have spent from the cell meanwhile.
        self.budget.set(self.budget.get().saturating_sub(before - left));
        outcome
    }

    /// Runs an expression that is at fault itself if it fails.
    pub(super) fn outcome(&self, expression: &str) -> Result<Val, String> {
        self.eval(expression).map_err(|why| failure(expression, &why))
    }

    /// Whether all conditions hold; those that fail count only if none is false.
    pub(super) fn conditions(&self, conditions: &[Value]) -> Result<bool, String> {
        let mut failures: Vec<String> = Vec::new();
        for condition in conditions {
            let expression = text(condition, "/expression");
            match self.eval_in(expression, &Unplaced(self)) {
                Ok(Val::Bool(false)) => return Ok(false),
                Ok(_) => {}
                Err(why) => {
                    let why = failure(expression, &why);
                    if !failures.contains(&why) {
                        failures.push(why);
                    }
                }
            }
        }
        match failures.as_slice() {
            [] => Ok(true),
            [why] => Err(why.clone()),
            all => Err(format!("[{}]", all.join(", "))),
        }
    }
}

/// What Kubernetes says of an expression that fails.
fn failure(expression: &str, why: &str) -> String {
    format!("expression '{expression}' resulted in error: {why}")
}

/// What match conditions see: the request, but not the namespace that it is in.
struct Unplaced<'r>(&'r Review<'r>);

impl Scope for Unplaced<'_> {
    fn variable(&self, name: &str) -> Option<Val> {
        match name {
            "namespaceObject" => Some(Val::Null),
            name => self.0.variable(name),
        }
    }

    fn member(&self, of: &str, field: &str) -> Option<Result<Val, EvalError>> {
        self.0.member(of, field)
    }
}

impl Scope for Review<'_> {
    fn variable(&self, name: &str) -> Option<Val> {
        match name {
            "authorizer" => Some(Val::Host(Arc::new(self.authorizer.clone()))),
            name => self.values.get(name).cloned(),
        }
    }

    fn member(&self, of: &str, field: &str) -> Option<Result<Val, EvalError>> {
        match of {
            "authorizer" if field == "requestResource" => {
                let asker = Asker { step: Step::Resource, ..self.authorizer.clone() };
                Some(Ok(Val::Host(Arc::new(asker))))
            }
            "variables" => Some(self.worked_out(field)),
            _ => None,
        }
    }
}

impl Review<'_> {
    fn worked_out(&self, name: &str) -> Result<Val, EvalError> {
        if let Some(known) = self.known.borrow().get(name) {
            let circular = || Err(EvalError::Failed(format!("variable '{name}' refers to itself")));
            return known.clone().unwrap_or_else(circular);
        }
        let Some(expression) = self.variables.get(name) else {
            return Err(EvalError::Failed(format!("no such key: {name}")));
        };
        self.known.borrow_mut().insert(name.to_owned(), None);
        let found = self.programs.get(expression).map_err(EvalError::Failed);
        let found = found.and_then(|program| self.run(&program, self));
        let found = found.map_err(|error| match error {
            EvalError::Failed(why) => {
                EvalError::Failed(format!("composited variable \"{name}\" fails to evaluate: {why}"))
            }
            EvalError::Budget => EvalError::Budget,
        });
        self.known.borrow_mut().insert(name.to_owned(), Some(found.clone()));
        found
    }
}

#[derive(Clone, Default)]
struct Asked {
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    path: String,
    field_selector: String,
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
struct Asker {
    authorizer: Arc<Authorizer>,
    user: UserInfo,
    asked: Asked,
    step: Step,
}

impl Asker {
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
            (Step::Root, "path") => self.then(Step::Path, |asked| *asked = Asked { path: first, ..Asked::default() }),
            (Step::Root, "group") => {
                self.then(Step::Group, |asked| *asked = Asked { group: first, ..Asked::default() })
            }
            (Step::Root, "serviceAccount") => {
                let account = texts.get(1).cloned().unwrap_or_default();
                let groups = vec![
                    "system:serviceaccounts".into(),
                    format!("system:serviceaccounts:{first}"),
                    "system:authenticated".into(),
                ];
                let user = UserInfo {
                    name: format!("system:serviceaccount:{first}:{account}"),
                    groups,
                    ..UserInfo::default()
                };
                Val::Host(Arc::new(Asker { user, ..self.clone() }))
            }
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
    use super::*;
    use crate::strategy::testing::Objects;

    /// Whether a node may do what an expression asks for.
    fn allowed(expression: &str) -> bool {
        let role = serde_json::json!({"metadata": {"name": "system:node"}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]});
        let roles = Objects(vec![("rbac.authorization.k8s.io", "clusterroles", role)]);
        let node =
            UserInfo { name: "system:node:n1".into(), groups: vec!["system:nodes".into()], ..UserInfo::default() };
        let asker = Asker {
            authorizer: Arc::new(Authorizer::new(Arc::new(roles))),
            user: node,
            asked: Asked::default(),
            step: Step::Root,
        };
        let program = Program::compile(expression, &environment()).unwrap();
        let mut budget = BUDGET;
        program.eval(&Alone(asker), &mut budget) == Ok(Val::Bool(true))
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
