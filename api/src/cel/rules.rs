//! `x-kubernetes-validations`: rules of a schema, checked with the definition and run on its objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::cost::{Limits, estimate, most_elements};
use super::schema::{type_of_schema, value_of_schema};
use super::{Env, EvalError, Program, Scope, Type, Val};
use crate::field::{Error, ErrorList, Kind, Path, Shown, go_json};
use crate::schema::{additional, items, member, properties, same_item, text};

/// Steps that all rules of one object may take together.
const OBJECT_BUDGET: u64 = 20_000_000;
/// Characters of a message that an expression makes, at the most.
const LONGEST_MESSAGE: usize = 5 << 10;

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

fn rules_of(schema: &Value) -> &[Value] {
    schema.get("x-kubernetes-validations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn environment(schema: &Value, root: bool, optional_old: bool) -> Option<Env> {
    let own = type_of_schema(schema, root)?;
    let old = if optional_old { Type::Optional(Box::new(own.clone())) } else { own.clone() };
    Some(Env::new([("self".to_owned(), own), ("oldSelf".to_owned(), old)]))
}

/// What is wrong with the rules of a definition's schema, which stands at `path`.
#[must_use]
pub fn rule_errors(schema: &Value, path: &Path) -> ErrorList {
    let mut checker = RuleChecker { errors: ErrorList::new(), total: 0.0, costly: Vec::new() };
    checker.node(schema, path, true, None, 1.0);
    checker.finish(path)
}

struct RuleChecker {
    errors: ErrorList,
    total: f64,
    costly: Vec<(f64, Path)>,
}

impl RuleChecker {
    /// `uncorrelated` is the list whose elements cannot be told apart; `times` how often the node can occur.
    fn node(&mut self, schema: &Value, path: &Path, root: bool, uncorrelated: Option<&Path>, times: f64) {
        for (index, rule) in rules_of(schema).iter().enumerate() {
            let path = path.child("x-kubernetes-validations").index(index);
            self.rule(rule, schema, &path, root, uncorrelated, times);
        }
        for (name, of) in properties(schema).into_iter().flatten() {
            self.node(of, &path.child("properties").key(name), false, uncorrelated, times);
        }
        if let Some(of) = additional(schema) {
            self.node(of, &path.child("additionalProperties"), false, uncorrelated, times * most_elements(schema));
        }
        if let Some(of) = items(schema) {
            let told_apart = text(schema, "x-kubernetes-list-type") == "map";
            let within = uncorrelated.or((!told_apart).then_some(path));
            self.node(of, &path.child("items"), false, within, times * most_elements(schema));
        }
    }

    fn rule(&mut self, rule: &Value, schema: &Value, path: &Path, root: bool, within: Option<&Path>, times: f64) {
        let expression = text(rule, "rule");
        let at = path.child("rule");
        if expression.trim().is_empty() {
            self.errors.push(Error::required(&at, "rule is not specified"));
        }
        self.words(rule, path);
        self.reason(rule, schema, path);
        if expression.trim().is_empty() {
            return;
        }
        let optional = rule.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or_default();
        let Some(env) = environment(schema, root, optional) else { return };
        match Program::compile(expression, &env) {
            Err(error) => self.invalid_rule(rule, &at, format!("compilation failed: {error}")),
            Ok(program) if !matches!(program.output(), Type::Bool | Type::Dyn) => {
                self.invalid_rule(rule, &at, "cel expression must evaluate to a bool".to_owned());
            }
            Ok(program) => {
                if let Some(within) = within.filter(|_| program.mentions("oldSelf")) {
                    let why =
                        format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {within}");
                    self.errors.push(Error::invalid(&at, expression, why));
                }
                self.cost(estimate(&program, schema) * times, &at);
            }
        }
        self.message_expression(rule, &env, path);
    }

    fn invalid_rule(&mut self, rule: &Value, at: &Path, why: String) {
        self.errors.push(Error::invalid_text(at, shown(rule), why));
    }

    fn message_expression(&mut self, rule: &Value, env: &Env, path: &Path) {
        let expression = text(rule, "messageExpression");
        if expression.is_empty() {
            return;
        }
        let at = path.child("messageExpression");
        match Program::compile(expression, env) {
            Err(error) => {
                let why = format!("messageExpression compilation failed: {error}");
                self.errors.push(Error::invalid_text(&at, shown(rule), why));
            }
            Ok(program) if !matches!(program.output(), Type::Text | Type::Dyn) => {
                let why = "messageExpression must evaluate to a string".to_owned();
                self.errors.push(Error::invalid_text(&at, shown(rule), why));
            }
            Ok(_) => {}
        }
    }

    fn words(&mut self, rule: &Value, path: &Path) {
        let (message, at) = (text(rule, "message"), path.child("message"));
        if !message.is_empty() && message.trim().is_empty() {
            self.errors.push(Error::invalid(&at, message, "message must be non-empty if specified"));
        } else if message.trim().contains('\n') {
            self.errors.push(
                Error::invalid(&at, message, "message must not contain line breaks")
                    .with_detail("must not contain line breaks"),
            );
        } else if message.is_empty() && text(rule, "rule").trim().contains('\n') {
            self.errors.push(Error::required(&at, "message must be specified if rule contains line breaks"));
        }
    }

    fn reason(&mut self, rule: &Value, schema: &Value, path: &Path) {
        if let Some(reason) = rule.get("reason").and_then(Value::as_str).filter(|reason| !REASONS.contains(reason)) {
            self.errors.push(Error::not_supported(&path.child("reason"), reason, &REASONS));
        }
        let field = text(rule, "fieldPath");
        if !field.is_empty() && !is_path(schema, field) {
            self.errors.push(Error::invalid(&path.child("fieldPath"), field, "must be a valid path"));
        }
    }

    fn cost(&mut self, cost: f64, at: &Path) {
        if cost > Limits::RULE {
            let why = excess("estimated rule cost", cost, Limits::RULE);
            self.errors.push(Error::forbidden(at, why));
        }
        self.total += cost;
        self.costly.push((cost, at.clone()));
    }

    fn finish(mut self, path: &Path) -> ErrorList {
        if self.total > Limits::SCHEMA {
            for (_, at) in self.costly.iter().filter(|(cost, _)| *cost > Limits::SCHEMA / 100.0) {
                let why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
                self.errors.push(Error::forbidden(at, why));
            }
            let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
            self.errors.push(Error::forbidden(path, excess(what, self.total, Limits::SCHEMA)));
        }
        self.errors
    }
}

fn excess(what: &str, cost: f64, limit: f64) -> String {
    let factor = cost / limit;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// A rule as Kubernetes prints it, in its internal form.
fn shown(rule: &Value) -> String {
    let parts = [
        ("Rule", Value::from(text(rule, "rule"))),
        ("Message", text(rule, "message").into()),
        ("MessageExpression", text(rule, "messageExpression").into()),
        ("Reason", rule.get("reason").cloned().unwrap_or_default()),
        ("FieldPath", text(rule, "fieldPath").into()),
        ("OptionalOldSelf", rule.get("optionalOldSelf").cloned().unwrap_or_default()),
    ];
    let parts: Vec<String> = parts.iter().map(|(name, value)| format!("\"{name}\":{}", go_json(value))).collect();
    format!("{{{}}}", parts.join(","))
}

/// The steps of `.a.b['c.d']`; `None` if it is no such path.
fn steps(path: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let (name, after) = quoted.split_once("']")?;
            out.push(name.to_owned());
            rest = after;
        } else {
            let name = rest.strip_prefix('.')?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            out.push(name[..end].to_owned());
            rest = &name[end..];
        }
    }
    Some(out)
}

