//! The macros that the parser does not know by itself: loops over two variables, sorting by a key, names for values.
//!
//! They become loops that the parser's own macros could have made, with two functions that no expression can spell.

use std::sync::LazyLock;

use ::cel::Env;
use ::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators};
use ::cel::parser::{Macro, MacroExprHelper, ParseError, Parser};

/// Puts an entry, or all of another map's, into a map.
pub(super) const MAP_INSERT: &str = "cel.@mapInsert";
/// Sorts a list in the order of as many keys.
const SORT_BY_KEYS: &str = "@sortByAssociatedKeys";
/// What a loop has gathered so far.
const GATHERED: &str = "@result";
/// What it was called once, and still no variable of such a loop may be.
const TAKEN: &str = "__result__";
/// The list that is to be sorted, so that it is worked out once.
const UNSORTED: &str = "@__sortBy_input__";

type Expansion = Result<Option<IdedExpr>, ParseError>;
type Expander = fn(&mut MacroExprHelper<'_>, &mut Option<IdedExpr>, &mut Vec<IdedExpr>) -> Expansion;

/// Name, number of arguments, and what the macro becomes.
type Row = (&'static str, usize, Expander);

const MACROS: [Row; 11] = [
    ("all", 3, all),
    ("exists", 3, exists),
    ("existsOne", 3, exists_one),
    ("exists_one", 3, exists_one),
    ("transformList", 3, transform_list),
    ("transformList", 4, transform_list),
    ("transformMap", 3, transform_map),
    ("transformMap", 4, transform_map),
    ("transformMapEntry", 3, transform_map_entry),
    ("transformMapEntry", 4, transform_map_entry),
    ("sortBy", 2, sort_by),
];
const BIND: Row = ("bind", 3, bind);

static PLAIN: LazyLock<Env> = LazyLock::new(|| environment(MACROS));
static BINDING: LazyLock<Env> = LazyLock::new(|| environment(MACROS.into_iter().chain([BIND])));

fn environment(rows: impl IntoIterator<Item = Row>) -> Env {
    let mut env = Env::stdlib();
    for (name, arguments, expander) in rows {
        // Fails for a macro that is there already, and none of the parser's own takes as many arguments.
        env.add_macro(Macro::receiver(name, arguments, expander)).expect("each macro is added once");
    }
    env
}

/// A parser of expressions; only those about devices may use `cel.bind`.
pub(super) fn parser(binds: bool) -> Parser {
    let env: &Env = if binds { &BINDING } else { &PLAIN };
    env.parser().enable_ident_escape_syntax(true)
}

/// What a loop goes over, and its two variables: index and element of a list, key and value of a map.
struct Over {
    range: IdedExpr,
    first: String,
    second: String,
}

/// A call of a macro with two variables, taken apart.
struct Asked {
    over: Over,
    filter: Option<IdedExpr>,
    body: IdedExpr,
}

impl Asked {
    fn read(
        helper: &MacroExprHelper<'_>,
        target: &mut Option<IdedExpr>,
        args: &mut Vec<IdedExpr>,
    ) -> Result<Option<Self>, ParseError> {
        const WORDS: &str = "argument must be a simple name";
        let [one, other, _, ..] = args.as_slice() else { return Ok(None) };
        let (first, second) = (variable(helper, one, WORDS)?, variable(helper, other, WORDS)?);
        if first == second {
            return Err(helper.new_error(other.id, format!("duplicate variable name: {first}")));
        }
        if let Some((argument, _)) = [(one, &first), (other, &second)].into_iter().find(|(_, name)| *name == TAKEN) {
            return Err(helper.new_error(argument.id, "iteration variable overwrites accumulator variable"));
        }
        let mut rest = args.split_off(2);
        let (Some(range), Some(body)) = (target.take(), rest.pop()) else { return Ok(None) };
        Ok(Some(Self { over: Over { range, first, second }, filter: rest.pop(), body }))
    }
}

/// The name that an argument is.
fn variable(helper: &MacroExprHelper<'_>, argument: &IdedExpr, words: &str) -> Result<String, ParseError> {
    match &argument.expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err(helper.new_error(argument.id, words)),
    }
}

/// What a loop starts with, whether it goes on, what each turn makes, and what comes out in the end.
struct Turns {
    start: IdedExpr,
    goes_on: IdedExpr,
    step: IdedExpr,
    result: IdedExpr,
}

fn looped(helper: &mut MacroExprHelper<'_>, over: Over, turns: Turns) -> Expansion {
    let comprehension = ComprehensionExpr {
        iter_range: over.range,
        iter_var: over.first,
        iter_var2: Some(over.second),
        accu_var: GATHERED.to_owned(),
        accu_init: turns.start,
        loop_cond: turns.goes_on,
        loop_step: turns.step,
        result: turns.result,
    };
    Ok(Some(helper.next_expr(Expr::Comprehension(Box::new(comprehension)))))
}

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

fn all(helper: &mut MacroExprHelper<'_>, target: &mut Option<IdedExpr>, args: &mut Vec<IdedExpr>) -> Expansion {
    let Some(asked) = Asked::read(helper, target, args)? else { return Ok(None) };
    let turns = Turns {
        start: flag(helper, true),
        goes_on: call_on_gathered(helper, operators::NOT_STRICTLY_FALSE, Vec::new()),
        step: call_on_gathered(helper, operators::LOGICAL_AND, vec![asked.body]),
        result: ident(helper, GATHERED),
    };
    looped(helper, asked.over, turns)
}

fn exists(helper: &mut MacroExprHelper<'_>, target: &mut Option<IdedExpr>, args: &mut Vec<IdedExpr>) -> Expansion {
    let Some(asked) = Asked::read(helper, target, args)? else { return Ok(None) };
    let none_yet = call_on_gathered(helper, operators::LOGICAL_NOT, Vec::new());
    let turns = Turns {
        start: flag(helper, false),
        goes_on: call(helper, operators::NOT_STRICTLY_FALSE, vec![none_yet]),
        step: call_on_gathered(helper, operators::LOGICAL_OR, vec![asked.body]),
        result: ident(helper, GATHERED),
    };
    looped(helper, asked.over, turns)
}

fn exists_one(helper: &mut MacroExprHelper<'_>, target: &mut Option<IdedExpr>, args: &mut Vec<IdedExpr>) -> Expansion {
    let Some(asked) = Asked::read(helper, target, args)? else { return Ok(None) };
    let one = number(helper, 1);
    let counted = call_on_gathered(helper, operators::ADD, vec![one]);
    let as_it_was = ident(helper, GATHERED);
    let one = number(helper, 1);
    let turns = Turns {
        start: number(helper, 0),
        goes_on: flag(helper, true),
        step: call(helper, operators::CONDITIONAL, vec![asked.body, counted, as_it_was]),
        result: call_on_gathered(helper, operators::EQUALS, vec![one]),
    };
    looped(helper, asked.over, turns)
}

/// A loop that adds something for each element, or for each that passes the filter.
fn gathering(
    helper: &mut MacroExprHelper<'_>,
    over: Over,
    filter: Option<IdedExpr>,
    start: Expr,
    added: IdedExpr,
) -> Expansion {
    let step = match filter {
        Some(filter) => {
            let as_it_was = ident(helper, GATHERED);
            call(helper, operators::CONDITIONAL, vec![filter, added, as_it_was])
        }
        None => added,
    };
    let turns =
        Turns { start: helper.next_expr(start), goes_on: flag(helper, true), step, result: ident(helper, GATHERED) };
    looped(helper, over, turns)
}

fn empty_list() -> Expr {
    Expr::List(ListExpr::new(Vec::new()))
}

fn empty_map() -> Expr {
    Expr::Map(MapExpr { entries: Vec::new() })
}

fn transform_list(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let Some(Asked { over, filter, body }) = Asked::read(helper, target, args)? else { return Ok(None) };
    let one = helper.next_expr(Expr::List(ListExpr::new(vec![body])));
    let added = call_on_gathered(helper, operators::ADD, vec![one]);
    gathering(helper, over, filter, empty_list(), added)
}

fn transform_map(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let Some(Asked { over, filter, body }) = Asked::read(helper, target, args)? else { return Ok(None) };
    let key = ident(helper, &over.first);
    let added = call_on_gathered(helper, MAP_INSERT, vec![key, body]);
    gathering(helper, over, filter, empty_map(), added)
}

fn transform_map_entry(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let Some(Asked { over, filter, body }) = Asked::read(helper, target, args)? else { return Ok(None) };
    let added = call_on_gathered(helper, MAP_INSERT, vec![body]);
    gathering(helper, over, filter, empty_map(), added)
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
