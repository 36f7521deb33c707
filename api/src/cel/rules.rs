//! `x-kubernetes-validations`: rules of a schema, checked with the definition and run on its objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::schema::{type_of_schema, value_of_schema};
use super::{Env, EvalError, Program, Scope, Type, Val};
use crate::field::{Error, ErrorList, Kind, Path, Shown};
use crate::schema::{Elements, additional, field_path, items, properties, rules_of, text};

mod definition;

pub use definition::{default_errors, rule_errors};

/// Steps that all rules of one object may take together.
const OBJECT_BUDGET: u64 = 10_000_000;
/// Characters of a message that an expression makes, at the most.
const LONGEST_MESSAGE: usize = 5 << 10;

/// What rules about values of a type see.
fn environment(own: &Type, optional_old: bool) -> Env {
    let old = if optional_old { Type::Optional(Box::new(own.clone())) } else { own.clone() };
    Env::new([("self".to_owned(), own.clone()), ("oldSelf".to_owned(), old)])
}

/// A compiled rule.
#[derive(Debug)]
struct Rule {
    source: Value,
    program: Program,
    message: Option<Program>,
    transition: bool,
    optional_old: bool,
    /// The field that errors name, below the one that the rule is about.
    field: Option<Path>,
}

/// The rules of a schema's node and of what is below it.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    properties: BTreeMap<String, RuleSet>,
    values: Option<Box<RuleSet>>,
    items: Option<Box<RuleSet>>,
}

impl RuleSet {
    /// Compiles all rules of a schema; `None` if it has none. Rules that do not compile are left out: the definition
    /// was refused for them, or is older than what refuses them.
    #[must_use]
    pub fn compile(schema: &Value) -> Option<Self> {
        Self::node(schema, true)
    }

    fn node(schema: &Value, root: bool) -> Option<Self> {
        let own = Some(schema).filter(|of| !rules_of(of).is_empty()).and_then(|of| type_of_schema(of, root));
        let all = own.iter().flat_map(|own| rules_of(schema).iter().map(move |rule| (rule, own)));
        let rules: Vec<Rule> = all.filter_map(|(rule, own)| compiled(rule, schema, own)).collect();
        let below = properties(schema).into_iter().flatten();
        let properties: BTreeMap<String, RuleSet> =
            below.filter_map(|(name, of)| Some((name.clone(), Self::node(of, false)?))).collect();
        let boxed = |of: Option<&Value>| of.and_then(|of| Self::node(of, false)).map(Box::new);
        let (values, items) = (boxed(additional(schema)), boxed(items(schema)));
        let empty = rules.is_empty() && properties.is_empty() && values.is_none() && items.is_none();
        (!empty).then_some(Self { rules, properties, values, items })
    }

    /// The errors of an object by its rules. What a rule says of a part that is as it was in `old` is none.
    #[must_use]
    pub fn errors(&self, object: &Value, old: Option<&Value>, schema: &Value) -> ErrorList {
        let mut run = Checking::default();
        run.node(self, Node::root(object, old, schema), &Path::nil());
        run.errors
    }

    /// What the rules say of parts of an object that are as they were in `old`: worth a warning.
    #[must_use]
    pub fn kept_errors(&self, object: &Value, old: &Value, schema: &Value) -> ErrorList {
        let mut run = Checking { only_kept: true, ..Checking::default() };
        run.node(self, Node::root(object, Some(old), schema), &Path::nil());
        run.kept
    }

    /// The errors of a default, which stands at `path` in its definition.
    fn errors_of_default(&self, default: &Value, schema: &Value, root: bool, path: &Path) -> ErrorList {
        let found = |old: Option<&Value>| {
            let mut run = Checking::default();
            run.node(self, Node { value: default, old, schema, kept: false, root }, path);
            run.errors.append(&mut run.kept);
            run.errors
        };
        // First as something that stays, which rules about changes look at, then as something new.
        let errors = found(Some(default));
        if errors.is_empty() { found(None) } else { errors }
    }
}

fn compiled(rule: &Value, schema: &Value, own: &Type) -> Option<Rule> {
    let optional_old = rule.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or_default();
    let env = environment(own, optional_old);
    let program = Program::compile(text(rule, "rule"), &env).ok()?;
    let message = Some(text(rule, "messageExpression")).filter(|text| !text.is_empty());
    let field = Some(text(rule, "fieldPath")).filter(|field| !field.is_empty());
    Some(Rule {
        transition: program.mentions("oldSelf"),
        message: message.and_then(|text| Program::compile(text, &env).ok()),
        program,
        optional_old,
        field: field.and_then(|field| field_path(field, schema, true).ok()).map(|(path, _)| path),
        source: rule.clone(),
    })
}

struct Checking {
    errors: ErrorList,
    /// What is said of parts that are as they were.
    kept: ErrorList,
    /// Only those are looked at.
    only_kept: bool,
    budget: u64,
    over: bool,
}

impl Default for Checking {
    fn default() -> Self {
        Self { errors: ErrorList::new(), kept: ErrorList::new(), only_kept: false, budget: OBJECT_BUDGET, over: false }
    }
}

/// A part of an object, with what it was and the schema of it.
#[derive(Clone, Copy)]
struct Node<'v> {
    value: &'v Value,
    old: Option<&'v Value>,
    schema: &'v Value,
    /// It is as it was, or, where nothing says what it was, the nearest part around it is.
    kept: bool,
    root: bool,
}

impl<'v> Node<'v> {
    fn root(value: &'v Value, old: Option<&'v Value>, schema: &'v Value) -> Self {
        Self { value, old, schema, kept: old == Some(value), root: true }
    }

