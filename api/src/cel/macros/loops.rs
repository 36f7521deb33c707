//! Macros that become loops: over lists and maps, with one variable or with two.

use ::cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, ListExpr, operators};
use ::cel::parser::{MacroExprHelper, ParseError};

use super::{
    Expansion, GATHERED, MAP_INSERT, call, call_on_gathered, empty_list, empty_map, flag, ident, number, variable,
};

/// What the gathered was called once, and still no variable of a loop may be.
const TAKEN: &str = "__result__";
/// What is said where the variable of a loop that makes a list is none.
const NO_IDENTIFIER: &str = "argument is not an identifier";

/// What a loop goes over, and its variables. One stands for an element or a key, two for index and element of a list or
/// for key and value of a map.
struct Over {
    range: IdedExpr,
    first: String,
    second: Option<String>,
}

/// A call of a macro, taken apart.
struct Asked {
    over: Over,
    filter: Option<IdedExpr>,
    body: IdedExpr,
}

impl Asked {
    /// With one variable where there is nothing but that and the body, else with two.
    fn read(
        helper: &MacroExprHelper<'_>,
        target: &mut Option<IdedExpr>,
        args: &mut Vec<IdedExpr>,
    ) -> Result<Option<Self>, ParseError> {
        const WORDS: &str = "argument must be a simple name";
        let [one, other, _, ..] = args.as_slice() else { return Self::with_one(helper, target, args, WORDS) };
        let (first, second) = (variable(helper, one, WORDS)?, variable(helper, other, WORDS)?);
        if first == second {
            return Err(helper.new_error(other.id, format!("duplicate variable name: {first}")));
        }
        check_free(helper, one, &first)?;
        check_free(helper, other, &second)?;
        Ok(Self::taken(target, args, (first, Some(second))))
    }

    /// With one variable; what is said if it is none.
    fn with_one(
        helper: &MacroExprHelper<'_>,
        target: &mut Option<IdedExpr>,
        args: &mut Vec<IdedExpr>,
        words: &str,
    ) -> Result<Option<Self>, ParseError> {
        let Some(argument) = args.first() else { return Ok(None) };
        let own = variable(helper, argument, words)?;
        check_free(helper, argument, &own)?;
        Ok(Self::taken(target, args, (own, None)))
    }

    /// What follows the variables is a filter, or none, and the body.
    fn taken(
        target: &mut Option<IdedExpr>,
        args: &mut Vec<IdedExpr>,
        (first, second): (String, Option<String>),
    ) -> Option<Self> {
        let mut rest = args.split_off(1 + usize::from(second.is_some()));
        let (range, body) = (target.take()?, rest.pop()?);
        Some(Self { over: Over { range, first, second }, filter: rest.pop(), body })
    }
}

fn check_free(helper: &MacroExprHelper<'_>, argument: &IdedExpr, name: &str) -> Result<(), ParseError> {
    if name == TAKEN {
        return Err(helper.new_error(argument.id, "iteration variable overwrites accumulator variable"));
    }
    Ok(())
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
        iter_var2: over.second,
        accu_var: GATHERED.to_owned(),
        accu_init: turns.start,
        loop_cond: turns.goes_on,
        loop_step: turns.step,
        result: turns.result,
    };
    Ok(Some(helper.next_expr(Expr::Comprehension(Box::new(comprehension)))))
}

pub(super) fn all(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let Some(asked) = Asked::read(helper, target, args)? else { return Ok(None) };
    let turns = Turns {
        start: flag(helper, true),
        goes_on: call_on_gathered(helper, operators::NOT_STRICTLY_FALSE, Vec::new()),
        step: call_on_gathered(helper, operators::LOGICAL_AND, vec![asked.body]),
        result: ident(helper, GATHERED),
    };
    looped(helper, asked.over, turns)
}

pub(super) fn exists(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
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

pub(super) fn exists_one(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
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

pub(super) fn map(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let asked = Asked::with_one(helper, target, args, NO_IDENTIFIER)?;
    asked.map_or(Ok(None), |asked| listing(helper, asked))
}

pub(super) fn filter(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let Some(asked) = Asked::with_one(helper, target, args, NO_IDENTIFIER)? else { return Ok(None) };
    let element = ident(helper, &asked.over.first);
    listing(helper, Asked { over: asked.over, filter: Some(asked.body), body: element })
}

/// A list of what the body makes.
fn listing(helper: &mut MacroExprHelper<'_>, Asked { over, filter, body }: Asked) -> Expansion {
    let one = helper.next_expr(Expr::List(ListExpr::new(vec![body])));
    let added = call_on_gathered(helper, operators::ADD, vec![one]);
    gathering(helper, over, filter, empty_list(), added)
}

pub(super) fn transform_list(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let asked = Asked::read(helper, target, args)?;
    asked.map_or(Ok(None), |asked| listing(helper, asked))
}

pub(super) fn transform_map(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let Some(Asked { over, filter, body }) = Asked::read(helper, target, args)? else { return Ok(None) };
    let key = ident(helper, &over.first);
    let added = call_on_gathered(helper, MAP_INSERT, vec![key, body]);
    gathering(helper, over, filter, empty_map(), added)
}

pub(super) fn transform_map_entry(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Expansion {
    let Some(Asked { over, filter, body }) = Asked::read(helper, target, args)? else { return Ok(None) };
    let added = call_on_gathered(helper, MAP_INSERT, vec![body]);
    gathering(helper, over, filter, empty_map(), added)
}
