//! `variables`: what expressions of a policy have given names to, for those that come after them.

use std::sync::Arc;

use super::{Env, Type};

const NAME: &str = "variables";
/// Lists and maps that are kept in one another: every variable may be a list of the one before it.
const DEEPEST: usize = 100;

impl Env {
    /// Also declares `variables`, which have no fields yet.
    #[must_use]
    pub fn composing(self) -> Self {
        let (name, of) = empty();
        self.with(&name, of)
    }

    /// Adds to `variables` what an expression evaluates to, in place of a field of the same name. The first declares them.
    ///
    /// Their type grows where it is: there may be tens of thousands of them, each of which is checked knowing all
    /// before it.
    pub fn compose(&mut self, name: &str, of: Type) {
        let found = kept(&of, DEEPEST);
        // It may be the type of `variables` themselves, which nobody else may hold while it grows.
        drop(of);
        if self.variable(NAME).is_none() {
            self.variables.push(empty());
        }
        let own = self.variables.iter_mut().find(|(own, _)| own == NAME);
        if let Some((_, Type::Object(fields))) = own {
            Arc::make_mut(fields).fields.insert(name.to_owned(), found);
        }
    }
}

fn empty() -> (String, Type) {
    (NAME.to_owned(), Type::object("kubernetes.variables", []))
}

/// What a variable keeps of its expression's type: all but objects, types of libraries, and what has no room.
fn kept(of: &Type, room: usize) -> Type {
    let inner = |of: &Type| room.checked_sub(1).map_or(Type::Dyn, |room| kept(of, room));
    match of {
        Type::List(of) => Type::list(inner(of)),
        Type::Map(key, value) => Type::Map(Box::new(inner(key)), Box::new(inner(value))),
        Type::Object(_) | Type::Named(_) | Type::Optional(_) | Type::Kind(_) | Type::Var(_) => Type::Dyn,
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{ObjectType, Program};

    fn address(env: &Env) -> *const ObjectType {
        match env.variable(NAME) {
            Some(Type::Object(of)) => Arc::as_ptr(&of),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn variables_grow_without_being_copied() {
        let mut env = Env::new([("x".to_owned(), Type::Int)]).composing();
        let before = address(&env);
        for (name, expression) in [("a", "x + 1"), ("all", "variables"), ("b", "[variables.a]"), ("a", "'t'")] {
            let of = Program::compile(expression, &env).unwrap().output().clone();
            env.compose(name, of);
            assert_eq!(address(&env), before, "{name}");
        }
        let found = |expression: &str| Program::compile(expression, &env).unwrap().output().clone();
        assert_eq!(found("variables.a"), Type::Text);
        assert_eq!(found("variables.b"), Type::list(Type::Int));
        assert_eq!(found("variables.all"), Type::Dyn);
        assert!(Program::compile("variables.c", &env).is_err());
    }

    #[test]
    fn the_first_variable_declares_them_if_nobody_did() {
        let mut env = Env::default();
        assert!(Program::compile("variables", &env).is_err());
        env.compose("a", Type::Int);
        assert!(Program::compile("variables.a", &env).is_ok());
    }

    #[test]
    fn types_of_variables_do_not_deepen_without_end() {
        let mut env = Env::default().composing();
        env.compose("a", Type::Int);
        for _ in 0..3 * DEEPEST {
            let of = Program::compile("[variables.a]", &env).unwrap().output().clone();
            env.compose("a", of);
        }
        let mut of = Program::compile("variables.a", &env).unwrap().output().clone();
        let mut depth = 0;
        while let Type::List(inner) = of {
            (of, depth) = (*inner, depth + 1);
        }
        assert_eq!((of, depth), (Type::Dyn, DEEPEST + 1));
    }

    #[test]
    fn an_environment_that_was_copied_does_not_grow_with_its_copy() {
        let env = Env::default().composing();
        let mut other = env.clone();
        other.compose("a", Type::Int);
        assert!(Program::compile("variables.a", &other).is_ok());
        assert!(Program::compile("variables.a", &env).is_err());
    }
}
