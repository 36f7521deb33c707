//! Macros about values that may not be there.

use ::cel::common::ast::{CallExpr, Expr, IdedExpr, operators};
use ::cel::parser::MacroExprHelper;

use super::{Expansion, call, ident, named, variable};

/// The optional value, where the expression has no name for it, so that it is worked out once.
const TARGET: &str = "@target";

/// `o.optMap(v, made)`: what is made of the value that is there, as one that may not be there.
pub(super) fn opt_map(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    const WORDS: &str = "optMap() variable name must be a simple identifier";
    mapped(helper, target, args, WORDS, |helper, made| of_optional(helper, "of", vec![made]))
}

/// `o.optFlatMap(v, made)`: the same, where what is made may not be there itself.
pub(super) fn opt_flat_map(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    const WORDS: &str = "optFlatMap() variable name must be a simple identifier";
    mapped(helper, target, args, WORDS, |_, made| made)
}

fn mapped(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
    words: &str,
    wrap: fn(&mut MacroExprHelper<'_>, IdedExpr) -> IdedExpr,
) -> Expansion {
    let [own, _] = args.as_slice() else { return Ok(None) };
    let own = variable(helper, own, words)?;
    let (Some(of), Some(made)) = (target.take(), args.pop()) else { return Ok(None) };
    let (name, unnamed) = match &of.expr {
        Expr::Ident(name) => (name.clone(), None),
        _ => (TARGET.to_owned(), Some(of)),
    };
    let is_there = method(helper, &name, "hasValue");
    let value = method(helper, &name, "value");
    let made = named(helper, &own, value, made);
    let made = wrap(helper, made);
    let none = of_optional(helper, "none", Vec::new());
    let chosen = call(helper, operators::CONDITIONAL, vec![is_there, made, none]);
    Ok(Some(match unnamed {
        Some(of) => named(helper, TARGET, of, chosen),
        None => chosen,
    }))
}

/// A method of the value with this name.
fn method(helper: &mut MacroExprHelper<'_>, name: &str, method: &str) -> IdedExpr {
    let own = ident(helper, name);
    helper.next_expr(Expr::Call(CallExpr {
        func_name: method.to_owned(),
        target: Some(Box::new(own)),
        args: Vec::new(),
    }))
}

/// `optional.of(a)`, `optional.none()`.
fn of_optional(helper: &mut MacroExprHelper<'_>, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    let space = ident(helper, "optional");
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_owned(), target: Some(Box::new(space)), args }))
}
