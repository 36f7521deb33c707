//! The macros: what they become, and what is said of arguments that they do not take.
//!
//! The parser's own are not used: they say other things of their arguments than Kubernetes' do.

use std::sync::LazyLock;

use ::cel::Env;
use ::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators};
use ::cel::parser::{Macro, MacroExprHelper, ParseError, Parser};

mod loops;
mod optional;

use loops::{all, exists, exists_one, filter, map, transform_list, transform_map, transform_map_entry};
use optional::{opt_flat_map, opt_map};

/// Puts an entry, or all of another map's, into a map.
pub(super) const MAP_INSERT: &str = "cel.@mapInsert";
/// Sorts a list in the order of as many keys.
const SORT_BY_KEYS: &str = "@sortByAssociatedKeys";
/// What a loop has gathered so far.
const GATHERED: &str = "@result";
/// The list that is to be sorted, so that it is worked out once.
const UNSORTED: &str = "@__sortBy_input__";

type Expansion = Result<Option<IdedExpr>, ParseError>;
type Expander = fn(&mut MacroExprHelper<'_>, &mut Option<IdedExpr>, &mut Vec<IdedExpr>) -> Expansion;

/// Name, number of arguments, and what the macro becomes.
type Row = (&'static str, usize, Expander);

const MACROS: [Row; 20] = [
    ("all", 2, all),
    ("all", 3, all),
    ("exists", 2, exists),
    ("exists", 3, exists),
    ("existsOne", 2, exists_one),
    ("existsOne", 3, exists_one),
    ("exists_one", 2, exists_one),
    ("exists_one", 3, exists_one),
    ("map", 2, map),
    ("map", 3, map),
    ("filter", 2, filter),
    ("transformList", 3, transform_list),
    ("transformList", 4, transform_list),
    ("transformMap", 3, transform_map),
    ("transformMap", 4, transform_map),
    ("transformMapEntry", 3, transform_map_entry),
    ("transformMapEntry", 4, transform_map_entry),
    ("sortBy", 2, sort_by),
    ("optMap", 2, opt_map),
    ("optFlatMap", 2, opt_flat_map),
];
const BIND: Row = ("bind", 3, bind);

static PLAIN: LazyLock<Env> = LazyLock::new(|| environment(MACROS));
static BINDING: LazyLock<Env> = LazyLock::new(|| environment(MACROS.into_iter().chain([BIND])));

/// It knows no function and no type, which only the checker and the evaluation ask for, and those are ours.
fn environment(rows: impl IntoIterator<Item = Row>) -> Env {
    let mut env = Env::default();
    let methods = rows.into_iter().map(|(name, arguments, expander)| Macro::receiver(name, arguments, expander));
    for made in methods.chain([Macro::global("has", 1, has)]) {
        // Fails for a macro that is there already, and an empty environment has none.
        env.add_macro(made).expect("each macro is added once");
    }
    env
}

/// A parser of expressions; only those about devices may use `cel.bind`.
pub(super) fn parser(binds: bool) -> Parser {
    let env: &Env = if binds { &BINDING } else { &PLAIN };
    env.parser().enable_ident_escape_syntax(true)
}

/// The name that an argument is.
fn variable(helper: &MacroExprHelper<'_>, argument: &IdedExpr, words: &str) -> Result<String, ParseError> {
    match &argument.expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err(helper.new_error(argument.id, words)),
    }
}

/// A variable.
fn ident(helper: &mut MacroExprHelper<'_>, name: &str) -> IdedExpr {
    helper.next_expr(Expr::Ident(name.to_owned()))
}

fn flag(helper: &mut MacroExprHelper<'_>, value: bool) -> IdedExpr {
    helper.next_expr(Expr::Literal(LiteralValue::Boolean(value.into())))
}

fn number(helper: &mut MacroExprHelper<'_>, value: i64) -> IdedExpr {
    helper.next_expr(Expr::Literal(LiteralValue::Int(value.into())))
}

fn call(helper: &mut MacroExprHelper<'_>, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
}

/// A call with what has been gathered as its first argument.
fn call_on_gathered(helper: &mut MacroExprHelper<'_>, function: &str, others: Vec<IdedExpr>) -> IdedExpr {
    let mut args = vec![ident(helper, GATHERED)];
    args.extend(others);
    call(helper, function, args)
}

fn empty_list() -> Expr {
    Expr::List(ListExpr::new(Vec::new()))
}

fn empty_map() -> Expr {
    Expr::Map(MapExpr { entries: Vec::new() })
}

/// `has(a.b)`: whether a field is there.
fn has(helper: &mut MacroExprHelper<'_>, _target: &mut Option<IdedExpr>, args: &mut Vec<IdedExpr>) -> Expansion {
    let Some(asked) = args.pop() else { return Ok(None) };
    match asked.expr {
        Expr::Select(mut select) => {
            select.test = true;
            Ok(Some(helper.next_expr(Expr::Select(select))))
        }
        _ => Err(helper.new_error(asked.id, "invalid argument to has() macro")),
    }
}

/// `list.sortBy(e, key)`: names the list, makes a list of its keys, and sorts by that.
fn sort_by(helper: &mut MacroExprHelper<'_>, target: &mut Option<IdedExpr>, args: &mut Vec<IdedExpr>) -> Expansion {
    const WORDS: &str = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
    let [element, _] = args.as_slice() else { return Ok(None) };
    let element = variable(helper, element, "argument is not an identifier")?;
    let (Some(list), Some(key)) = (target.take(), args.pop()) else { return Ok(None) };
    if matches!(list.expr, Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_)) {
        return Err(helper.new_error(list.id, WORDS));
    }
    let keys = keys(helper, element, key);
    let unsorted = ident(helper, UNSORTED);
    let sorted = helper.next_expr(Expr::Call(CallExpr {
        func_name: SORT_BY_KEYS.to_owned(),
        target: Some(Box::new(unsorted)),
        args: vec![keys],
    }));
    Ok(Some(named(helper, UNSORTED, list, sorted)))
}

