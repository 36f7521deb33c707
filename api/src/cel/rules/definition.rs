//! Rules as a definition has them: what is wrong with their expressions, and what they say of its defaults.

use serde_json::Value;

use super::{RuleSet, environment};
use crate::cel::cost::{Limits, estimate, times_below};
use crate::cel::sizes::Sizes;
use crate::cel::{Env, Program, Type, type_of_schema};
use crate::field::{Error, ErrorList, Path, go_json};
use crate::schema::{additional, is_embedded, items, properties, rules_of, text};

/// Rules that are named where all together cost too much.
const MOST_COSTLY: usize = 4;

/// What is wrong with the rules of a definition's schema, which stands at `path`. Where the schema itself is wrong, as
/// `found` tells, rules are not looked at.
#[must_use]
pub fn rule_errors(schema: &Value, path: &Path, found: &ErrorList) -> ErrorList {
    let sizes = Sizes::default();
    let mut wrong: Vec<&str> = found.iter().map(|error| error.field.as_str()).collect();
    wrong.sort_unstable();
    let mut checker = RuleChecker { wrong, sizes: &sizes, errors: ErrorList::new(), total: 0.0, costly: Vec::new() };
    checker.node(schema, path, &Place { root: true, within: None, times: Some(1.0) });
    checker.finish(path)
}

/// What the rules of a schema say of the defaults in it.
#[must_use]
pub fn default_errors(schema: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    defaults(schema, path, true, &mut errors);
    errors
}

fn defaults(schema: &Value, path: &Path, root: bool, errors: &mut ErrorList) {
    let root = root || is_embedded(schema);
    if let Some(default) = schema.get("default").filter(|default| !default.is_null())
        && let Some(set) = RuleSet::node(schema, root)
    {
        errors.extend(set.errors_of_default(default, schema, root, &path.child("default")));
    }
    if let Some(of) = items(schema) {
        defaults(of, &path.child("items"), false, errors);
    }
    for (name, of) in properties(schema).into_iter().flatten() {
        defaults(of, &path.child("properties").key(name), false, errors);
    }
}

/// Where a node of a schema is.
#[derive(Clone)]
struct Place {
    root: bool,
    /// The list around it whose elements cannot be told apart.
    within: Option<Path>,
    /// How often it can occur, if that is bounded.
    times: Option<f64>,
}

impl Place {
    fn below(&self, schema: &Value) -> Self {
        // Were it infinite, what costs nothing would cost what is no number.
        let times = self.times.zip(times_below(schema)).map(|(times, more)| (times * more).min(f64::MAX));
        Self { root: false, within: self.within.clone(), times }
    }
}

struct RuleChecker<'e> {
    /// The fields that are wrong by themselves, sorted.
    wrong: Vec<&'e str>,
    sizes: &'e Sizes,
    errors: ErrorList,
    total: f64,
    costly: Vec<(f64, Path)>,
}