fn is_path(schema: &Value, path: &str) -> bool {
    let Some(steps) = steps(path) else { return false };
    steps.iter().try_fold(schema, |schema, step| member(schema, step)).is_some()
}

/// A compiled rule.
#[derive(Debug)]
struct Rule {
    source: Value,
    program: Program,
    message: Option<Program>,
    transition: bool,
    optional_old: bool,
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
        let rules: Vec<Rule> = rules_of(schema).iter().filter_map(|rule| compiled(rule, schema, root)).collect();
        let below = properties(schema).into_iter().flatten();
        let properties: BTreeMap<String, RuleSet> =
            below.filter_map(|(name, of)| Some((name.clone(), Self::node(of, false)?))).collect();
        let boxed = |of: Option<&Value>| of.and_then(|of| Self::node(of, false)).map(Box::new);
        let (values, items) = (boxed(additional(schema)), boxed(items(schema)));
        let empty = rules.is_empty() && properties.is_empty() && values.is_none() && items.is_none();
        (!empty).then_some(Self { rules, properties, values, items })
    }

    /// The errors of an object by its rules.
    #[must_use]
    pub fn errors(&self, object: &Value, old: Option<&Value>, schema: &Value) -> ErrorList {
        let mut run = Checking { errors: ErrorList::new(), budget: OBJECT_BUDGET, over: false };
        run.node(self, object, old, schema, &Path::nil(), true);
        run.errors
    }

    /// The errors of one field of the root, for writes that can change nothing else.
    #[must_use]
    pub fn field_errors(&self, field: &str, object: &Value, old: Option<&Value>, schema: &Value) -> ErrorList {
        let mut run = Checking { errors: ErrorList::new(), budget: OBJECT_BUDGET, over: false };
        if let (Some(set), Some(value), Some(of)) =
            (self.properties.get(field), object.get(field), member(schema, field))
        {
            run.node(set, value, old.and_then(|old| old.get(field)), of, &Path::new(field), false);
        }
        run.errors
    }
}

