//! Expressions that choose among devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::resource::v1::{Device, DeviceAttribute};
use serde_json::{Value, json};

use crate::cel::{ALIKE, CALL_BUDGET, CompileError, Env, EvalError, KEYS, Key, Limits, Program, Scope, Type, Val};
use crate::quantity::Quantity;

/// What the expressions may use.
fn environment() -> Env {
    let of_domain = |of: Type| Type::map(Type::map(of));
    let device = Type::object(
        "kubernetes.DRADevice",
        [
            ("driver".to_owned(), Type::Text),
            ("attributes".to_owned(), of_domain(Type::Dyn)),
            ("capacity".to_owned(), of_domain(Type::Named("kubernetes.Quantity".into()))),
            ("allowMultipleAllocations".to_owned(), Type::Bool),
        ],
    );
    Env::new([("device".to_owned(), device)]).binding()
}

/// How large the parts of a device can be.
fn bounds() -> Value {
    // Of texts of bytes a schema says how many bytes there are.
    let text = |most: u8| json!({"type": "string", "format": "byte", "maxLength": most});
    let map = |keys: u8, of: Value| {
        let keys = text(keys);
        json!({"type": "object", "maxProperties": 32, KEYS: keys, "additionalProperties": of})
    };
    let mut attributes = map(32, text(64));
    attributes[ALIKE] = true.into();
    // Amounts and truths have no size.
    let (amounts, truth) = (map(32, json!({"type": "integer"})), json!({"type": "boolean"}));
    json!({"type": "object", "properties": {
        "driver": text(63), "attributes": map(63, attributes), "capacity": map(63, amounts),
        "allowMultipleAllocations": truth,
    }})
}

/// A compiled expression.
#[derive(Debug)]
pub struct Selector(Program);

/// What is known of an expression before it runs.
#[derive(Debug)]
pub struct Outlook {
    /// What it gives.
    pub output: Type,
    /// It may take too long.
    pub too_costly: bool,
}

