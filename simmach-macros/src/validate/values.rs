//! Numbers, times and text: checked where they are literals.

use std::time::UNIX_EPOCH;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, LitInt, LitStr, Result, UnOp};

use super::Limit;
use crate::parse::Argument;

pub(super) fn seeds(value: &Expr) -> Result<()> {
    if let Expr::Range(range) = peel(value) {
        return Err(Error::new_spanned(
            range,
            "`seeds` is how many: `seeds = 100, base_seed = 5` runs the seeds 5 to 104",
        ));
    }
    match number(value, "`seeds`")? {
        Some(0) => Err(Error::new(
            value.span(),
            "with `seeds = 0` nothing would run: one seed is the least",
        )),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn steps(value: &Expr) -> Result<()> {
    match number(value, "`step_limit`")? {
        Some(0) => Err(Error::new(value.span(), "with `step_limit = 0` no run could begin")),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn switch(value: &Expr, argument: Argument) -> Result<()> {
    match literal(value) {
        None | Some(Lit::Bool(_)) => Ok(()),
        Some(other) => Err(Error::new(
            other.span(),
            format!("`{argument}` is `true`, which runs each seed twice, or `false`"),
        )),
    }
}

/// The value of a literal; `None` for an expression.
pub(super) fn number(value: &Expr, what: &str) -> Result<Option<u64>> {
    let wrong = |span: Span| Error::new(span, format!("{what} is a whole number, such as 1000"));
    if let Expr::Unary(unary) = peel(value)
        && matches!(unary.op, UnOp::Neg(_))
        && literal(&unary.expr).is_some()
    {
        return Err(Error::new_spanned(unary, format!("{what} can't be negative")));
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
        .map_err(|_| Error::new(number.span(), format!("{what} is at most {}", u64::MAX)))
}

pub(super) fn limit(value: Expr, argument: Argument) -> Result<Limit> {
    let Some(literal) = literal(&value) else {
        return Ok(Limit::Expr(value));
    };
    let Lit::Str(text) = literal else {
        let message = format!(
            "`{argument}` is a time with its unit: \"10m\", \"90s\", or an expression such as 90.secs()"
        );
        return Err(Error::new(literal.span(), message));
    };
    let duration = humantime::parse_duration(&text.value()).map_err(|error| {
        Error::new(text.span(), format!("{:?} is no time: {error}", text.value()))
    })?;
    if duration.is_zero() {
        return Err(Error::new(
            text.span(),
            format!("with a `{argument}` of zero no run could begin"),
        ));
    }
    Ok(Limit::Text(duration))
}

pub(super) fn epoch(value: Expr) -> Result<Limit> {
    let Some(literal) = literal(&value) else {
        return Ok(Limit::Expr(value));
    };
    let Lit::Str(text) = literal else {
        let message =
            "`epoch` is a date, \"2030-01-01T00:00:00Z\", or an expression of type SystemTime";
        return Err(Error::new(literal.span(), message));
    };
    let wrong =
        |why: String| Error::new(text.span(), format!("{:?} is no date: {why}", text.value()));
    let date =
        humantime::parse_rfc3339_weak(&text.value()).map_err(|error| wrong(error.to_string()))?;
    // A spec's clocks count nanoseconds since 1970, in 64 bits.
    match date.duration_since(UNIX_EPOCH) {
        Ok(since) if since.as_nanos() <= u64::MAX.into() => Ok(Limit::Text(since)),
        Ok(_) | Err(_) => {
            Err(wrong("use one from 1970-01-01T00:00:00Z to 2554-07-21T23:34:33Z".to_owned()))
        }
    }
}

pub(super) fn text(value: &Expr) -> Option<LitStr> {
    match literal(value) {
        Some(Lit::Str(text)) => Some(text.clone()),
        Some(_) | None => None,
    }
}

pub(super) fn literal(value: &Expr) -> Option<&Lit> {
    match peel(value) {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        _ => None,
    }
}

/// Without the brackets around it, also those that a macro puts there unseen.
fn peel(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => peel(&group.expr),
        Expr::Paren(paren) => peel(&paren.expr),
        other => other,
    }
}