fn compiled(rule: &Value, schema: &Value, root: bool) -> Option<Rule> {
    let optional_old = rule.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or_default();
    let env = environment(schema, root, optional_old)?;
    let program = Program::compile(text(rule, "rule"), &env).ok()?;
    let message = Some(text(rule, "messageExpression")).filter(|text| !text.is_empty());
    Some(Rule {
        transition: program.mentions("oldSelf"),
        message: message.and_then(|text| Program::compile(text, &env).ok()),
        program,
        optional_old,
        source: rule.clone(),
    })
}

struct Checking {
    errors: ErrorList,
    budget: u64,
    over: bool,
}

/// `self` and `oldSelf`.
struct Selves {
    own: Val,
    old: Option<Val>,
}

impl Scope for Selves {
    fn variable(&self, name: &str) -> Option<Val> {
        match name {
            "self" => Some(self.own.clone()),
            "oldSelf" => self.old.clone(),
            _ => None,
        }
    }
}

impl Checking {
    fn node(&mut self, set: &RuleSet, value: &Value, old: Option<&Value>, schema: &Value, path: &Path, root: bool) {
        if value.is_null() {
            return;
        }
        self.rules(set, value, old, schema, path, root);
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let below = old.and_then(|old| old.get(name));
                    let declared = properties(schema).and_then(|all| all.get(name));
                    if let (Some(of), Some(set)) = (declared, set.properties.get(name)) {
                        self.node(set, value, below, of, &path.child(name), false);
                    } else if let (None, Some(of), Some(set)) = (declared, additional(schema), &set.values) {
                        self.node(set, value, below, of, &path.key(name), false);
                    }
                }
            }
            Value::Array(list) => {
                let (Some(of), Some(set)) = (items(schema), &set.items) else { return };
                for (index, value) in list.iter().enumerate() {
                    self.node(set, value, same_item(schema, value, old), of, &path.index(index), false);
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, set: &RuleSet, value: &Value, old: Option<&Value>, schema: &Value, path: &Path, root: bool) {
        if set.rules.is_empty() {
            return;
        }
        let own = value_of_schema(value, schema, root);
        let before = old.map(|old| value_of_schema(old, schema, root));
        for rule in &set.rules {
            if self.over || (rule.transition && !rule.optional_old && before.is_none()) {
                continue;
            }
            if !rule.transition && old == Some(value) {
                continue;
            }
            let seen =
                if rule.optional_old { Some(Val::Optional(before.clone().map(Arc::new))) } else { before.clone() };
            let selves = Selves { own: own.clone(), old: seen };
            self.rule(rule, &selves, value, schema, path);
        }
    }

    fn rule(&mut self, rule: &Rule, selves: &Selves, value: &Value, schema: &Value, path: &Path) {
        let kind = text(schema, "type");
        let name = Some(text(&rule.source, "message")).filter(|text| !text.is_empty());
        let name = name.unwrap_or_else(|| text(&rule.source, "rule"));
        match rule.program.eval(selves, &mut self.budget) {
            Ok(Val::Bool(true)) => {}
            Ok(_) => {
                let message = self.message(rule, selves);
                self.refuse(rule, value, path, &message);
            }
            Err(EvalError::Budget) => {
                self.over = true;
                let why = if self.budget == 0 {
                    "validation failed due to running out of cost budget, no further validation rules will be run"
                        .to_owned()
                } else {
                    format!(
                        "call cost exceeds limit for rule: {name}, no further validation rules will be run due to call cost exceeds limit for rule: {name}"
                    )
                };
                self.errors.push(Error::invalid(path, kind, why));
            }
            Err(EvalError::Failed(why)) => {
                let why = format!("{why} evaluating rule: {name}");
                self.errors.push(Error::invalid(path, kind, why));
            }
        }
    }

    fn message(&mut self, rule: &Rule, selves: &Selves) -> String {
        if let Some(program) = &rule.message
            && let Ok(Val::Text(made)) = program.eval(selves, &mut self.budget)
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

    fn refuse(&mut self, rule: &Rule, value: &Value, path: &Path, message: &str) {
        let place = steps(text(&rule.source, "fieldPath")).unwrap_or_default();
        let path = place.iter().fold(path.clone(), |path, step| path.child(step));
        let plain = !matches!(value, Value::Object(_) | Value::Array(_));
        let shown = if plain { Shown::Value(value.clone()) } else { Shown::Omitted };
        let error = match text(&rule.source, "reason") {
            "FieldValueRequired" => Error::required(&path, message),
            "FieldValueForbidden" => Error::forbidden(&path, message),
            "FieldValueDuplicate" => Error { value: shown, ..Error::duplicate(&path, Value::Null) },
            _ => Error { value: shown, kind: Kind::Invalid, ..Error::invalid(&path, Value::Null, message) },
        };
        self.errors.push(error);
    }
}