impl Selector {
    /// Compiles an expression.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile(expression: &str) -> Result<Self, CompileError> {
        Program::compile(expression, &environment()).map(Self)
    }

    /// What is known of an expression that is to be compiled.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn outlook(expression: &str) -> Result<Outlook, CompileError> {
        let (program, cost) = Program::measured(expression, &environment(), &bounds())?;
        Ok(Outlook { output: program.output().clone(), too_costly: cost > Limits::DEVICES })
    }

    /// Whether the expression chooses a driver's device.
    ///
    /// # Errors
    /// What fails in the expression, or that it takes too long.
    pub fn selects(&self, driver: &str, device: &Device) -> Result<bool, EvalError> {
        let mut seen = Seen::new(driver, device);
        loop {
            let mut budget = CALL_BUDGET;
            match self.0.eval(&seen, &mut budget) {
                Ok(Val::Bool(chosen)) => return Ok(chosen),
                Ok(_) => return Err(EvalError::Failed("the expression does not give a boolean".to_owned())),
                Err(EvalError::Failed(why)) if seen.has_empty_domain(&why) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Domain and name lead to a value.
type Domains = BTreeMap<Key, BTreeMap<Key, Val>>;

/// A device as expressions see it.
struct Seen {
    driver: Val,
    attributes: Domains,
    capacity: Domains,
    several: Val,
}

impl Seen {
    fn new(driver: &str, device: &Device) -> Self {
        let attributes = device.attributes.iter().flatten();
        let capacity = device.capacity.iter().flatten();
        let amount = |text: &str| Quantity::parse(text).ok().map(|amount| Val::Quantity(Arc::new(amount)));
        Self {
            driver: Val::text(driver),
            attributes: domains(driver, attributes.filter_map(|(name, of)| Some((name, attribute(of)?)))),
            capacity: domains(driver, capacity.filter_map(|(name, of)| Some((name, amount(&of.value.0)?)))),
            several: Val::Bool(device.allow_multiple_allocations == Some(true)),
        }
    }

    /// A domain of which the device has nothing is an empty one, not an error. Whether the failure was about one that
    /// was not known to be empty; it is from now on.
    fn has_empty_domain(&mut self, failure: &str) -> bool {
        let Some(key) = failure.strip_prefix("no such key: ") else { return false };
        let key = text(key);
        let known = self.attributes.contains_key(&key) && self.capacity.contains_key(&key);
        self.attributes.entry(key.clone()).or_default();
        self.capacity.entry(key).or_default();
        !known
    }
}

impl Scope for Seen {
    fn variable(&self, name: &str) -> Option<Val> {
        let fields = [
            (text("driver"), self.driver.clone()),
            (text("attributes"), of_domains(&self.attributes)),
            (text("capacity"), of_domains(&self.capacity)),
            (text("allowMultipleAllocations"), self.several.clone()),
        ];
        (name == "device").then(|| Val::Map(Arc::new(BTreeMap::from(fields))))
    }
}

fn text(text: &str) -> Key {
    Key::Text(Arc::from(text))
}

fn of_domains(domains: &Domains) -> Val {
    let values = domains.iter().map(|(domain, names)| (domain.clone(), Val::Map(Arc::new(names.clone()))));
    Val::Map(Arc::new(values.collect()))
}

/// Names without a domain are the driver's own.
fn domains<'a>(driver: &str, values: impl Iterator<Item = (&'a String, Val)>) -> Domains {
    let mut domains = Domains::new();
    for (name, value) in values {
        let (domain, name) = name.split_once('/').unwrap_or((driver, name.as_str()));
        domains.entry(text(domain)).or_default().insert(text(name), value);
    }
    domains
}

fn attribute(of: &DeviceAttribute) -> Option<Val> {
    if let Some(version) = &of.version {
        return version_of(version).map(|version| Val::Semver(Arc::new(version)));
    }
    let plain = of.int.map(Val::Int).or(of.bool.map(Val::Bool));
    plain.or_else(|| of.string.as_ref().map(Val::text))
}

/// `1.2.3-rc.1+build` as three numbers and what follows them.
fn version_of(text: &str) -> Option<(u64, u64, u64, String)> {
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at_checked(end)?;
    let mut numbers = core.split('.').map(|part| part.parse().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??, rest.to_owned());
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        serde_json::from_value(json!({"name": "gpu-0", "attributes": {
            "model": {"string": "a100"}, "cores": {"int": 8}, "other.example.com/numa": {"int": 1},
            "version": {"version": "1.2.3-rc.1"},
        }, "capacity": {"memory": {"value": "40Gi"}}}))
        .unwrap()
    }

    fn selects(expression: &str) -> Result<bool, EvalError> {
        Selector::compile(expression).unwrap().selects("d.example.com", &device())
    }

    #[test]
    fn names_without_a_domain_are_the_drivers() {
        for expression in [
            "device.driver == 'd.example.com'",
            "device.attributes['d.example.com'].model == 'a100' && device.attributes['d.example.com'].cores > 4",
            "device.attributes['other.example.com'].numa == 1",
            "device.capacity['d.example.com'].memory.compareTo(quantity('20Gi')) > 0",
            "device.attributes['d.example.com'].version.isLessThan(semver('1.2.3'))",
            "!device.allowMultipleAllocations",
            "cel.bind(own, device.attributes['d.example.com'], own.model == 'a100' && own.cores == 8)",
        ] {
            assert_eq!(selects(expression), Ok(true), "{expression}");
        }
    }

    #[test]
    fn expressions_cost_by_what_devices_can_have() {
        for (expression, cost) in [
            ("true", 0.0),
            ("'no-such-domain' in device.attributes", 3.0),
            ("device.driver == ''", 2.0),
            ("device.driver == 'dra.example.com'", 4.0),
            ("device.attributes['dra.example.com'].name", 4.0),
            ("device.attributes['dra.example.com']['name']", 4.0),
            ("device.attributes['dra.example.com'].name == 'fish'", 5.0),
            ("device.attributes['a'].b.isGreaterThan(quantity('0'))", 6.0),
            ("cel.bind(dra, device.attributes['dra.example.com'], dra.name)", 15.0),
            ("device.attributes['a'].name.exists(x, x > 0)", 5.0 + 6.0 * 64.0),
            ("device.attributes['a'].names.all(x, x != '')", 5.0 + 4.0 * 64.0),
        ] {
            let (_, found) = Program::measured(expression, &environment(), &bounds()).unwrap();
            assert_eq!(found, cost, "{expression}");
        }
    }

    #[test]
    fn what_may_take_too_long_is_known_beforehand() {
        let nested = (0..7)
            .fold("true".to_owned(), |inner, turn| format!("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(x{turn}, {inner})"));
        let costly = |expression: &str| Selector::outlook(expression).unwrap().too_costly;
        assert!(costly(&nested));
        assert!(!costly("device.attributes.all(k, device.attributes[k].all(l, l.contains('a')))"));
    }

    #[test]
    fn unknown_domains_are_empty_and_unknown_names_fail() {
        assert_eq!(selects("has(device.attributes['no.example.com'].model)"), Ok(false));
        assert!(selects("device.attributes['d.example.com'].nothing == 1").is_err());
        assert!(selects("device.attributes['no.example.com'].model == 'a'").is_err());
    }
}
