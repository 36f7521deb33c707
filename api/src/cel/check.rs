//! Types of expressions, before they run.

use std::collections::HashMap;

use ::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, StructExpr,
};

use super::identifier::dotted_type;
use super::{Env, Type, Val, overloads};

mod fit;
mod together;

use fit::{fits, settled};

/// Finds the type of an expression and what is wrong with it.
pub(super) struct Checker<'e> {
    env: &'e Env,
    source: &'e SourceInfo,
    locals: Vec<(String, Type)>,
    /// Lists may hold values of different types: the arguments of `format` do.
    mixed: bool,
    /// Offset in bytes, and what is wrong there.
    pub errors: Vec<(u32, String)>,
    /// The types of all parts, by id.
    pub types: HashMap<u64, Type>,
    /// What is wrong, by id, if there are no errors: values of known and of unknown types together.
    pub unlike: Vec<(u64, String)>,
    /// What sums come to, by id, if there is nothing to add up.
    pub sums: HashMap<u64, Val>,
}

impl<'e> Checker<'e> {
    pub(super) fn new(env: &'e Env, source: &'e SourceInfo) -> Self {
        let (types, unlike, sums) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { env, source, locals: Vec::new(), mixed: false, errors: Vec::new(), types, unlike, sums }
    }

    pub(super) fn check(&mut self, expr: &IdedExpr) -> Type {
        let of = self.type_of(expr);
        self.types.insert(expr.id, of.clone());
        of
    }

    /// The place of a part in the expression's text, in bytes.
    pub(super) fn place(&self, id: u64) -> u32 {
        self.source.offset_for(id).map_or(0, |(start, _)| start)
    }

