//! Checks of numbers, times and text that are written as literals.

use std::time::UNIX_EPOCH;

use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, LitInt, LitStr, Result, UnOp};

use super::Limit;
use crate::parse::{Argument, Bound};

pub(super) fn check_seeds(value: &Expr) -> Result<()> {
    if let Expr::Range(range) = unwrap_groups(value) {
        return Err(Error::new_spanned(
            range,
            "`seeds` must be a number, not a range; write `seeds = 100, base_seed = 5` to run the seeds 5 to 104",
        ));
    }
    match number(value, "`seeds`")? {
        Some(0) => Err(Error::new(value.span(), "`seeds` must be at least 1")),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn check_polls(value: &Expr) -> Result<()> {
    match number(value, "`poll_limit`")? {
        Some(0) => Err(Error::new(value.span(), "`poll_limit` must be at least 1")),
        Some(_) | None => Ok(()),
    }
}

/// Returns the errors of all bounds, combined into one error.
pub(super) fn check_bounds(bounds: &[Bound]) -> Result<()> {
    let check = |one: &Bound| number(&one.max, &format!("the bound of `{}`", one.quantity));
    let wrong = bounds.iter().filter_map(|one| check(one).err()).reduce(|mut all, one| {
        all.combine(one);
        all
    });
    wrong.map_or(Ok(()), Err)
}

pub(super) fn check_switch(value: &Expr, argument: Argument, effect: &str) -> Result<()> {
    match literal(value) {
        None | Some(Lit::Bool(_)) => Ok(()),
        Some(other) => Err(Error::new(
            other.span(),
            format!("`{argument}` must be `true` ({effect}) or `false`"),
        )),
    }
}

/// Returns the identifier `native`, or `None` for `tokio`.
pub(super) fn runtime(value: &Expr) -> Result<Option<Ident>> {
    match identifier(value) {
        Some(name) if name == "native" => Ok(Some(name.clone())),
        Some(name) if name == "tokio" => Ok(None),
        Some(_) | None => Err(Error::new_spanned(
            value,
            "`runtime` must be `tokio` (each process has a tokio runtime) or `native` (processes use simmach's modules only)",
        )),
    }
}

/// Returns the identifier `identical`, or `None` for `varied`.
pub(super) fn hardware(value: &Expr) -> Result<Option<Ident>> {
    match identifier(value) {
        Some(name) if name == "identical" => Ok(Some(name.clone())),
        Some(name) if name == "varied" => Ok(None),
        Some(_) | None => Err(Error::new_spanned(
            value,
            "`hardware` must be `varied` (machines boot at different times, and their clocks are not exact) or `identical`",
        )),
    }
}

fn identifier(value: &Expr) -> Option<&Ident> {
    match unwrap_groups(value) {
        Expr::Path(path) => path.path.get_ident(),
        _ => None,
    }
}

/// Returns the value of a literal, or `None` for other expressions.
pub(super) fn number(value: &Expr, what: &str) -> Result<Option<u64>> {
    let wrong = |span: Span| Error::new(span, format!("{what} must be an integer, such as 1000"));
    if let Expr::Unary(unary) = unwrap_groups(value)
        && matches!(unary.op, UnOp::Neg(_))
        && literal(&unary.expr).is_some()
    {
        return Err(Error::new_spanned(unary, format!("{what} must not be negative")));
    }
    match literal(value) {
        None => Ok(None),
        Some(Lit::Int(number)) => parsed(number, what).map(Some),
        Some(other) => Err(wrong(other.span())),
    }
}

fn parsed(number: &LitInt, what: &str) -> Result<u64> {
    number
        .base10_parse()
        .map_err(|_| Error::new(number.span(), format!("{what} must be at most {}", u64::MAX)))
}

pub(super) fn limit(value: Expr, argument: Argument) -> Result<Limit> {
    let Some(literal) = literal(&value) else {
        return Ok(Limit::Expr(value));
    };
    const FORMS: &str = "such as \"90s\", \"10m\" or \"1h 30m\"";
    let Lit::Str(text) = literal else {
        let message = format!(
            "`{argument}` must be a time in quotes, {FORMS}, or an expression such as `90.secs()`"
        );
        return Err(Error::new(literal.span(), message));
    };
    let duration = humantime::parse_duration(&text.value()).map_err(|_| {
        let value = text.value();
        let message = format!("invalid value {value:?} for `{argument}`: expected a time {FORMS}");
        Error::new(text.span(), message)
    })?;
    if duration.is_zero() {
        return Err(Error::new(text.span(), format!("`{argument}` must be greater than zero")));
    }
    Ok(Limit::Text(duration))
}

pub(super) fn epoch(value: Expr) -> Result<Limit> {
    let Some(literal) = literal(&value) else {
        return Ok(Limit::Expr(value));
    };
    let Lit::Str(text) = literal else {
        let message = "`epoch` must be a time in quotes, such as \"2030-01-01T00:00:00Z\", or an expression of type `SystemTime`";
        return Err(Error::new(literal.span(), message));
    };
    let date = humantime::parse_rfc3339_weak(&text.value()).ok();
    let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
    // Clocks count nanoseconds since 1970 in 64 bits.
    since.filter(|since| since.as_nanos() <= u64::MAX.into()).map(Limit::Text).ok_or_else(|| {
        let message = format!(
            "invalid value {:?} for `epoch`: expected a time from \"1970-01-01T00:00:00Z\" to \"2554-07-21T23:34:33Z\"",
            text.value()
        );
        Error::new(text.span(), message)
    })
}

pub(super) fn text(value: &Expr) -> Option<LitStr> {
    match literal(value) {
        Some(Lit::Str(text)) => Some(text.clone()),
        Some(_) | None => None,
    }
}

pub(super) fn literal(value: &Expr) -> Option<&Lit> {
    match unwrap_groups(value) {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        _ => None,
    }
}

/// Removes parentheses, and the invisible groups of macro fragments.
fn unwrap_groups(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => unwrap_groups(&group.expr),
        Expr::Paren(paren) => unwrap_groups(&paren.expr),
        other => other,
    }
}