/// The key of each element of the list that is to be sorted.
fn keys(helper: &mut MacroExprHelper<'_>, element: String, key: IdedExpr) -> IdedExpr {
    let one = helper.next_expr(Expr::List(ListExpr::new(vec![key])));
    let comprehension = ComprehensionExpr {
        iter_range: ident(helper, UNSORTED),
        iter_var: element,
        iter_var2: None,
        accu_var: GATHERED.to_owned(),
        accu_init: helper.next_expr(empty_list()),
        loop_cond: flag(helper, true),
        loop_step: call_on_gathered(helper, operators::ADD, vec![one]),
        result: ident(helper, GATHERED),
    };
    helper.next_expr(Expr::Comprehension(Box::new(comprehension)))
}

/// `cel.bind(name, value, result)`; `bind` of anything else is no macro.
fn bind(helper: &mut MacroExprHelper<'_>, target: &mut Option<IdedExpr>, args: &mut Vec<IdedExpr>) -> Expansion {
    let of_cel = matches!(target.as_ref().map(|target| &target.expr), Some(Expr::Ident(name)) if name == "cel");
    let ([own, _, _], true) = (args.as_slice(), of_cel) else { return Ok(None) };
    let own = variable(helper, own, "cel.bind() variable names must be simple identifiers")?;
    let (Some(result), Some(value)) = (args.pop(), args.pop()) else { return Ok(None) };
    Ok(Some(named(helper, &own, value, result)))
}

/// A result in which a name stands for a value: a loop over nothing that starts with the value.
fn named(helper: &mut MacroExprHelper<'_>, name: &str, value: IdedExpr, result: IdedExpr) -> IdedExpr {
    let comprehension = ComprehensionExpr {
        iter_range: helper.next_expr(empty_list()),
        iter_var: "#unused".to_owned(),
        iter_var2: None,
        accu_var: name.to_owned(),
        accu_init: value,
        loop_cond: flag(helper, false),
        loop_step: ident(helper, name),
        result,
    };
    helper.next_expr(Expr::Comprehension(Box::new(comprehension)))
}

#[cfg(test)]
mod tests;