impl RuleChecker<'_> {
    fn node(&mut self, schema: &Value, path: &Path, place: &Place) {
        let below = place.below(schema);
        if let Some(of) = additional(schema) {
            self.node(of, &path.child("additionalProperties"), &below);
        }
        for (name, of) in properties(schema).into_iter().flatten() {
            self.node(of, &path.child("properties").key(name), &below);
        }
        if let Some(of) = items(schema) {
            let told_apart = text(schema, "x-kubernetes-list-type") == "map";
            let within = below.within.clone().or_else(|| (!told_apart).then(|| path.clone()));
            self.node(of, &path.child("items"), &Place { within, ..below });
        }
        if rules_of(schema).is_empty() || self.is_wrong(path) {
            return;
        }
        let at = path.child("x-kubernetes-validations");
        let Some(own) = type_of_schema(schema, place.root) else {
            let why = "internal error: failed to retrieve type information for x-kubernetes-validations";
            return self.errors.push(Error::internal(&at, why));
        };
        for (index, rule) in rules_of(schema).iter().enumerate() {
            self.rule(rule, (schema, &own), &at.index(index), place);
        }
    }

    /// Whether the schema at a path, or below it, is wrong by itself.
    fn is_wrong(&self, path: &Path) -> bool {
        let path = path.to_string();
        let begins = |with: &str| {
            let first = self.wrong.partition_point(|field| *field < with);
            self.wrong.get(first).is_some_and(|field| field.starts_with(with))
        };
        self.wrong.binary_search(&path.as_str()).is_ok()
            || [".", "["].iter().any(|sign| begins(&format!("{path}{sign}")))
    }

    fn rule(&mut self, rule: &Value, (schema, own): (&Value, &Type), path: &Path, place: &Place) {
        let expression = text(rule, "rule");
        let optional = rule.get("optionalOldSelf").filter(|optional| !optional.is_null());
        let env = environment(own, optional == Some(&Value::Bool(true)));
        let at = path.child("rule");
        let compiled = Program::checked(expression, &env);
        match &compiled {
            Err(error) => self.invalid_rule(rule, &at, format!("compilation failed: {error}")),
            Ok((program, _)) if *program.output() != Type::Bool => {
                self.invalid_rule(rule, &at, "cel expression must evaluate to a bool".to_owned());
            }
            Ok((program, types)) => match program.unready() {
                Some(why) => self.invalid_rule(rule, &at, format!("program instantiation failed: {why}")),
                None => {
                    let times = place.times.unwrap_or_else(|| self.sizes.occurrences(schema));
                    let cost = estimate(self.sizes, (program, types), (schema, place.root)) * times;
                    self.cost("estimated rule cost", cost.min(Limits::LARGEST), &at);
                    self.message_expression(rule, (schema, place.root), &env, path);
                }
            },
        }
        // What is no condition is not looked at for what it mentions.
        if !compiled.is_ok_and(|(program, _)| *program.output() == Type::Bool && program.mentions("oldSelf")) {
            if let Some(optional) = optional {
                let why = "may not be set if oldSelf is not used in rule";
                self.errors.push(Error::invalid(&path.child("optionalOldSelf"), optional.clone(), why));
            }
        } else if let Some(within) = &place.within {
            let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {within}");
            self.errors.push(Error::invalid(&at, expression, why));
        }
    }

    fn invalid_rule(&mut self, rule: &Value, at: &Path, why: String) {
        self.errors.push(Error::invalid_text(at, shown(rule), why));
    }

    fn message_expression(&mut self, rule: &Value, of: (&Value, bool), env: &Env, path: &Path) {
        let expression = text(rule, "messageExpression");
        if expression.is_empty() {
            return;
        }
        let at = path.child("messageExpression");
        match Program::checked(expression, env) {
            Err(error) => self.invalid_rule(rule, &at, format!("messageExpression compilation failed: {error}")),
            Ok((program, _)) if *program.output() != Type::Text => {
                self.invalid_rule(rule, &at, "messageExpression must evaluate to a string".to_owned());
            }
            Ok((program, types)) => match program.unready() {
                Some(why) => self.invalid_rule(rule, &at, format!("messageExpression instantiation failed: {why}")),
                None => {
                    let cost = estimate(self.sizes, (&program, &types), of);
                    self.cost("estimated messageExpression cost", cost, &at);
                }
            },
        }
    }

    fn cost(&mut self, what: &str, cost: f64, at: &Path) {
        if cost > Limits::RULE {
            self.errors.push(Error::forbidden(at, excess(what, cost, Limits::RULE)));
        }
        self.total += cost;
        if cost >= Limits::SCHEMA / 100.0 {
            self.costly.push((cost, at.clone()));
        }
    }

    fn finish(mut self, path: &Path) -> ErrorList {
        if self.total > Limits::SCHEMA {
            self.costly.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            for (_, at) in self.costly.iter().take(MOST_COSTLY) {
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