    fn below(&self, value: &'v Value, old: Option<&'v Value>, schema: &'v Value, kept: bool) -> Self {
        Self { value, old, schema, kept, root: false }
    }

    fn field(&self, name: &str, value: &'v Value, schema: &'v Value) -> Self {
        let old = self.old.and_then(|old| old.get(name));
        let kept = if self.old.is_some_and(Value::is_object) { old == Some(value) } else { self.kept };
        self.below(value, old, schema, kept)
    }

    fn item(&self, value: &'v Value, old: Option<&'v Value>, schema: &'v Value) -> Self {
        let kept = if old.is_some() { old == Some(value) } else { self.kept };
        self.below(value, old, schema, kept)
    }
}

/// `self` and `oldSelf`.
struct Selves {
    own: Val,
    old: Option<Val>,
    /// There always is an `oldSelf`, which may have no value.
    optional: bool,
}

impl Scope for Selves {
    fn variable(&self, name: &str) -> Option<Val> {
        match name {
            "self" => Some(self.own.clone()),
            "oldSelf" if self.optional => Some(Val::Optional(self.old.clone().map(Arc::new))),
            "oldSelf" => self.old.clone(),
            _ => None,
        }
    }
}

impl Checking {
    fn node(&mut self, set: &RuleSet, node: Node<'_>, path: &Path) {
        if node.value.is_null() {
            return;
        }
        if node.kept || !self.only_kept {
            self.rules(set, node, path);
        }
        match node.value {
            Value::Object(map) => {
                for (name, value) in map {
                    let declared = properties(node.schema).and_then(|all| all.get(name));
                    if let (Some(of), Some(set)) = (declared, set.properties.get(name)) {
                        self.node(set, node.field(name, value, of), &path.child(name));
                    } else if let (None, Some(of), Some(set)) = (declared, additional(node.schema), &set.values) {
                        self.node(set, node.field(name, value, of), &path.key(name));
                    }
                }
            }
            Value::Array(list) => {
                let (Some(of), Some(set)) = (items(node.schema), &set.items) else { return };
                let before = Elements::of(node.schema, node.old);
                for (index, value) in list.iter().enumerate() {
                    self.node(set, node.item(value, before.like(value), of), &path.index(index));
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, set: &RuleSet, node: Node<'_>, path: &Path) {
        if set.rules.is_empty() {
            return;
        }
        let own = value_of_schema(node.value, node.schema, node.root);
        let sees_old = set.rules.iter().any(|rule| rule.transition);
        let old = node.old.filter(|old| sees_old && !old.is_null());
        let before = old.map(|old| value_of_schema(old, node.schema, node.root));
        for rule in &set.rules {
            if self.over || (rule.transition && !rule.optional_old && before.is_none()) {
                continue;
            }
            let selves = Selves { own: own.clone(), old: before.clone(), optional: rule.optional_old };
            self.rule(rule, &selves, node, path);
        }
    }

    fn rule(&mut self, rule: &Rule, selves: &Selves, node: Node<'_>, path: &Path) {
        let name = Some(text(&rule.source, "message")).filter(|text| !text.is_empty());
        let name = name.unwrap_or_else(|| text(&rule.source, "rule")).trim();
        let why = match rule.program.eval(selves, &mut self.budget) {
            Ok(Val::Bool(true)) => return,
            Ok(_) => {
                let message = self.message(rule, selves);
                let error = refusal(rule, node, path, &message);
                let list = if node.kept && !rule.transition { &mut self.kept } else { &mut self.errors };
                list.push(error);
                return;
            }
            Err(EvalError::Budget) => {
                self.over = true;
                let error = EvalError::Budget;
                match self.budget {
                    0 => "validation failed due to running out of cost budget, no further validation rules will be run"
                        .to_owned(),
                    _ => format!(
                        "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {name}"
                    ),
                }
            }
            Err(EvalError::Failed(why)) if why.starts_with("no such overload") => format!(
                "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {name}"
            ),
            Err(EvalError::Failed(why)) => format!("{why} evaluating rule: {name}"),
        };
        self.errors.push(Error::invalid(path, text(node.schema, "type"), why));
    }

    /// To a message, `oldSelf` is never optional, as in Kubernetes: one that reads it so fails, and another is taken.
    fn message(&mut self, rule: &Rule, selves: &Selves) -> String {
        let selves = Selves { own: selves.own.clone(), old: selves.old.clone(), optional: false };
        if let Some(program) = &rule.message
            && let Ok(Val::Text(made)) = program.eval(&selves, &mut self.budget)
        {
            let made = made.trim();
            if !made.is_empty() && !made.contains('\n') && made.len() <= LONGEST_MESSAGE {
                return made.to_owned();
            }
        }
        match text(&rule.source, "message").trim() {
            "" => format!("failed rule: {}", text(&rule.source, "rule").trim()),
            message => message.to_owned(),
        }
    }
}

/// The error of a part of which a rule does not hold.
fn refusal(rule: &Rule, node: Node<'_>, path: &Path, message: &str) -> Error {
    let path = rule.field.as_ref().map_or_else(|| path.clone(), |field| path.child(&field.to_string()));
    let plain = !matches!(node.value, Value::Object(_) | Value::Array(_));
    let shown = if plain { Shown::Value(node.value.clone()) } else { Shown::Omitted };
    match text(&rule.source, "reason") {
        "FieldValueRequired" => Error::required(&path, message),
        "FieldValueForbidden" => Error::forbidden(&path, message),
        "FieldValueDuplicate" => Error { value: shown, ..Error::duplicate(&path, Value::Null) },
        _ => Error { value: shown, kind: Kind::Invalid, ..Error::invalid(&path, Value::Null, message) },
    }
}