    fn type_of(&mut self, expr: &IdedExpr) -> Type {
        match &expr.expr {
            Expr::Unspecified => Type::Dyn,
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.ident(expr.id, name),
            Expr::Select(select) => self.select(expr.id, select),
            Expr::Call(call) => self.call(expr.id, call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Struct(made) => self.structure(expr.id, made),
            Expr::Comprehension(loops) => self.comprehension(loops),
        }
    }

    fn fail(&mut self, id: u64, why: String) -> Type {
        let at = self.place(id);
        self.errors.push((at, why));
        Type::Error
    }

    fn lookup(&self, name: &str) -> Option<Type> {
        let local = self.locals.iter().rev().find(|(own, _)| own == name).map(|(_, of)| of.clone());
        local.or_else(|| self.env.variable(name))
    }

    fn ident(&mut self, id: u64, name: &str) -> Type {
        let plain = name.trim_start_matches('.');
        match self.lookup(plain).or_else(|| Type::kind(plain)) {
            Some(of) => of,
            None => self.undeclared(id, plain),
        }
    }

    fn undeclared(&mut self, id: u64, name: &str) -> Type {
        self.fail(id, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn select(&mut self, id: u64, select: &SelectExpr) -> Type {
        if let Some((name, root)) = dotted_type(select)
            && self.lookup(root).is_none()
        {
            let of = match name {
                "google.protobuf.Timestamp" => Type::Time,
                "google.protobuf.Duration" => Type::Duration,
                library => Type::Named(library.to_owned()),
            };
            return Type::Kind(Box::new(of));
        }
        let operand = self.check(&select.operand);
        let found = self.field(id, &operand, &select.field);
        if select.test { Type::Bool } else { found }
    }

    fn field(&mut self, id: u64, operand: &Type, field: &str) -> Type {
        match operand {
            Type::Dyn | Type::Error | Type::Var(_) => Type::Dyn,
            Type::Map(_, value) => (**value).clone(),
            Type::Object(of) => match of.field(field) {
                Some(found) => found.clone(),
                None => self.fail(id, format!("undefined field '{field}'")),
            },
            Type::Named(name) if field == "requestResource" && name.ends_with(".Authorizer") => {
                Type::Named("kubernetes.authorization.ResourceCheck".into())
            }
            Type::Named(name) if name.starts_with("Object") || name == "JSONPatch" => Type::Dyn,
            Type::Optional(of) => {
                let found = self.field(id, of, field);
                Type::Optional(Box::new(found))
            }
            other => {
                self.fail(id, format!("type '{other}' does not support field selection"));
                Type::Dyn
            }
        }
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Type {
        if let Some(name) = self.qualified(call) {
            let arguments: Vec<Type> = call.args.iter().map(|arg| self.check(arg)).collect();
            return self.resolve(id, &name, None, &arguments);
        }
        let target = call.target.as_ref().map(|target| self.check(target));
        let mixed = std::mem::replace(&mut self.mixed, call.func_name == "format");
        let arguments: Vec<Type> = call.args.iter().map(|arg| self.check(arg)).collect();
        self.mixed = mixed;
        if call.func_name == "_?._" {
            return self.optional_select(id, call, &arguments);
        }
        if matches!(call.func_name.as_str(), "_&&_" | "_||_") {
            return self.booleans(&call.args, &arguments);
        }
        if let ("sum", Some(Type::List(of))) = (call.func_name.as_str(), &target) {
            self.sums.extend(nothing(of).map(|nothing| (id, nothing)));
        }
        self.resolve(id, &call.func_name, target.as_ref(), &arguments)
    }

    /// What `&&` and `||` join: each part is judged by itself.
    fn booleans(&mut self, parts: &[IdedExpr], types: &[Type]) -> Type {
        let mut joined = Type::Bool;
        for (part, found) in parts.iter().zip(types) {
            if !fits(&Type::Bool, found, &mut HashMap::new()) {
                joined = self.fail(part.id, format!("expected type 'bool' but found '{found}'"));
            }
        }
        joined
    }

    fn optional_select(&mut self, id: u64, call: &CallExpr, arguments: &[Type]) -> Type {
        let field = match call.args.get(1).map(|arg| &arg.expr) {
            Some(Expr::Literal(LiteralValue::String(text))) => text.inner().to_owned(),
            _ => return Type::Optional(Box::new(Type::Dyn)),
        };
        let operand = match arguments.first() {
            Some(Type::Optional(of)) => (**of).clone(),
            Some(of) => of.clone(),
            None => Type::Dyn,
        };
        let found = self.field(id, &operand, &field);
        Type::Optional(Box::new(found))
    }

    /// `sets.contains(a, b)`: a function whose name has a dot.
    fn qualified(&self, call: &CallExpr) -> Option<String> {
        let Some(Expr::Ident(space)) = call.target.as_ref().map(|target| &target.expr) else { return None };
        let name = format!("{space}.{}", call.func_name);
        let known = overloads::of(&name).is_some_and(|all| all.iter().any(|overload| !overload.member));
        // What escapes keys is there for those who make patches.
        let known = known && (space != "jsonpatch" || self.env.constructs("JSONPatch"));
        (known && self.lookup(space).is_none()).then_some(name)
    }

    fn resolve(&mut self, id: u64, name: &str, target: Option<&Type>, arguments: &[Type]) -> Type {
        let Some(all) = overloads::of(name) else { return self.undeclared(id, name) };
        let given: Vec<Type> = target.into_iter().chain(arguments).cloned().collect();
        let fitting: Vec<Type> = all
            .iter()
            .filter(|overload| overload.member == target.is_some() && overload.parameters.len() == given.len())
            .filter_map(|overload| {
                let mut bound = HashMap::new();
                let fits =
                    overload.parameters.iter().zip(&given).all(|(wanted, found)| fits(wanted, found, &mut bound));
                fits.then(|| settled(&overload.result, &bound))
            })
            .collect();
        match fitting.as_slice() {
            [] => {
                let mut arguments = arguments.to_vec();
                // What a macro has put together so far is a list of what it adds.
                if let ("_?_:_", [_, added @ Type::List(_), before]) = (name, arguments.as_mut_slice())
                    && *before == Type::list(Type::Dyn)
                {
                    *before = added.clone();
                }
                let shown = |types: &[Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let applied = match target {
                    Some(target) => format!("{target}.({})", shown(&arguments)),
                    None => format!("({})", shown(&arguments)),
                };
                self.fail(id, format!("found no matching overload for '{name}' applied to '{applied}'"))
            }
            [first, rest @ ..] if rest.iter().all(|other| other == first) => first.clone(),
            _ => Type::Dyn,
        }
    }

    fn structure(&mut self, id: u64, made: &StructExpr) -> Type {
        for entry in &made.entries {
            let EntryExpr::StructField(field) = &entry.expr else { continue };
            let mut found = self.check(&field.value);
            if field.optional {
                found = self.unwrapped(found, field.value.id);
            }
            let Some(wanted) = wanted(&made.type_name, &field.field) else { continue };
            if !matches!(found, Type::Dyn | Type::Error | Type::Var(_)) && wanted != found.to_string() {
                let name = &field.field;
                let why = format!("expected type of field '{name}' is '{wanted}' but provided type is '{found}'");
                self.fail(entry.id, why);
            }
        }
        let root = made.type_name.split('.').next().unwrap_or_default();
        if self.env.constructs(root) {
            return Type::Named(made.type_name.clone());
        }
        self.undeclared(id, &made.type_name)
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Type {
        let range = self.check(&loops.iter_range);
        let (first, second) = match &range {
            Type::List(of) if loops.iter_var2.is_some() => (Type::Int, (**of).clone()),
            Type::List(of) => ((**of).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error => (Type::Dyn, Type::Dyn),
            other => {
                let why = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                (self.fail(loops.iter_range.id, why), Type::Error)
            }
        };
        let start = self.check(&loops.accu_init);
        let depth = self.locals.len();
        self.locals.push((loops.accu_var.clone(), start.clone()));
        self.locals.push((loops.iter_var.clone(), first));
        if let Some(name) = &loops.iter_var2 {
            self.locals.push((name.clone(), second));
        }
        self.check(&loops.loop_cond);
        let step = self.check(&loops.loop_step);
        self.locals.truncate(depth);
        let accumulated = match (&start, &step) {
            (Type::List(of), Type::List(_)) if **of == Type::Dyn => step,
            (Type::Map(..), Type::Map(..)) => step,
            _ => start,
        };
        self.locals.push((loops.accu_var.clone(), accumulated));
        let result = self.check(&loops.result);
        self.locals.truncate(depth);
        result
    }
}

/// The type of a field of an operation, the one type whose fields have types of their own; a field that it does not
/// have is of a type without a name. `None` is any.
fn wanted(made: &str, field: &str) -> Option<&'static str> {
    match field {
        _ if made != "JSONPatch" => None,
        "op" | "path" | "from" => Some("string"),
        "value" => None,
        _ => Some(""),
    }
}

/// The sum of no values of a type. Where only the run tells the type it is that of whole numbers.
fn nothing(of: &Type) -> Option<Val> {
    match of {
        Type::Duration => Some(Val::Duration(0)),
        Type::Double => Some(Val::Double(0.0)),
        Type::Uint => Some(Val::Uint(0)),
        _ => None,
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}
